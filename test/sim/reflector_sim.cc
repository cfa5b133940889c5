// One informer, a server and a network that misbehave, or servers that take over from one another: what it told its handler
// must be the server's state once all behave, whatever happened before.
#include <fmt/format.h>

#include <map>
#include <optional>

#include "apiserver/api_server.h"
#include "base/strings.h"
#include "cache/informer.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "test/sim/plane_sim.h"

namespace gs::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// Also checks the calls themselves: nothing is added twice or changed before it was added, and nothing goes back in time.
struct Mirror final : cache::InformerHandler {
  void on_added(const kube::ObjectRef& object, bool) override {
    if (!objects.emplace(object->name(), object->resource_version()).second) problem = "added twice: " + std::string(object->name());
  }
  void on_updated(const kube::ObjectRef& before, const kube::ObjectRef& after) override {
    const auto found = objects.find(std::string(after->name()));
    if (found == objects.end() || found->second != before->resource_version()) problem = "updated from what was never told: " + std::string(after->name());
    if (before->uid() == after->uid() && kube::compare_versions(after->resource_version(), before->resource_version()).order < 0) {
      problem = fmt::format("{} goes back from {} to {}", after->name(), before->resource_version(), after->resource_version());
    }
    if (before->uid() != after->uid()) problem = "another object under the same name is no update: " + std::string(after->name());
    objects[std::string(after->name())] = after->resource_version();
  }
  void on_deleted(const kube::ObjectRef& object, bool) override {
    if (objects.erase(std::string(object->name())) == 0) problem = "deleted before it was added: " + std::string(object->name());
  }
  void on_health(cache::Health health, const std::string& why) override { told = {health, why}; }
  std::map<std::string, std::string> objects;
  std::optional<std::pair<cache::Health, std::string>> told;
  std::string problem;
};

// Random faults, and whether the one client waits as long as a 429 told it to.
struct Faults final : apiserver::Faults {
  Faults(SimWorld& w, uint64_t seed) : world(w), random(seed) {}
  apiserver::RequestFault on_request(const gateway::RestRequest& request) override {
    if (world.now() < not_before) problem = fmt::format("asked again {} before Retry-After is over", format_go_duration(not_before - world.now()));
    const apiserver::RequestFault fault = random.on_request(request);
    not_before = fault.status == 429 ? world.now() + seconds(fault.retry_after) : MonoTime{};
    return fault;
  }
  apiserver::WatchFault on_watch() override { return random.on_watch(); }
  SimWorld& world;
  apiserver::RandomFaults random;
  MonoTime not_before{};  // forgotten where the network may have lost the answer
  std::string problem;
};

apiserver::ApiServerOptions short_memory() {
  apiserver::ApiServerOptions options;
  options.history.changes = 32;
  return options;
}

struct World {
  explicit World(uint64_t seed) : random(seed + 77), world(seed), faults(world, seed) {
    server.handler().set_faults(faults);
    config.server = *kube::parse_server_url("http://server:443");
    transport = std::make_unique<kube::HttpTransport>(loop, connector, config, options());
    cache::ReflectorOptions reflector;
    if (random.chance(0.5)) reflector.page_size = 3;
    informers = std::make_unique<cache::InformerSet>(loop, *transport, reflector);
    start();
  }
  kube::HttpTransportOptions options() {
    kube::HttpTransportOptions out;
    if (random.chance(0.3)) out.without_alpn = kube::HttpProtocol::kHttp1;
    return out;
  }
  void start() {
    http = std::make_unique<net::HttpServer>(server_loop, server.handler());
    listener = *net::SimListener::listen(server_loop, net, "server", 443, *http);
  }
  void die() {
    net.crash("server");
    listener.reset();
    http.reset();
    world.run_for(random.between(milliseconds(1), seconds(20)));
    start();
  }
  void write() {
    const std::string target = fmt::format("/api/v1/namespaces/default/configmaps/m{}", random.below(30));
    if (random.chance(0.25)) {
      server.request("DELETE", target);
    } else {
      server.request("PATCH", target + "?fieldManager=t&force=true", fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","data":{{"n":"{}"}}}})", ++number), "application/apply-patch+yaml");
    }
  }
  void trouble() {
    faults.not_before = {};
    switch (random.below(6)) {
      case 0: return net.partition("client", "server", random.between(milliseconds(1), minutes(2)));
      case 1: return net.reset("client", "server");
      case 2: return random.chance(0.5) ? net.half_close("client", "server") : net.half_close("server", "client");
      case 3:
        net.blackhole("client", "server");
        world.run_for(random.between(milliseconds(1), minutes(1)));
        return net.heal("client", "server");
      case 4: return server.store().compact();
      default: return die();
    }
  }
  using State = std::map<std::string, std::string>;
  static State state_of(const std::vector<apiserver::StoredPtr>& objects) {
    State out;
    for (const auto& object : objects) out[std::string(object->name)] = std::to_string(object->version);
    return out;
  }
  State truth() { return state_of(server.store().list(*server.table().find("", "configmaps"), "")); }
  // What an informer says that it has seen is what was there, object by object; it never sees what is older than what it
  // has seen; and its handler knows of its health.
  std::string wrong_with(const cache::Informer& informer, const Mirror& mirror) {
    if (mirror.told && *mirror.told != std::pair(informer.health(), informer.reason())) {
      return fmt::format("the informer says \"{}\" of its health, and told \"{}\"", informer.reason(), mirror.told->second);
    }
    const auto version = parse_uint(informer.resource_version());
    if (!informer.synced() || !version) return "";
    if (*version < latest) return fmt::format("the informer goes back from version {} to {}", latest, *version);
    latest = *version;
    const auto then = server.store().list_at(*server.table().find("", "configmaps"), "", *version);
    if (!then || state_of(*then) == mirror.objects) return "";
    return fmt::format("the informer is at version {} with {} objects; the server had {} then, or others", *version, mirror.objects.size(), then->size());
  }

  Random random;
  SimWorld world;
  SimLoop& loop = world.add_loop();
  SimLoop& server_loop = world.add_loop();
  net::SimNet net{world};
  Faults faults;
  apiserver::FaultRates& rates = faults.random.rates;
  apiserver::ApiServer server{server_loop, short_memory()};
  std::unique_ptr<net::HttpServer> http;
  std::unique_ptr<net::Listener> listener;
  net::SimConnector connector{loop, net, "client"};
  kube::ConnectionConfig config;
  std::unique_ptr<kube::HttpTransport> transport;
  std::unique_ptr<cache::InformerSet> informers;
  uint64_t number = 0;
  uint64_t latest = 0;  // that the informer was at
};

