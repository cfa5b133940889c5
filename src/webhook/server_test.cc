#include "webhook/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http1_connection.h"
#include "net/http2_connection.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "webhook/review_test_util.h"
#include "webhook/webhook_test_util.h"

namespace gs::webhook {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const std::string kPath = "/k3x/admissionwebhooks/image-policy?timeout=10s";

struct Got {
  int status = 0;
  net::Headers headers;
  std::string body;
  Duration took{};
};

// API servers in two clusters, the plane, and the network between.
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    net.add_host("plane", "10.0.0.1");
    net.add_host("east", "10.1.0.1");
    net.add_host("west", "10.2.0.1");
    add("k3x", "east", east);
    add("z9q", "west", west);
  }
  void add(const std::string& prefix, const std::string& cluster, Script& script) {
    TargetOptions options;
    options.webhook = "image-policy";
    options.delegate = "https://policy.example";
    options.cluster = cluster;
    options.max_concurrent = 50;
    auto target = std::make_shared<Target>(options, std::make_unique<FakeReviewer>(loop, script), TargetDeps(loop, webhook_metrics));
    table.set(prefix, ReviewKind::kAdmission, "image-policy", target);
    table.set(prefix, ReviewKind::kConversion, "image-policy", target);
  }
  void listen(WebhookServerOptions options = {}) {
    server = std::make_unique<WebhookServer>(loop, table, metrics, options);
    http = std::make_unique<net::HttpServer>(loop, *server);
    listener = *net::SimListener::listen(loop, net, "plane", 9443, *http);
  }
  std::unique_ptr<net::HttpConnection> connect(const std::string& from, bool http2 = false) {
    if (server == nullptr) listen();
    net::SimConnector connector(loop, net, from);
    auto stream = wait(connector.connect(net::Endpoint("plane", 9443), world.now() + 5s));
    EXPECT_TRUE(stream.has_value());
    return http2 ? net::make_http2_connection(loop, *std::move(stream)) : net::make_http1_connection(loop, *std::move(stream));
  }
  static net::HttpRequest post(const std::string& target, std::string body, const std::string& type = "application/json") {
    net::HttpRequest request("POST", target);
    request.authority = "plane:9443";
    if (!type.empty()) request.headers.emplace_back("content-type", type);
    request.body = std::move(body);
    return request;
  }
  Task<Got> exchange(net::HttpConnection& connection, net::HttpRequest request) {
    Got got;
    const MonoTime began = loop.now();
    auto stream = connection.open(request, false);
    if (!stream) co_return got;
    auto head = co_await (*stream)->head(kNoDeadline);
    if (!head) co_return got;
    got.status = head->status;
    got.headers = std::move(head->headers);
    while (true) {
      auto part = co_await (*stream)->read(kNoDeadline);
      if (!part || part->empty()) break;
      got.body += *part;
    }
    got.took = loop.now() - began;
    co_return got;
  }
  Got send(const std::string& from, net::HttpRequest request) {
    const auto connection = connect(from);
    return wait(exchange(*connection, std::move(request)));
  }
  Got review(const std::string& from, const std::string& target = kPath) { return send(from, post(target, kCreatePod)); }
  Task<void> exchange_into(net::HttpConnection& connection, std::string body, std::vector<Got>& out) {
    Task<Got> asking = exchange(connection, post(kPath, std::move(body)));
    Got got = co_await std::move(asking);
    out.push_back(std::move(got));
  }
  // A worker of an API server: one review after the other, each on a connection of its own.
  Task<void> caller(const std::string& from, std::string target, int reviews, std::vector<Got>& out) {
    net::SimConnector connector(loop, net, from);
    for (int i = 0; i < reviews; ++i) {
      auto stream = co_await connector.connect(net::Endpoint("plane", 9443), loop.now() + 5s);
      if (!stream) continue;
      const auto connection = net::make_http1_connection(loop, *std::move(stream));
      net::HttpRequest request = post(target, kCreatePod);
      Task<Got> asking = exchange(*connection, std::move(request));
      Got got = co_await std::move(asking);
      out.push_back(std::move(got));
    }
  }
  template <class T>
  T wait(Task<T> task) {
    bool done = false;
    if (!task.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done)) {
      EXPECT_TRUE(world.run_until([&] { return done; }, world.now() + 1h));
    }
    return task.take_result();
  }

  SimWorld world{11};
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  Metrics metrics;
  WebhookMetrics webhook_metrics{metrics, "image-policy"};
  Script east, west;
  TargetTable table{"salt"};
  std::unique_ptr<WebhookServer> server;
  std::unique_ptr<net::HttpServer> http;
  std::unique_ptr<net::SimListener> listener;
  TaskScope scope{loop};
};

