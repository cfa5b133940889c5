// An API server under test over TLS and HTTP/2, ours or kube-apiserver with its etcd, and one client of it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/plane_process.h"
#include "kube/cluster_connector.h"
#include "net/dns.h"
#include "net/tcp.h"

namespace gs::bench {

// A client of one server, with the token of `bench/fleet.h`.
std::unique_ptr<kube::HttpTransport> connect_to(UvLoop& loop, net::TlsContext& tls, net::Connector& tcp, uint16_t port);

class ApiTarget {
 public:
  // Runs what is needed in a directory of its own. Both write through to the disk.
  static std::unique_ptr<ApiTarget> ours(const std::string& binary, bool in_memory = false);
  // Null where the real binaries are not there: GULFSTREAM_KUBE_ASSETS, build/kube/bin.
  static std::unique_ptr<ApiTarget> peer();
  ~ApiTarget();

  // Kills our server and runs it again on the same data: ready_ms() then says how long that took.
  void restart();

  UvLoop& loop() { return loop_; }
  kube::HttpTransport& transport() { return *transport_; }
  // From the start of its processes until it said that it is ready.
  double ready_ms() const { return ready_ms_; }
  // Of all its processes.
  double cpu_seconds() const;
  size_t resident_bytes() const;

  // Runs `each` for numbers below `count`, so many at once, and waits.
  using Each = std::function<Task<void>(size_t)>;
  void run(size_t count, size_t at_once, const Each& each);
  void run_for(Duration time);
  bool run_until(const std::function<bool()>& done, Duration limit);
  // CHECKs that the answer is a success.
  Task<void> ask(std::string method, std::string target, std::string body, std::string* answer = nullptr);

 private:
  ApiTarget();
  void connect(uint16_t port);
  void wait_ready();
  Task<void> one_by_one(size_t& next, size_t count, const Each& each);
  Task<void> try_ready(bool& ready);

  std::string directory_;
  std::vector<std::string> command_;  // of our server
  UvLoop loop_;
  net::CaresResolver resolver_{loop_};
  net::TcpConnector tcp_{loop_, resolver_, nullptr};
  net::TlsContext tls_;
  std::chrono::steady_clock::time_point started_;
  double ready_ms_ = 0;
  std::vector<std::unique_ptr<ServerProcess>> processes_;
  std::unique_ptr<kube::HttpTransport> transport_;
};

}  // namespace gs::bench