// An informer from its first list to its end; `trouble` happens now and then.
template <class Trouble>
Report live(World& w, uint64_t seed, Trouble trouble) {
  Report report;
  report.seed = seed;
  Mirror mirror;
  cache::InformerKey key;
  key.resource = cache::GroupVersionResource("", "v1", "configmaps");
  cache::InformerHandle handle = w.informers->acquire(key, mirror);
  for (int round = 0; round < 300; ++round) {
    for (uint64_t i = w.random.below(4); i > 0; --i) w.write();
    trouble();
    w.world.run_for(w.random.between(Duration(0), seconds(3)));
    if (mirror.problem.empty()) mirror.problem = w.wrong_with(*handle, mirror);
  }
  // A server whose cache never gets as far again as what was seen before.
  const double behind = w.random.chance(0.2) ? 1 : 0;
  if (behind > 0) w.server.store().compact();
  w.rates = {};
  w.rates.behind = behind;
  w.net.heal("client", "server");
  w.world.run_for(minutes(15));
  // Long after the last fault all is as if nothing had been.
  for (int i = 0; i < 20; ++i) w.write();
  w.world.run_for(seconds(2));
  if (mirror.problem.empty()) mirror.problem = w.wrong_with(*handle, mirror);
  if (!w.faults.problem.empty()) report.problems.push_back(w.faults.problem);
  if (!mirror.problem.empty()) report.problems.push_back(mirror.problem);
  if (mirror.objects != w.truth()) report.problems.push_back(fmt::format("the informer has {} objects, the server {}; or their versions differ", mirror.objects.size(), w.truth().size()));
  if (handle->health() != cache::Health::kLive) report.problems.push_back("the informer says of a server that is well: " + handle->reason());
  if (w.server.handler().open_watches() != 1) report.problems.push_back(fmt::format("{} watches are open for one informer", w.server.handler().open_watches()));
  handle = {};
  w.world.run_for(minutes(5));
  if (w.informers->size() != 0) report.problems.push_back("the informer is kept after its last user");
  if (w.net.connections() != 0) report.problems.push_back("connections are left open");
  w.world.trace(w.world.steps());
  report.hash = w.world.trace_hash();
  report.virtual_time = w.world.now() - MonoTime(std::chrono::hours(1));
  return report;
}

}  // namespace

Report run_reflector(uint64_t seed) {
  World w(seed);
  for (double* rate : {&w.rates.delay, &w.rates.too_many_requests, &w.rates.unavailable, &w.rates.expired, &w.rates.no_watch_list, &w.rates.answer_cut,
                       &w.rates.answer_never, &w.rates.stale, &w.rates.watch_silent, &w.rates.watch_cut, &w.rates.watch_expired, &w.rates.watch_late}) {
    if (w.random.chance(0.4)) *rate = 0.4 * w.random.unit();
  }
  return live(w, seed, [&] {
    if (w.random.chance(0.05)) w.trouble();
  });
}

// Servers behind one address that take over from one another every few seconds: watches break or are too old wherever they
// end up, lists are as old as each server is, and who comes at the wrong time is told when to come back.
Report run_failovers(uint64_t seed) {
  World w(seed);
  w.rates.longest_watch = seconds(4);
  w.rates.watch_cut = 0.4;
  w.rates.watch_expired = 0.5;
  w.rates.stale = 0.6;
  w.rates.no_watch_list = w.random.chance(0.7) ? 0.5 : 0;
  w.rates.longest_retry_after = 20;
  w.rates.too_many_requests = w.rates.unavailable = w.random.chance(0.5) ? 0.2 : 0;
  return live(w, seed, [&] {
    if (!w.random.chance(0.1)) return;
    w.faults.not_before = {};
    w.net.reset("client", "server");
  });
}

}  // namespace gs::sim
