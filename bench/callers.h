// Callers of a webhook, as API servers are: each holds an HTTP/1.1 connection over TLS, with one review at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/dns.h"
#include "net/http.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "runtime/uv_loop.h"

namespace gs::bench {

struct WebhookAddress {
  std::string host = "127.0.0.1";  // that is dialled
  uint16_t port = 0;
  std::string server_name;  // that its certificate is checked for
  std::string path;
  std::string ca_pem;
};

// An AdmissionReview of a Pod of about 4 KB that is created, as kube-apiserver 1.36 sends it.
std::string pod_review(size_t i);

class Callers {
 public:
  // Connects `count` of them; CHECKs that it could.
  Callers(UvLoop& loop, net::TlsContext& tls, const WebhookAddress& address, size_t count);
  ~Callers();

  struct Seen {
    uint64_t allowed = 0;
    uint64_t other = 0;              // refusals and errors: none are expected
    std::vector<double> latencies;   // ms, from the request's first byte to the answer's last, unsorted
  };
  // Each sends so many reviews a second, evenly spread over the callers; 0: the next as soon as the last was answered.
  Seen run(Duration time, double each_per_second);

 private:
  Task<void> dial(net::Connector& connector);
  Task<void> call(size_t i, MonoTime end, double per_second, Seen& seen);
  Task<bool> review(net::HttpConnection& connection, const net::HttpRequest& request);

  UvLoop& loop_;
  WebhookAddress address_;
  std::vector<std::unique_ptr<net::HttpConnection>> connections_;
  std::vector<net::HttpRequest> requests_;
};

}  // namespace gs::bench
