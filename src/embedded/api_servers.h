// The embedded API servers of a process: N clusters, each with a port of its own, on M loops, each a thread. They share
// certificates and tokens and nothing else. All members are called on the loop of whoever made it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "embedded/preload.h"
#include "embedded/served_cluster.h"

namespace gs::embedded {

// As a real cluster is a moment behind its changes.
inline constexpr Duration kGarbageDelay = std::chrono::milliseconds(100);

// As a cluster with its controllers: garbage is collected, and what they make is there.
inline apiserver::ApiServerOptions whole_cluster() {
  apiserver::ApiServerOptions out;
  out.garbage_period = kGarbageDelay;
  out.objects.kubernetes_service = true;
  out.objects.service_accounts = true;
  return out;
}

struct ApiServersOptions {
  std::string bind_address = "127.0.0.1";  // numeric
  uint16_t port = 0;                       // of the first, the others follow; 0: any free ones
  std::vector<std::string> files = {""};   // where each cluster keeps its objects; empty: in memory
  size_t loops = 1;
  apiserver::ApiServerOptions server = whole_cluster();
};

class ApiServers {
 public:
  // `tls` and `authenticator` outlive it.
  ApiServers(ApiServersOptions options, net::TlsContext& tls, const apiserver::Authenticator& authenticator);
  ~ApiServers();

  // Makes the clusters, each with what its file holds and these objects. Nobody reaches them before listen().
  Status start(const std::vector<Manifest>& manifests);
  // More objects for one of them; waits for its loop.
  Result<Preloaded> add(size_t cluster, const std::vector<Manifest>& manifests, IfThere if_there);
  // A request to one of them without HTTP; waits for its loop.
  apiserver::Answer request(size_t cluster, const std::string& method, const std::string& target, const std::string& body = {});
  // kUnavailable: a port is taken.
  Status listen(const net::TlsServerOptions& tls);
  // For connections from now on: renewed certificates.
  void serve_with(const net::TlsServerOptions& tls);
  // Of each cluster, after listen().
  const std::vector<uint16_t>& ports() const { return ports_; }
  // Answers what is in flight until the deadline, then ends; waits for it. Once.
  void stop(Duration drain);

 private:
  class Shard;
  Shard& shard_of(size_t cluster) { return *shards_[cluster % shards_.size()]; }

  ApiServersOptions options_;
  ClusterDeps deps_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<uint16_t> ports_;
};

}  // namespace gs::embedded
