#include "embedded/api_servers.h"

#include <algorithm>
#include <future>
#include <thread>

#include "base/check.h"
#include "runtime/task_scope.h"

namespace gs::embedded {
namespace {

Error at_port(Error error, uint16_t port) {
  return std::move(error).with_context(fmt::format("--secure-port {}", port));
}

}  // namespace

// A loop on a thread of its own, and the clusters that live on it: every count-th one.
class ApiServers::Shard {
 public:
  Shard() {
    std::promise<void> started;
    std::future<void> ready = started.get_future();
    thread_ = std::thread([this, started = std::move(started)]() mutable { run(std::move(started)); });
    ready.wait();
  }
  ~Shard() {
    loop_->stop();
    thread_.join();
  }

  // Runs the call on the loop and waits for it.
  Status call(const std::function<Status(Shard&)>& work) {
    std::promise<Status> done;
    std::future<Status> answer = done.get_future();
    loop_->post([&] { done.set_value(work(*this)); });
    return answer.get();
  }

  // The following on the loop only.
  UvLoop& loop() { return *loop_; }
  std::vector<std::unique_ptr<ServedCluster>>& clusters() { return *clusters_; }
  void begin_drain(MonoTime deadline, std::promise<void> done) { scope_->spawn(drain(deadline, std::move(done))); }

 private:
  void run(std::promise<void> started) {
    UvLoop loop;
    std::vector<std::unique_ptr<ServedCluster>> clusters;
    TaskScope scope(loop);
    loop_ = &loop;
    clusters_ = &clusters;
    scope_ = &scope;
    started.set_value();
    loop.run();
  }
  Task<void> drain(MonoTime deadline, std::promise<void> done) {
    TaskScope draining(*loop_);
    for (auto& cluster : *clusters_) draining.spawn(cluster->drain(deadline));
    co_await draining.join();
    done.set_value();
  }

  UvLoop* loop_ = nullptr;
  std::vector<std::unique_ptr<ServedCluster>>* clusters_ = nullptr;
  TaskScope* scope_ = nullptr;
  std::thread thread_;
};

ApiServers::ApiServers(ApiServersOptions options, net::TlsContext& tls, const apiserver::Authenticator& authenticator)
    : options_(std::move(options)), deps_(tls, authenticator) {}

ApiServers::~ApiServers() = default;

Status ApiServers::start(const std::vector<Manifest>& manifests) {
  const size_t loops = std::min(options_.loops, options_.files.size());
  for (size_t i = 0; i < loops; ++i) shards_.push_back(std::make_unique<Shard>());
  for (size_t i = 0; i < loops; ++i) {
    GS_TRY_STATUS(shards_[i]->call([&](Shard& shard) -> Status {
      for (size_t n = i; n < options_.files.size(); n += loops) {
        GS_TRY(std::unique_ptr<ServedCluster> cluster, ServedCluster::open(shard.loop(), deps_, options_.server, options_.files[n]));
        shard.clusters().push_back(std::move(cluster));
        GS_TRY([[maybe_unused]] const Preloaded done, preload(shard.clusters().back()->api(), manifests, IfThere::kLeave));
      }
      return ok();
    }));
  }
  return ok();
}

Result<Preloaded> ApiServers::add(size_t cluster, const std::vector<Manifest>& manifests, IfThere if_there) {
  Preloaded out;
  GS_TRY_STATUS(shard_of(cluster).call([&](Shard& shard) -> Status {
    GS_TRY(out, preload(shard.clusters()[cluster / shards_.size()]->api(), manifests, if_there));
    return ok();
  }));
  return out;
}

apiserver::Answer ApiServers::request(size_t cluster, const std::string& method, const std::string& target, const std::string& body) {
  apiserver::Answer out;
  const Status done = shard_of(cluster).call([&](Shard& shard) -> Status {
    out = shard.clusters()[cluster / shards_.size()]->api().request(method, target, body);
    return ok();
  });
  GS_CHECK(done.has_value());
  return out;
}

Status ApiServers::listen(const net::TlsServerOptions& tls) {
  ports_.assign(options_.files.size(), 0);
  for (size_t i = 0; i < shards_.size(); ++i) {
    GS_TRY_STATUS(shards_[i]->call([&](Shard& shard) -> Status {
      for (size_t k = 0; k < shard.clusters().size(); ++k) {
        ServedCluster& cluster = *shard.clusters()[k];
        const size_t n = i + k * shards_.size();
        const auto port = static_cast<uint16_t>(options_.port == 0 ? 0 : options_.port + n);
        cluster.serve_with(tls);
        if (Status listening = cluster.listen(options_.bind_address, port); !listening) return fail(at_port(std::move(listening).error(), port));
        ports_[n] = cluster.port();
      }
      return ok();
    }));
  }
  return ok();
}

void ApiServers::serve_with(const net::TlsServerOptions& tls) {
  for (auto& shard : shards_) {
    shard->loop().post([&shard = *shard, tls] {
      for (auto& cluster : shard.clusters()) cluster->serve_with(tls);
    });
  }
}

void ApiServers::stop(Duration drain) {
  std::vector<std::future<void>> all;
  for (auto& shard : shards_) {
    auto done = std::make_shared<std::promise<void>>();
    all.push_back(done->get_future());
    shard->loop().post([&shard = *shard, done, drain] { shard.begin_drain(saturating_add(shard.loop().now(), drain), std::move(*done)); });
  }
  for (std::future<void>& one : all) one.wait();
  shards_.clear();
}

}  // namespace gs::embedded
