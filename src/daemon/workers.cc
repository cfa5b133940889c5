#include "daemon/workers.h"

#include <future>
#include <thread>

#include "base/log.h"
#include "daemon/webhook_control.h"
#include "runtime/cross_loop.h"

namespace gs::daemon {
namespace {

Task<size_t> drain_worker(Worker& worker, MonoTime deadline) {
  control::Engine& engine = worker.engine();
  const bool clean = co_await engine.drain(deadline);
  if (worker.events() != nullptr) {
    co_await worker.events()->drain(deadline);
  }
  co_return clean ? 0 : engine.in_flight();
}

Task<bool> drain_listener(Worker& worker, Duration quiet, MonoTime deadline) {
  if (worker.webhooks() != nullptr) {
    co_await worker.webhooks()->drain(quiet, deadline);
  }
  co_return true;
}

Summary summary_of(Worker& worker) {
  const control::Engine& engine = worker.engine();
  return Summary{engine.report(), engine.metrics(), engine.settled()};
}

}  // namespace

// A worker on a thread of its own. It lives from the constructor's return to the destructor; what was posted
// to its loop before that still runs.
class Workers::Remote {
 public:
  explicit Remote(const WorkerDeps& deps) {
    std::promise<void> started;
    std::future<void> ready = started.get_future();
    thread_ = std::thread([this, &deps, started = std::move(started)]() mutable { run(deps, std::move(started)); });
    ready.wait();
  }
  ~Remote() {
    loop_->stop();
    thread_.join();
  }
  UvLoop& loop() { return *loop_; }
  Worker& worker() { return *worker_; }
  TaskScope& scope() { return *scope_; }