TEST_F(ServerTest, AnswersAReviewOfAKnownPath) {
  const Got got = review("east");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(*net::find_header(got.headers, "content-type"), "application/json");
  EXPECT_THAT(got.body, HasSubstr(R"("uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true)"));
  EXPECT_EQ(east.asked, 1);
  EXPECT_EQ(west.asked, 0);
  EXPECT_EQ(review("west", "/z9q/admissionwebhooks/image-policy").status, 200);
  EXPECT_EQ(west.asked, 1);
}

TEST_F(ServerTest, GivesEverythingThatIsNotThereTheSameAnswerInTheSameWay) {
  WebhookServerOptions options;
  options.wrong_paths.burst = 100;
  listen(options);
  const std::string wrong[] = {
      "/", "/k3x", "/k3x/", "/k3x/admissionwebhooks", "/k3x/admissionwebhooks/", "/k3x/admissionwebhooks/other",
      "/k3x/conversionwebhook/image-policy", "/k3y/admissionwebhooks/image-policy", "/K3X/admissionwebhooks/image-policy",
      "/admissionwebhooks/image-policy", "//admissionwebhooks/image-policy", "/k3x/admissionwebhooks/image-policy/",
      "/k3x/admissionwebhooks/image%2Dpolicy", "/k3x/k3x/admissionwebhooks/image-policy", "/z9q/../k3x/admissionwebhooks/image-policy",
      "/" + std::string(5000, 'a') + "/admissionwebhooks/image-policy", "/metrics", "/livez",
  };
  const Got first = review("east", wrong[0]);
  EXPECT_EQ(first.status, 404);
  for (const std::string& path : wrong) {
    for (net::HttpRequest request : {post(path, kCreatePod), post(path, "{}", ""), net::HttpRequest("GET", path)}) {
      request.authority = "plane";
      const Got got = send("east", request);
      EXPECT_EQ(got.status, 404) << path;
      EXPECT_EQ(got.body, first.body);
      EXPECT_EQ(*net::find_header(got.headers, "content-type"), *net::find_header(first.headers, "content-type"));
      EXPECT_EQ(net::find_header(got.headers, "retry-after"), nullptr);
    }
  }
  EXPECT_EQ(east.asked + west.asked, 0);
}

TEST_F(ServerTest, LimitsWrongPathsByAddressAndStillServesRightOnes) {
  WebhookServerOptions options;
  options.wrong_paths.burst = 5;
  options.wrong_paths.per_second = 1;
  listen(options);
  std::vector<int> statuses;
  for (int i = 0; i < 7; ++i) statuses.push_back(review("east", "/guess/admissionwebhooks/image-policy").status);
  EXPECT_EQ(statuses, (std::vector<int>{404, 404, 404, 404, 404, 429, 429}));
  EXPECT_EQ(review("west", "/guess/admissionwebhooks/image-policy").status, 404);
  EXPECT_EQ(review("east").status, 200);
  world.run_for(2s);
  EXPECT_EQ(review("east", "/guess/admissionwebhooks/image-policy").status, 404);
}

TEST(PeerLimit, RemembersABoundedNumberOfAddresses) {
  PeerLimitOptions options;
  options.burst = 1;
  options.per_second = 0;
  options.max_peers = 3;
  PeerLimit limit(options);
  const MonoTime now{};
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limit.take(fmt::format("10.0.{}.{}", i / 256, i % 256), now));
  EXPECT_EQ(limit.size(), 3u);
  EXPECT_FALSE(limit.take("10.0.3.231", now));  // the last
  EXPECT_TRUE(limit.take("10.0.0.0", now));     // forgotten
}

TEST_F(ServerTest, SaysWhatIsWrongWithARequestOfAKnownPath) {
  net::HttpRequest get("GET", kPath);
  get.authority = "plane";
  EXPECT_EQ(send("east", get).status, 405);
  EXPECT_EQ(send("east", post(kPath, kCreatePod, "text/plain")).status, 415);
  EXPECT_EQ(send("east", post(kPath, kCreatePod, "")).status, 415);
  EXPECT_EQ(send("east", post(kPath, kCreatePod, "Application/JSON; charset=utf-8")).status, 200);
  const Got malformed = send("east", post(kPath, "{\"kind\":\"AdmissionReview\""));
  EXPECT_EQ(malformed.status, 400);
  EXPECT_THAT(malformed.body, HasSubstr("not a review that can be answered: invalid JSON"));
  EXPECT_EQ(east.asked, 1);
}

