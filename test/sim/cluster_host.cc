#include "test/sim/cluster_host.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "test/sim/logic.h"

namespace gs::sim {
namespace {

apiserver::ApiServerOptions options() {
  apiserver::ApiServerOptions out;
  out.history.changes = 64;
  out.garbage_period = std::chrono::seconds(10);
  return out;
}

}  // namespace

ClusterHost::ClusterHost(SimWorld& world, net::SimNet& net, std::string name, uint64_t seed, int controllers, std::string directory)
    : world_(world), net_(net), controllers_(controllers), directory_(std::move(directory)), host(std::move(name)), loop(world.add_loop()), faults(seed), server(loop, options()), random_(seed + 7), meddlers_(loop) {
  server.table().add(apiserver::custom_resource("example.com", "v1", "things", "Thing"));
  server.add_namespace("other");
  for (int i = 0; i < kSecrets; ++i) set_secret(i, 0);
  server.handler().set_faults(faults);
  server.handler().set_observer(this);
  start();
}

void ClusterHost::start() {
  if (http) return;
  http = std::make_unique<net::HttpServer>(loop, server.handler());
  listener = *net::SimListener::listen(loop, net_, host, 443, *http);
}

void ClusterHost::kill() {
  net_.crash(host);
  listener.reset();
  http.reset();
}

fleet::ClusterSpec ClusterHost::spec() const {
  fleet::ClusterSpec out;
  out.name = host;
  out.uid = "uid-" + host;
  kube::ConnectionConfig connection;
  connection.server = *kube::parse_server_url("http://" + host + ":443");
  if (token_in_file_) {
    connection.token_file = directory_ + "/" + host;
  } else {
    connection.token = token_;
  }
  out.digest = host + (token_in_file_ ? connection.token_file : token_);
  out.connection = std::make_shared<const kube::ConnectionConfig>(std::move(connection));
  return out;
}

void ClusterHost::rotate(const std::string& token, bool in_file) {
  token_ = token;
  token_in_file_ = in_file;
  server.handler().set_tokens({token});
  if (in_file) std::ofstream(directory_ + "/" + host) << token;
}

void ClusterHost::apply(const std::string& target, const std::string& body) {
  const apiserver::Answer answer = server.request("PATCH", target + "?fieldManager=test&force=true", body, "application/apply-patch+yaml");
  // A Thing that is going takes no finalizer any more; anything else would make a workload that changes nothing.
  if (answer.status >= 300 && !target.starts_with(kThingsPath)) problems.push_back(fmt::format("{}: {} is answered {}: {}", host, target, answer.status, answer.body));
}

void ClusterHost::set_secret(int i, uint64_t value) {
  apply(fmt::format("{}/s-{}", kSecretsPath, i), fmt::format(R"({{"apiVersion":"v1","kind":"Secret","data":{{"v":"{:08}"}}}})", value));
}

void ClusterHost::set_settings(uint64_t value) {
  apply(fmt::format("{}/settings", kMapsPath), fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","data":{{"mode":"m{}"}}}})", value));
}

void ClusterHost::apply_thing(int i, const std::string& metadata, const std::string& spec) {
  apply(fmt::format("{}/t{}", kThingsPath, i), fmt::format(R"({{"apiVersion":"example.com/v1","kind":"Thing","metadata":{{{}}},"spec":{{{}}}}})", metadata, spec));
}

void ClusterHost::set_thing(int i, uint64_t number, int secret, bool finalizer, bool ours) {
  const std::string app = ours ? controller_name(i % controllers_) : "other";
  apply_thing(i, fmt::format(R"("labels":{{"app":"{}"}}{})", app, finalizer && ours ? R"(,"finalizers":["example.com/sim"])" : ""),
              fmt::format(R"("n":{},"ref":"s-{}")", number, secret));
  if (ours) asked_[fmt::format("t{}", i)] = {number, world_.now()};
}

