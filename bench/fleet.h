// The other side of a benchmark: embedded API servers over TLS on loopback, a delegate, and the
// directory of configuration that leads a plane to them. One loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/api_server.h"
#include "bench/cluster_processes.h"
#include "net/http_server.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "runtime/uv_loop.h"
#include "test/support/certs.h"
#include "test/support/delegate_server.h"

namespace gs::bench {

namespace pb = ::gulfstream::delegate::v1;

// What every cluster takes for an administrator's.
inline constexpr const char* kToken = "bench-token";

// One server on a port of its own.
class FakeCluster final : private apiserver::RestHandler::Observer {
 public:
  FakeCluster(UvLoop& loop, net::TlsContext& tls, const net::TlsServerOptions& options);
  uint16_t port() const { return listener_->port(); }
  apiserver::ApiServer server;
  uint64_t status_writes = 0;  // that were served
  std::function<void(const apiserver::Answer&)> on_status;  // told of each; may be empty

 private:
  void served(const apiserver::RestRequest& request, const apiserver::Answer& answer) override;

  net::HttpServer http_;
  net::TlsAcceptor tls_;
  std::unique_ptr<net::TcpListener> listener_;
};

// What a benchmark's delegate does with a key.
class Decider : public test::DelegateServer::Logic {
 public:
  explicit Decider(UvLoop& loop) : loop(loop) {}
  void overlapping(const std::string&) override {}

 protected:
  ~Decider() = default;
  UvLoop& loop;
};

class Fleet {
 public:
  Fleet();
  ~Fleet();

  UvLoop loop;
  std::vector<std::unique_ptr<FakeCluster>> clusters;

  // More clusters, not yet known to the plane.
  void add_clusters(size_t count, const std::function<void(FakeCluster&)>& preload = {});
  // More clusters of `binary apiserver`, so many in a process at most, each with the objects of a YAML; waits until they
  // listen.
  Status add_processes(const std::string& binary, size_t count, size_t each, const std::string& preload);
  // What those cost.
  const ClusterProcesses& processes() const { return *processes_; }
  // Of all clusters, those in processes behind the others.
  std::vector<uint16_t> ports() const;
  // Serves a delegate; `logic` outlives the fleet.
  void serve(test::DelegateServer::Logic& logic, uint32_t max_in_flight = 256, std::vector<std::string> capabilities = {});
  void stop_serving();
  test::DelegateServer& delegate() { return *delegate_; }
  std::string delegate_url() const;
  // Another port of the same delegate: an endpoint, and so a session, of its own.
  std::string another_delegate_url();

  // Writes kubeconfigs of all clusters and a Controller (YAML; DELEGATE stands for the URL).
  void write_config(const std::vector<std::string>& controllers);
  const std::string& directory() const { return directory_; }

  // Runs the loop for a time, or until a condition; false where the limit came first.
  void run_for(Duration time);
  bool run_until(const std::function<bool()>& done, Duration limit);
  // Until the plane and this side cost next to nothing for two seconds, or half a minute at most.
  void settle(const PlaneProcess& plane);

 private:
  net::TlsContext tls_;
  test::KeyPair ca_, serving_;
  net::TlsServerOptions server_options_;
  std::string root_;
  std::string directory_;
  std::unique_ptr<ClusterProcesses> processes_;
  uint16_t delegate_port_ = 0;
  std::unique_ptr<test::DelegateServer> delegate_;
  std::unique_ptr<net::HttpServer> delegate_http_;
  std::unique_ptr<net::TcpListener> delegate_listener_;
  std::vector<std::unique_ptr<net::TcpListener>> more_listeners_;
};

}  // namespace gs::bench