TEST_F(ServerTest, TakesAReviewUpToItsBoundAndRefusesALargerOneClearly) {
  WebhookServerOptions options;
  EXPECT_GT(options.max_body_bytes, 2u * 3 * 1024 * 1024) << "the new object and the old one, 3 MiB each";
  options.max_body_bytes = 200'000;
  listen(options);
  EXPECT_EQ(send("east", post(kPath, std::string(190'000, ' ') + kCreatePod)).status, 200);
  const Got got = send("east", post(kPath, std::string(200'000, ' ') + kCreatePod));
  EXPECT_EQ(got.status, 413);
  EXPECT_THAT(got.body, HasSubstr("a review may be 200000 bytes long"));
  EXPECT_EQ(review("east").status, 200);
}

TEST_F(ServerTest, GivesUpOnABodyThatDoesNotCome) {
  net::SimConnector connector(loop, net, "east");
  listen();
  auto stream = wait(connector.connect(net::Endpoint("plane", 9443), world.now() + 5s));
  struct Peer final : net::ByteStream::Handler {
    void on_data(std::string_view bytes) override { received += bytes; }
    void on_closed(const Error&) override { closed = true; }
    std::string received;
    bool closed = false;
  } peer;
  (*stream)->start(peer);
  (*stream)->write("POST " + kPath + " HTTP/1.1\r\nhost: plane\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n{\"kind\"");
  for (int i = 0; i < 100 && !peer.closed; ++i) {
    world.run_for(100ms);
    (*stream)->write(" ");
  }
  EXPECT_THAT(peer.received, HasSubstr("HTTP/1.1 408 "));
  EXPECT_TRUE(peer.closed);
  EXPECT_EQ(east.asked, 0);
  EXPECT_EQ(server->in_flight(), 0u);
}

TEST_F(ServerTest, RefusesWhatFramesABodyInTwoWays) {
  const std::string shapes[] = {
      "content-length: 5\r\ntransfer-encoding: chunked\r\n",
      "content-length: 5\r\ncontent-length: 6\r\n",
      "transfer-encoding: chunked, identity\r\n",
      "content-length: +5\r\n",
      "content-length : 5\r\n",
      "transfer-encoding: \x0b" "chunked\r\n",
  };
  listen();
  for (const std::string& shape : shapes) {
    net::SimConnector connector(loop, net, "east");
    auto stream = wait(connector.connect(net::Endpoint("plane", 9443), world.now() + 5s));
    struct Peer final : net::ByteStream::Handler {
      void on_data(std::string_view bytes) override { received += bytes; }
      void on_closed(const Error&) override {}
      std::string received;
    } peer;
    (*stream)->start(peer);
    (*stream)->write("POST " + kPath + " HTTP/1.1\r\nhost: plane\r\ncontent-type: application/json\r\n" + shape + "\r\n0\r\n\r\nGET /readyz HTTP/1.1\r\nhost: plane\r\n\r\n");
    world.run_for(10s);
    EXPECT_THAT(peer.received, HasSubstr("HTTP/1.1 400 ")) << shape;
    EXPECT_EQ(peer.received.find("HTTP/1.1 200"), std::string::npos) << shape;
  }
  EXPECT_EQ(east.asked, 0);
}

TEST_F(ServerTest, ServesReviewAfterReviewOnOneConnectionAndManyAtOnceOnHttp2) {
  const auto keep_alive = connect("east");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(wait(exchange(*keep_alive, post(kPath, kCreatePod))).status, 200);
  const auto http2 = connect("east", true);
  east.delay = 1s;
  std::vector<Got> got;
  for (int i = 0; i < 50; ++i) {
    scope.spawn(exchange_into(*http2, kCreatePod, got));
  }
  world.run_for(2s);
  ASSERT_EQ(got.size(), 50u);
  for (const Got& one : got) EXPECT_EQ(one.status, 200);
  EXPECT_EQ(east.most_at_once, 50);
}

TEST_F(ServerTest, CancelsAReviewWhoseApiServerWentAway) {
  east.hang = true;
  auto connection = connect("east");
  bool done = false;
  Task<Got> asking = exchange(*connection, post(kPath, kCreatePod));
  ASSERT_FALSE(asking.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done));
  world.run_for(100ms);
  EXPECT_EQ(east.at_once, 1);
  asking.reset();
  connection.reset();
  world.run_for(100ms);
  EXPECT_EQ(east.at_once, 0);
  EXPECT_EQ(server->in_flight(), 0u);
}

TEST_F(ServerTest, AFloodingClusterIsShedAndDoesNotSlowAnother) {
  WebhookServerOptions options;
  options.max_cluster_reviews = 200;
  listen(options);
  west.delay = 5ms;
  std::vector<Got> calm;
  wait(caller("west", "/z9q/admissionwebhooks/image-policy?timeout=10s", 100, calm));
  Duration slowest_calm{};
  for (const Got& got : calm) slowest_calm = std::max(slowest_calm, got.took);

  // 500 workers of the east, whose delegate hangs: 50 wait for it, the rest are answered by choice or turned away.
  east.hang = true;
  std::vector<Got> flood, beside;
  for (int i = 0; i < 500; ++i) scope.spawn(caller("east", "/k3x/admissionwebhooks/image-policy?timeout=10s", 20, flood));
  world.run_for(20ms);
  wait(caller("west", "/z9q/admissionwebhooks/image-policy?timeout=10s", 100, beside));
  ASSERT_EQ(beside.size(), 100u);
  for (const Got& got : beside) {
    EXPECT_EQ(got.status, 200);
    EXPECT_THAT(got.body, HasSubstr("\"allowed\":true"));
    EXPECT_LE(got.took, slowest_calm + 5ms);
  }
  EXPECT_LE(east.most_at_once, 50);
  size_t by_choice = 0, turned_away = 0;
  for (const Got& got : flood) {
    by_choice += got.status == 200;
    turned_away += got.status == 429 && net::find_header(got.headers, "retry-after") != nullptr;
  }
  EXPECT_GT(by_choice, 0u);
  EXPECT_EQ(by_choice + turned_away, flood.size());
}

TEST_F(ServerTest, BoundsTheBytesOfAClustersReviews) {
  WebhookServerOptions options;
  options.max_cluster_bytes = 4 << 20;
  listen(options);
  east.hang = true;
  const std::string large = replaced(kCreatePod, R"("status":{})", R"("status":{"x":")" + std::string(1 << 20, 'x') + "\"}");
  std::vector<std::unique_ptr<net::HttpConnection>> connections;
  std::vector<Got> got;
  for (int i = 0; i < 6; ++i) {
    connections.push_back(connect("east"));
    scope.spawn(exchange_into(*connections.back(), large, got));
  }
  world.run_for(5s);
  EXPECT_GE(got.size(), 3u);
  for (const Got& one : got) EXPECT_EQ(one.status, 429);
  EXPECT_GE(east.at_once, 1);
  EXPECT_LE(east.at_once, 3);
  EXPECT_EQ(review("west", "/z9q/admissionwebhooks/image-policy").status, 200);
  world.run_for(20s);
  EXPECT_EQ(server->in_flight(), 0u);
}

TEST_F(ServerTest, DrainingFailsReadinessAndServesUntilItIsQuiet) {
  net::HttpRequest ready("GET", "/readyz");
  ready.authority = "plane";
  EXPECT_EQ(send("east", ready).status, 200);
  east.delay = 50ms;
  std::vector<Got> got;
  scope.spawn(caller("east", kPath, 100, got));
  world.run_for(100ms);
  bool drained = false;
  Task<void> draining = server->drain(2s, world.now() + 60s);
  ASSERT_FALSE(draining.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &drained));
  EXPECT_EQ(send("west", ready).status, 503);
  const MonoTime began = world.now();
  ASSERT_TRUE(world.run_until([&] { return got.size() == 100; }, world.now() + 60s));
  EXPECT_FALSE(drained);
  EXPECT_GT(world.now() - began, 5s);
  for (const Got& one : got) EXPECT_EQ(one.status, 200);
  const MonoTime last = world.now();
  ASSERT_TRUE(world.run_until([&] { return drained; }, world.now() + 60s));
  EXPECT_GE(world.now() - last, 1900ms);
  EXPECT_LE(world.now() - last, 2100ms);
}

TEST_F(ServerTest, DrainingEndsAtItsDeadlineHoweverMuchComes) {
  east.hang = true;
  std::vector<Got> got;
  connect("east");
  for (int i = 0; i < 20; ++i) scope.spawn(caller("east", kPath, 100, got));
  world.run_for(100ms);
  const MonoTime began = world.now();
  wait(server->drain(2s, began + 15s));
  EXPECT_EQ(world.now() - began, 15s);
}

TEST(TargetTable, ServesTwoPrefixesWhileOneIsBeingRotated) {
  class Nobody final : public Destination {
   public:
    Task<HttpAnswer> serve(ReviewKind, std::string, std::string, MonoTime) override { co_return HttpAnswer("{}"); }
    const std::string& cluster() const override { return name; }
    std::string name = "east";
  };
  TargetTable table("salt");
  const auto target = std::make_shared<Nobody>();
  table.set("old", ReviewKind::kAdmission, "w", target);
  table.set("new", ReviewKind::kAdmission, "w", target);
  EXPECT_EQ(table.find("old", ReviewKind::kAdmission, "w"), target);
  EXPECT_EQ(table.find("new", ReviewKind::kAdmission, "w"), target);
  EXPECT_EQ(table.find("new", ReviewKind::kConversion, "w"), nullptr);
  EXPECT_EQ(table.find("ne", ReviewKind::kAdmission, "ww"), nullptr);
  table.erase("old", ReviewKind::kAdmission, "w");
  EXPECT_EQ(table.find("old", ReviewKind::kAdmission, "w"), nullptr);
  EXPECT_EQ(table.size(), 1u);
}

}  // namespace
}  // namespace gs::webhook