void ClusterHost::set_childless(int i, uint64_t number) {
  apply_thing(i, fmt::format(R"("labels":{{"app":"{}"}})", controller_name(i % controllers_)), fmt::format(R"("n":{},"childless":true)", number));
  asked_[fmt::format("t{}", i)] = {number, world_.now()};
}

void ClusterHost::touch_child(int i) {
  server.request("PATCH", fmt::format("{}/t{}", kMapsPath, i), R"({"data":{"n":"drifted"}})", "application/merge-patch+json");
}

void ClusterHost::plant_child(int i) {
  const apiserver::StoredPtr thing = server.store().get(*server.table().find("example.com", "things"), "default", fmt::format("t{}", i));
  if (!thing || thing->value().text("metadata.labels.app") == "other") return;
  server.request("POST", kMapsPath, fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"t{}","labels":{{"child":"yes"}},)"
                                                R"("ownerReferences":[{{"apiVersion":"example.com/v1","kind":"Thing","name":"t{}","uid":"{}","controller":true}}]}}}})",
                                                i, i, thing->value().text("metadata.uid")), "application/json");
}

void ClusterHost::forget() {
  attempts_.clear();
  asked_.clear();
  managers_.clear();
  slowest.clear();
}

void ClusterHost::touch(const std::string& thing, uint64_t number) {
  server.request("PATCH", fmt::format("{}/{}", kThingsPath, thing), fmt::format(R"({{"metadata":{{"annotations":{{"touched":"{}"}}}}}})", number), "application/merge-patch+json");
}

void ClusterHost::served(const gateway::RestRequest& request, const apiserver::Answer& answer) {
  if (request.resource == "leases") return;
  ++writes;
  world_.trace(std::hash<std::string>{}(request.ns + request.resource + request.name + request.subresource));
  world_.trace(static_cast<uint64_t>(answer.status) << 8 | static_cast<uint64_t>(request.verb));
  const std::string manager(request.option("fieldManager"));
  if (request.resource == "secrets" || manager == "refused" || request.ns != "default") {
    problems.push_back(fmt::format("{}: a refused call reached the server: {} {}/{}", host, verb_name(request.verb), request.resource_path(), request.name));
  }
  if (!manager.empty() && !managers_.insert(manager).second) problems.push_back(fmt::format("{}: the write {} was made twice", host, manager));
  check_order(manager);
  if (answer.status < 300 && request.subresource == "status") arrived(request.name);
  const bool wrote_child = answer.status < 300 && request.resource == "configmaps" && request.verb != gateway::Verb::kDelete;
  if (wrote_child && random_.chance(meddling)) meddlers_.spawn(delete_soon(fmt::format("{}/{}", kMapsPath, Logic::thing_of(manager))));
}

Task<void> ClusterHost::delete_soon(std::string target) {
  co_await sleep_for(loop, random_.between(Duration(0), std::chrono::milliseconds(30)));
  server.request("DELETE", target);
}

// A key's attempts do not overlap: once a later one has written, an earlier one writes no more. Over a
// plane's death bytes may still be under way: planes are judged one by one.
void ClusterHost::check_order(const std::string& manager) {
  Logic::Tag tag;
  if (!strict_order || !Logic::parse_tag(manager, tag)) return;
  uint64_t& latest = attempts_[{tag.plane, tag.key}];
  if (tag.attempt < latest) problems.push_back(fmt::format("{}: attempt {} of {} wrote after attempt {} had", host, tag.attempt, tag.key, latest));
  latest = std::max(latest, tag.attempt);
}

void ClusterHost::arrived(const std::string& name) {
  const auto asked = asked_.find(name);
  const auto things = server.table().find("example.com", "things");
  const apiserver::StoredPtr thing = server.store().get(*things, "default", name);
  if (asked == asked_.end() || !thing) return;
  if (thing->value().text("status.observed") != std::to_string(asked->second.first)) return;
  slowest[name] = std::max(slowest[name], world_.now() - asked->second.second);
  asked_.erase(asked);
}

}  // namespace gs::sim
