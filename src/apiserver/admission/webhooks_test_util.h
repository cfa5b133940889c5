// A server over the simulated network whose webhooks are functions that take their time.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <functional>

#include "apiserver/admission/admission.h"
#include "apiserver/api_server.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "runtime/task_scope.h"

namespace gs::apiserver {

using namespace std::chrono_literals;
using json::Value;

// By URL: what it answers to a review, and how long that takes.
class FakeClients final : public admission::WebhookClients {
 public:
  using Answering = std::function<Result<std::string>(const Value& review)>;
  explicit FakeClients(Loop& loop) : loop_(loop) {}

  Task<Result<std::string>> post(admission::ClientConfig config, std::string body, MonoTime deadline) override {
    const Value review = *json::parse(body);
    const std::string called = config.address();
    asked.emplace_back(called);
    reviews.push_back(review);
    most_at_once = std::max(most_at_once, ++now_asked);
    if (take > Duration::zero()) {
      co_await sleep_until(loop_, std::min(deadline, saturating_add(loop_.now(), take)));
    }
    --now_asked;
    if (loop_.now() >= deadline) co_return fail(Code::kDeadlineExceeded, "Post \"{}\": context deadline exceeded", called);
    if (!answers.contains(called)) co_return fail(Code::kUnavailable, "Post \"{}\": connection refused", called);
    co_return answers[called](review);
  }

  std::map<std::string, Answering> answers;
  std::vector<std::string> asked;
  std::vector<Value> reviews;
  Duration take{0};
  int now_asked = 0, most_at_once = 0;

 private:
  Loop& loop_;
};

class WebhooksTest : public testing::Test {
 protected:
  WebhooksTest() {
    listener = *net::SimListener::listen(loop, net, "server", 443, http);
    kube::ConnectionConfig config;
    config.server = *kube::parse_server_url("http://server:443");
    transport = std::make_unique<kube::HttpTransport>(loop, connector, config, kube::HttpTransportOptions());
    server.handler().set_webhook_clients(clients);
  }
  Task<void> send(kube::Request request) {
    request.content_type = !request.content_type.empty() ? request.content_type : request.method == "PATCH" ? "application/merge-patch+json" : "application/json";
    auto sending = transport->send(std::move(request));
    auto got = co_await std::move(sending);
    answer = got ? *got : kube::Response();
  }
  int ask(const std::string& method, const std::string& target, const std::string& body = {}, Duration most = 40s) {
    TaskScope scope(loop);
    begin(scope, method, target, body);
    world.run_for(most);
    return finish();
  }
  void begin(TaskScope& scope, const std::string& method, const std::string& target, const std::string& body = {}) {
    answer = {};
    kube::Request request(method, target);
    request.body = body;
    loop.post([this, &scope, request = std::move(request)] { scope.spawn(send(request)); });
  }
  int finish() {
    const auto parsed = json::parse(answer.body);
    object = parsed ? *parsed : Value();
    return answer.status;
  }
  std::string text(std::string_view path) { return std::string(object.text(path)); }
  std::string message() { return text("message"); }
  SimWorld world{7};
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  FakeClients clients{loop};
  ApiServer server{loop};
  net::HttpServer http{loop, server.handler()};
  std::unique_ptr<net::Listener> listener;
  net::SimConnector connector{loop, net, "client"};
  std::unique_ptr<kube::HttpTransport> transport;
  kube::Response answer;
  Value object;
};

}  // namespace gs::apiserver
