// The workers of a process: the first on loop 0, each other one on a thread with a loop of its own. They share
// nothing: clusters are spread over them by name, Controllers are on all, and what comes back is copied. All
// members are called on loop 0.
#pragma once

#include <memory>
#include <vector>

#include "daemon/worker.h"

namespace gs::daemon {

// What the workers say of themselves, added up.
struct Summary {
  control::Report report;
  MetricSums metrics;
  bool settled = true;
};

class Workers {
 public:
  // Starts the threads.
  Workers(UvLoop& main, const WorkerDeps& deps, size_t count);
  ~Workers();
  // Ends the threads and all work: what is still in flight is cancelled, and nothing more is written. After
  // it there is nothing to report.
  void stop();

  void apply(const control::Desired& desired);
  Status deny_hub(const std::vector<net::IpAddress>& addresses);
  // Webhooks: every loop listens there (--listen);
  Status listen(const ListenAddress& address);
  // what they are served with, and whether this plane writes configurations;
  void serve_webhooks(std::shared_ptr<const webhook::Material> material, bool write);
  // and when it stops, serving goes on until it is quiet.
  Task<void> drain_webhooks(Duration quiet, MonoTime deadline);
  // No new work; how much was still in flight at the deadline.
  Task<size_t> drain(MonoTime deadline);
  // Grows when a report may have changed.
  Task<uint64_t> changes();
  Task<Summary> summary();

 private:
  class Remote;
  void route();
  void each(const std::function<void(Worker&, size_t)>& call);
  void each_and_wait(const std::function<void(Worker&, TaskScope&)>& call);
  Task<void> drain_webhooks_of(Remote& remote, Duration quiet, MonoTime deadline);
  Task<void> drain_remote(Remote& remote, MonoTime deadline, size_t& left);
  template <class T>
  Task<T> ask(Remote& remote, std::function<T(Worker&)> question);

  UvLoop& main_;
  std::unique_ptr<Worker> first_;  // null: stopped
  std::vector<std::unique_ptr<Remote>> remotes_;
  std::vector<std::pair<std::string, std::string>> clusters_;  // key and uid, as applied last
  std::shared_ptr<const webhook::Material> material_;
  bool prefixes_ = true;  // before the paths of webhooks
  TaskScope scope_;  // of reviews that other loops hand to this one
};

// Which of `count` workers has a cluster: always the same one, whatever else comes and goes.
size_t worker_of(const std::string& cluster_key, size_t count);

}  // namespace gs::daemon
