// /livez, /readyz, /metrics and the like over plain HTTP, for probes, Prometheus and people. On loop 0.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/http_server.h"
#include "net/tcp.h"

namespace gs::daemon {

struct HealthAnswer {
  HealthAnswer(int s, std::string b, std::string type = "text/plain; charset=utf-8")
      : status(s), body(std::move(b)), content_type(std::move(type)) {}
  int status;
  std::string body;
  std::string content_type;
};

class HealthEndpoints final : private net::HttpHandler {
 public:
  // Called with the path, without a query; nullopt: 404.
  using Answer = std::function<Task<std::optional<HealthAnswer>>(std::string path)>;

  HealthEndpoints(UvLoop& loop, Answer answer);
  // "HOST:PORT"; without a host all addresses.
  Status listen(const std::string& address);

 private:
  Task<void> handle(net::HttpExchange& exchange) override;

  UvLoop& loop_;
  Answer answer_;
  net::HttpServer server_;
  std::unique_ptr<net::TcpListener> listener_;
};

}  // namespace gs::daemon
