// One client, a delegate and a network that misbehave: every review ends in its time with its own answer or an error, the
// delegate's credit is kept, none is asked more than twice, and once all behave all are answered.
#include <fmt/format.h>

#include <map>
#include <set>

#include "delegate/client.h"
#include "delegate/grpc_dialer.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "test/sim/plane_sim.h"
#include "test/support/delegate_server.h"

namespace gs::sim {
namespace {

namespace pb = ::gulfstream::delegate::v1;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t kCredit = 6;

// Takes its time, reads at times, forgets at times; echoes what was asked.
class Logic final : public test::DelegateServer::Logic {
 public:
  Logic(Loop& loop, Random& random) : loop_(loop), random_(random) {}
  Task<pb::Result> reconcile(test::DelegateSession&, pb::Reconcile) override {
    co_await sleep_for(loop_, random_.between(milliseconds(0), seconds(3)));
    pb::Result result;
    result.mutable_ok();
    co_return result;
  }
  void overlapping(const std::string&) override {}
  Task<pb::Admitted> admit(test::DelegateSession& session, pb::Admit admit) override {
    const std::string name = admit.request();
    if (++asked[name] > 2) problems.insert("asked more than twice: " + name);
    if (session.reviews() > kCredit) problems.insert(fmt::format("{} reviews at once", session.reviews()));
    const bool forgets = silent || (!calm && random_.chance(0.2));  // its credit comes back after a while
    const Duration time = random_.between(milliseconds(0), milliseconds(calm ? 50 : 2000));
    co_await sleep_for(loop_, forgets ? std::chrono::hours(1) : time);
    std::string read;
    if (random_.chance(0.5)) {
      pb::Call call;
      call.set_review(admit.id());
      call.set_method("GET");
      call.set_path("/" + name);
      Task<test::CallAnswer> reading = session.call(std::move(call));
      const test::CallAnswer answer = co_await std::move(reading);
      if (answer.ok() && answer.body != name) problems.insert(fmt::format("{} read what is for {}", name, answer.body));
    }
    pb::Admitted out;
    out.mutable_allowed();
    out.add_warnings(name);
    co_return out;
  }
  std::map<std::string, int> asked;
  std::set<std::string> problems;
  bool calm = false;
  bool silent = false;  // answers nothing

 private:
  Loop& loop_;
  Random& random_;
};

// Answers a read with its own path.
class Reads final : public delegate::CallHandler {
 public:
  explicit Reads(Loop& loop) : loop_(loop) {}
  Task<void> handle(const pb::Call& call, delegate::CallReply& reply) override {
    std::string body = call.path().substr(1);
    co_await sleep_for(loop_, milliseconds(5));
    Task<Status> sending = reply.part(200, "application/json", std::move(body), true);
    co_await std::move(sending);
  }