 private:
  void run(const WorkerDeps& deps, std::promise<void> started) {
    UvLoop loop;
    Worker worker(loop, deps);
    TaskScope scope(loop);
    loop_ = &loop;
    worker_ = &worker;
    scope_ = &scope;
    started.set_value();
    loop.run();
  }
  UvLoop* loop_ = nullptr;
  Worker* worker_ = nullptr;
  TaskScope* scope_ = nullptr;
  std::thread thread_;
};

size_t worker_of(const std::string& cluster_key, size_t count) {
  // FNV-1a: the same in every process and build, unlike std::hash.
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : cluster_key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return (hash ^ hash >> 32) % count;
}

Workers::Workers(UvLoop& main, const WorkerDeps& deps, size_t count) : main_(main), first_(std::make_unique<Worker>(main, deps)), scope_(main) {
  for (size_t i = 1; i < count; ++i) remotes_.push_back(std::make_unique<Remote>(deps));
  if (first_->webhooks() == nullptr || count == 1) return;
  prefixes_ = plane_endpoint(deps.flags).value().prefixes;
  std::vector<WebhookPeer> peers{{&main_, &scope_, &first_->engine().webhook_targets()}};
  for (auto& remote : remotes_) peers.push_back({&remote->loop(), &remote->scope(), &remote->worker().engine().webhook_targets()});
  each([peers](Worker& worker, size_t index) { worker.webhooks()->set_peers(peers, index); });
}

Workers::~Workers() { stop(); }

// Loops hand reviews to each other: all stop asking before any stops answering, and all stop answering before any goes.
void Workers::stop() {
  if (first_) {
    each_and_wait([](Worker& worker, TaskScope&) { worker.close_webhooks(); });
    each_and_wait([](Worker&, TaskScope& scope) { scope.cancel(); });
  }
  remotes_.clear();
  first_.reset();
}

// Calls on each worker's own loop; at once for the first.
void Workers::each(const std::function<void(Worker&, size_t)>& call) {
  if (!first_) return;
  call(*first_, 0);
  for (size_t i = 0; i < remotes_.size(); ++i) {
    remotes_[i]->loop().post([&worker = remotes_[i]->worker(), call, index = i + 1] { call(worker, index); });
  }
}

void Workers::each_and_wait(const std::function<void(Worker&, TaskScope&)>& call) {
  call(*first_, scope_);
  for (auto& remote : remotes_) {
    std::promise<void> done;
    std::future<void> ready = done.get_future();
    remote->loop().post([&remote, &call, &done] {
      call(remote->worker(), remote->scope());
      done.set_value();
    });
    ready.wait();
  }
}

Status Workers::listen(const ListenAddress& address) {
  GS_TRY_STATUS(first_->webhooks()->listen(address));
  // A port that one loop of ours has, the others get.
  each([address](Worker& worker, size_t index) {
    const Status listening = index == 0 ? ok() : worker.webhooks()->listen(address);
    if (!listening) log::error("a loop does not serve webhooks", {{"err", listening.error()}});
  });
  return ok();
}

void Workers::serve_webhooks(std::shared_ptr<const webhook::Material> material, bool write) {
  material_ = material;
  each([material, write](Worker& worker, size_t) {
    worker.engine().serve_webhooks(material, write);
    if (material && worker.webhooks() != nullptr) worker.webhooks()->adopt(*material);
  });
  route();
}

// Which loop has which cluster, for reviews that another one receives.
void Workers::route() {
  if (!first_ || first_->webhooks() == nullptr || remotes_.empty() || !material_) return;
  auto routes = std::make_shared<WebhookRoutes>();
  for (const auto& [key, uid] : clusters_) {
    if (!prefixes_) routes->add("", {worker_of(key, 1 + remotes_.size()), key});
    for (const auto& [id, secret] : material_->keys) routes->add(webhook::Material::prefix(secret, uid), {worker_of(key, 1 + remotes_.size()), key});
  }
  const std::shared_ptr<const WebhookRoutes> shared = std::move(routes);
  each([shared](Worker& worker, size_t) { worker.webhooks()->set_routes(shared); });
}

Task<void> Workers::drain_webhooks_of(Remote& remote, Duration quiet, MonoTime deadline) {
  std::function<Task<bool>()> make = [&remote, quiet, deadline] { return drain_listener(remote.worker(), quiet, deadline); };
  co_await run_on<bool>(main_, remote.loop(), remote.scope(), std::move(make));
}

Task<void> Workers::drain_webhooks(Duration quiet, MonoTime deadline) {
  if (!first_ || first_->webhooks() == nullptr) co_return;
  TaskScope draining(main_);
  for (auto& remote : remotes_) draining.spawn(drain_webhooks_of(*remote, quiet, deadline));
  co_await drain_listener(*first_, quiet, deadline);
  co_await draining.join();
}

void Workers::apply(const control::Desired& desired) {
  if (!first_) return;
  clusters_.clear();
  for (const fleet::ClusterSpec& cluster : desired.clusters) clusters_.emplace_back(cluster.key(), cluster.uid);
  route();
  const size_t count = 1 + remotes_.size();
  std::vector<control::Desired> parts(count, desired);
  for (control::Desired& part : parts) part.clusters.clear();
  for (const fleet::ClusterSpec& cluster : desired.clusters) parts[worker_of(cluster.key(), count)].clusters.push_back(cluster);
  first_->engine().apply(std::move(parts[0]));
  for (size_t i = 0; i < remotes_.size(); ++i) {
    Remote& remote = *remotes_[i];
    remote.loop().post([&remote, part = std::move(parts[i + 1])]() mutable { remote.worker().engine().apply(std::move(part)); });
  }
}

Status Workers::deny_hub(const std::vector<net::IpAddress>& addresses) {
  if (!first_) return ok();
  GS_TRY_STATUS(first_->deny_hub(addresses));
  for (auto& remote : remotes_) {
    remote->loop().post([&worker = remote->worker(), addresses] { GS_CHECK(worker.deny_hub(addresses).has_value()); });
  }
  return ok();
}

template <class T>
Task<T> Workers::ask(Remote& remote, std::function<T(Worker&)> question) {
  std::function<T()> work = [&worker = remote.worker(), question = std::move(question)] { return question(worker); };
  return call_on<T>(main_, remote.loop(), std::move(work));
}

Task<void> Workers::drain_remote(Remote& remote, MonoTime deadline, size_t& left) {
  std::function<Task<size_t>()> make = [&remote, deadline] { return drain_worker(remote.worker(), deadline); };
  const size_t rest = co_await run_on<size_t>(main_, remote.loop(), remote.scope(), std::move(make));
  left += rest;
}

Task<size_t> Workers::drain(MonoTime deadline) {
  // All at once: each is asked before the first is waited for.
  if (!first_) co_return 0;
  size_t left = 0;
  TaskScope draining(main_);
  for (auto& remote : remotes_) draining.spawn(drain_remote(*remote, deadline, left));
  const size_t mine = co_await drain_worker(*first_, deadline);
  co_await draining.join();
  co_return mine + left;
}

Task<uint64_t> Workers::changes() {
  uint64_t sum = first_ ? first_->engine().changes() : 0;
  // By index, because stop() may come between.
  for (size_t i = 0; i < remotes_.size(); ++i) {
    std::function<uint64_t(Worker&)> question = [](Worker& worker) { return worker.engine().changes(); };
    sum += co_await ask<uint64_t>(*remotes_[i], std::move(question));
  }
  co_return sum;
}

Task<Summary> Workers::summary() {
  Summary out;
  if (first_) out = summary_of(*first_);
  for (size_t i = 0; i < remotes_.size(); ++i) {
    std::function<Summary(Worker&)> question = [](Worker& worker) { return summary_of(worker); };
    Summary other = co_await ask<Summary>(*remotes_[i], std::move(question));
    out.report.merge(std::move(other.report));
    out.metrics.merge(other.metrics);
    out.settled &= other.settled;
  }
  co_return out;
}

}  // namespace gs::daemon
