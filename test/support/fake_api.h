// An API server of a few canned answers, over whatever streams it is given: for tests of connections and
// credentials, not of Kubernetes.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "net/http_server.h"
#include "runtime/sync.h"

namespace gs::test {

struct CannedAnswer {
  CannedAnswer() = default;
  CannedAnswer(int s, std::string b) : status(s), body(std::move(b)) {}
  int status = 200;
  std::string body;
  net::Headers headers;
  bool never = false;  // the client waits
  bool hold = false;   // after the body the answer stays open, as a watch
};

class FakeApi final : public net::HttpHandler {
 public:
  explicit FakeApi(Loop& loop) : loop_(loop), server_(std::make_unique<net::HttpServer>(loop, *this)) {}

  net::Listener::Acceptor& acceptor() { return *server_; }
  net::HttpServer& server() { return *server_; }
  // Breaks all connections, also in the middle of answers.
  void restart() { server_ = std::make_unique<net::HttpServer>(loop_, *this); }
  // Asked first; a status of 0 leaves the answer to the standard ones.
  std::function<CannedAnswer(const net::HttpRequest&)> script;
  std::vector<net::HttpRequest> requests;

  static CannedAnswer standard(const net::HttpRequest& request) {
    if (request.target == "/version") return {200, R"({"major":"1","minor":"36","gitVersion":"v1.36.3"})"};
    if (request.target == "/api/v1/namespaces/kube-system") {
      return {200, R"({"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"cluster-uid"}})"};
    }
    return {404, status(404, "NotFound", "the server could not find the requested resource")};
  }
  static std::string status(int code, const std::string& reason, const std::string& message) {
    return fmt::format(R"({{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"{}","message":"{}","code":{}}})", reason,
                       message, code);
  }

  Task<void> handle(net::HttpExchange& exchange) override {
    auto reading = exchange.read_all(1 << 20, kNoDeadline);
    auto body = co_await reading;
    net::HttpRequest request = exchange.request();
    if (body) request.body = *std::move(body);
    requests.push_back(request);
    CannedAnswer answer;
    answer.status = 0;
    if (script) answer = script(request);
    if (answer.status == 0) answer = standard(request);
    if (answer.never) {
      co_await exchange.wait_client_gone();
      co_return;
    }
    net::HttpHead head(answer.status);
    head.headers = answer.headers;
    head.headers.emplace_back("content-type", "application/json");
    if (!answer.hold) {
      exchange.respond(head, answer.body);
      co_return;
    }
    exchange.start(head);
    auto writing = exchange.write(answer.body, kNoDeadline);
    const Status written = co_await writing;
    if (written) co_await exchange.wait_client_gone();
  }

 private:
  Loop& loop_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace gs::test