 private:
  Loop& loop_;
};

struct World final : delegate::Client::Observer {
  explicit World(uint64_t seed) : random(seed + 99), world(seed), net(world), loop(world.add_loop()), far(world.add_loop()), logic(far, random) {
    net.add_host("delegate", "10.0.9.1");
    start();
    delegate::DialerDeps deps(loop, tcp, resolver, tls());
    deps.allow_insecure = true;
    auto dialer = std::make_unique<delegate::GrpcDialer>(deps, *kube::parse_server_url("http://delegate:9000"));
    delegate::ClientOptions options;
    options.max_age = random.chance(0.5) ? Duration(seconds(20)) : Duration(std::chrono::minutes(30));
    client = std::make_unique<delegate::Client>(loop, DelegateId(1), std::move(dialer), options, *this);
    webhook.id = PairId(1);
    webhook.description.webhook = "w";
    controller.id = PairId(2);
    controller.description.controller = "c";
  }
  ~World() {
    reviews.clear();
    scope.cancel();
    client.reset();
  }
  static net::TlsContext& tls() {
    static net::TlsContext context;  // nothing here speaks TLS
    return context;
  }
  void start() {
    if (http) return;
    test::DelegateOptions options;
    options.capabilities = {"webhooks"};
    options.max_in_flight = 2;
    options.max_reviews = kCredit;
    server = std::make_unique<test::DelegateServer>(far, logic, options);
    http = std::make_unique<net::HttpServer>(far, *server);
    listener = *net::SimListener::listen(far, net, "delegate", 9000, *http);
  }
  void kill() {
    net.crash("delegate");
    listener.reset();
    http.reset();
    server.reset();
  }
  Task<void> admit(std::string name, MonoTime deadline) {
    Reads reads(loop);
    auto task = client->admit(webhook, delegate::Admission(name, false), deadline, reads);
    const auto verdict = co_await std::move(task);
    ++ended;
    open.erase(name);
    if (loop.now() > deadline + milliseconds(1)) problem(name + " ended after its deadline");
    if (!verdict) co_return;
    ++answered;
    if (verdict->warnings != std::vector<std::string>{name}) problem(name + " has the answer of another");
  }
  Task<void> reconcile(std::string name) {
    Reads reads(loop);
    delegate::Attempt attempt;
    attempt.name = std::move(name);
    auto task = client->reconcile(controller, std::move(attempt), reads);
    co_await std::move(task);
  }
  void ask(const std::string& name, Duration limit) {
    open.insert(name);
    loop.post([this, name, limit] {
      auto& slot = reviews[name] = std::make_unique<TaskScope>(loop);
      slot->spawn(admit(name, loop.now() + limit));
    });
  }
  // Its caller goes away.
  void drop(std::string name) {
    open.erase(name);
    loop.post([this, name] { reviews.erase(name); });
  }
  void fault() {
    switch (random.below(6)) {
      case 0: net.reset("plane", "delegate"); break;
      case 1: net.partition("plane", "delegate", random.between(milliseconds(10), seconds(4))); break;
      case 2: far.post([this] { kill(); }); break;
      case 3: net.link("plane", "delegate").max_latency = random.between(milliseconds(1), milliseconds(400)); break;
      case 4: net.blackhole("plane", "delegate"); break;
      default: heal();
    }
  }
  void heal() {
    net.heal("plane", "delegate");
    net.link("plane", "delegate").max_latency = milliseconds(5);
    far.post([this] { start(); });
  }
  void problem(const std::string& text) { problems.insert(text); }
  void ready_changed(DelegateId, bool) override {}
  void enqueue(PairId, const std::string&, const std::string&, Duration) override {}
  delegate::CallHandler* pair_calls(PairId) override { return nullptr; }
  void health_changed(DelegateId) override {}
  void revision_is(PairId, const std::string&) override {}

  Random random;
  SimWorld world;
  net::SimNet net;
  SimLoop& loop;
  SimLoop& far;
  Logic logic;
  std::unique_ptr<test::DelegateServer> server;
  std::unique_ptr<net::HttpServer> http;
  std::unique_ptr<net::Listener> listener;
  net::SimConnector tcp{loop, net, "plane"};
  net::SimResolver resolver{loop, net};
  std::unique_ptr<delegate::Client> client;
  delegate::PairView webhook, controller;
  TaskScope scope{loop};
  std::map<std::string, std::unique_ptr<TaskScope>> reviews;
  std::set<std::string> open, problems;
  uint64_t ended = 0, answered = 0;
};

}  // namespace

Report run_reviews(uint64_t seed) {
  World w(seed);
  int names = 0;
  for (int step = 0; step < 400; ++step) {
    const uint64_t dice = w.random.below(100);
    const std::string name = fmt::format("r{}", names);
    if (dice < 70) {
      ++names;
      w.ask(name, w.random.between(milliseconds(50), seconds(8)));
    } else if (dice < 75 && !w.open.empty()) {
      w.drop(*w.open.begin());
    } else if (dice < 80) {
      w.loop.post([&w, name] { w.scope.spawn(w.reconcile("k" + name)); });
    } else if (dice < 90) {
      w.fault();
    }
    w.world.run_for(w.random.between(milliseconds(0), milliseconds(200)));
  }
  w.heal();
  w.world.run_for(seconds(9));
  for (const std::string& name : w.open) w.problem(name + " never ended");
  w.open.clear();
  // All its credit at once, and no answer.
  w.logic.silent = true;
  for (uint32_t i = 0; i < kCredit; ++i) w.ask(fmt::format("lost{}", i), seconds(1));
  w.world.run_for(seconds(2));
  w.logic.silent = false;
  // Whatever was dialled into nothing is over; credit that was forgotten is back.
  w.logic.calm = true;
  w.world.run_for(std::chrono::minutes(2));
  const uint64_t before = w.answered;
  for (int i = 0; i < 50; ++i) w.ask(fmt::format("last{}", i), seconds(10));
  w.world.run_for(seconds(11));
  if (w.answered != before + 50) w.problem(fmt::format("{} of 50 are answered when nothing is wrong", w.answered - before));
  Report report;
  report.seed = seed;
  report.reconciles = w.ended;
  report.virtual_time = w.loop.now() - MonoTime{};
  report.problems.assign(w.problems.begin(), w.problems.end());
  report.problems.insert(report.problems.end(), w.logic.problems.begin(), w.logic.problems.end());
  return report;
}

}  // namespace gs::sim
