// One cluster of the simulation: its machine, its server, the people who change its inputs, and what its server saw of the
// plane's writes.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apiserver/api_server.h"
#include "fleet/cluster.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "runtime/task_scope.h"

namespace gs::sim {

inline constexpr int kThings = 6;   // of a cluster
inline constexpr int kSecrets = 2;

class ClusterHost final : public apiserver::RestHandler::Observer {
 public:
  // `controllers`: thing i belongs to Controller i % controllers. `directory` is for files that a kubeconfig names.
  ClusterHost(SimWorld& world, net::SimNet& net, std::string name, uint64_t seed, int controllers, std::string directory);

  void start();
  // The process dies; what it stored is kept, as in etcd.
  void kill();
  // As the plane's source describes it: with its token, or the file that holds it.
  fleet::ClusterSpec spec() const;
  // The server takes only this token from now on; in a file the plane reads it there by itself.
  void rotate(const std::string& token, bool in_file);

  void set_secret(int i, uint64_t value);
  void set_settings(uint64_t value);
  void set_thing(int i, uint64_t number, int secret, bool finalizer, bool ours);
  // A Thing that wants no child.
  void set_childless(int i, uint64_t number);
  void remove(const std::string& target) { server.request("DELETE", target); }
  void touch_child(int i);
  // Somebody makes a child of the Thing, which is ours, where there is none.
  void plant_child(int i);
  // Changes a Thing in what nobody decides by.
  void touch(const std::string& thing, uint64_t number);
  // What is known of the plane's writes.
  void forget();

  // Served a write of the plane.
  void served(const gateway::RestRequest& request, const apiserver::Answer& answer) override;
  bool has_served(const std::string& manager) const { return managers_.contains(manager); }
  // Changes whose status has not been written yet.
  size_t unanswered() const { return asked_.size(); }

 private:
  void apply(const std::string& target, const std::string& body);
  void apply_thing(int i, const std::string& metadata, const std::string& spec);
  void check_order(const std::string& manager);
  void arrived(const std::string& name);
  Task<void> delete_soon(std::string target);

  SimWorld& world_;
  net::SimNet& net_;
  int controllers_;
  std::string directory_;
  std::string token_;
  bool token_in_file_ = false;

 public:
  const std::string host;
  SimLoop& loop;
  apiserver::RandomFaults faults;
  apiserver::ApiServer server;
  std::unique_ptr<net::HttpServer> http;
  std::unique_ptr<net::Listener> listener;
  bool strict_order = true;  // false: a network may deliver what was given up long ago
  double meddling = 0;       // the chance that somebody deletes what the plane wrote right away
  uint64_t writes = 0;
  std::map<std::string, Duration> slowest;  // by thing: from a change to its status
  std::vector<std::string> problems;

 private:
  std::map<std::pair<std::string, std::string>, uint64_t> attempts_;
  std::map<std::string, std::pair<uint64_t, MonoTime>> asked_;
  Random random_;
  TaskScope meddlers_;
  std::set<std::string> managers_;  // of the writes that were served: each is one call
};

}  // namespace gs::sim
