// Watches over the simulated network that no informer would make: slow ones, and a thousand of them.
#include "apiserver/watch_hub.h"

#include <fmt/format.h>

#include "apiserver/api_server.h"
#include "gtest/gtest.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"

namespace gs::apiserver {
namespace {

using namespace std::chrono_literals;
const std::string kMaps = "/api/v1/namespaces/default/configmaps";

class WatchHubTest : public testing::Test {
 protected:
  WatchHubTest() {
    listener = *net::SimListener::listen(loop, net, "server", 443, http);
    kube::ConnectionConfig config;
    config.server = *kube::parse_server_url("http://server:443");
    transport = std::make_unique<kube::HttpTransport>(loop, connector, config, kube::HttpTransportOptions());
  }
  struct Client {
    std::string lines;
    bool open = false;
    bool ended = false;
  };
  // Reads only as long as `reads`.
  Task<void> watch(Client& client, std::string query, bool reads) {
    kube::Request request("GET", kMaps + "?watch=true" + query);
    request.lane = kube::Lane::kWatch;
    auto stream = co_await transport->open(std::move(request));
    client.open = stream.has_value();
    while (client.open && !client.ended) {
      if (!reads) {
        co_await sleep_for(loop, 1h);
      }
      const auto bytes = co_await (*stream)->read(kNoDeadline);
      client.ended = !bytes || bytes->empty();
      if (!client.ended) client.lines += *bytes;
    }
  }
  void write(const std::string& name, size_t bytes) {
    const Answer answer = server.request("POST", kMaps, fmt::format(R"({{"metadata":{{"name":"{}"}},"data":{{"v":"{}"}}}})", name, std::string(bytes, 'x')));
    ASSERT_EQ(answer.status, 201) << answer.body;
  }
  static size_t count(const std::string& text, const std::string& what) {
    size_t out = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++out;
    return out;
  }

  SimWorld world{5};
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  ApiServer server{loop};
  net::HttpServer http{loop, server.handler()};
  std::unique_ptr<net::Listener> listener;
  net::SimConnector connector{loop, net, "client"};
  std::unique_ptr<kube::HttpTransport> transport;
  std::vector<Client> clients;
  TaskScope scope{loop};
};

TEST_F(WatchHubTest, ABookmarkComesShortlyBeforeTheEndOfAWatch) {
  clients.resize(2);
  loop.post([&] {
    scope.spawn(watch(clients[0], "&resourceVersion=1&allowWatchBookmarks=true&timeoutSeconds=10", true));
    scope.spawn(watch(clients[1], "&resourceVersion=1&timeoutSeconds=10", true));
  });
  world.run_for(7s);
  EXPECT_EQ(count(clients[0].lines, "BOOKMARK"), 0u);
  world.run_for(2s);
  EXPECT_EQ(count(clients[0].lines, "BOOKMARK"), 1u);
  world.run_for(5s);
  EXPECT_TRUE(clients[0].ended);
  EXPECT_EQ(count(clients[0].lines, "BOOKMARK"), 1u) << "no second one";
  EXPECT_EQ(count(clients[1].lines, "BOOKMARK"), 0u);
}

TEST_F(WatchHubTest, AWatcherThatTakesNothingIsDroppedAndHoldsNoBufferUntilThen) {
  clients.resize(1);
  loop.post([&] { scope.spawn(watch(clients[0], "", false)); });
  world.run_for(1s);
  ASSERT_TRUE(clients[0].open);
  for (int i = 0; i < 60; ++i) write(fmt::format("m{}", i), 100'000);
  world.run_for(30s);
  EXPECT_EQ(server.handler().open_watches(), 1u) << "it may still come back";
  world.run_for(2min);
  EXPECT_EQ(server.handler().open_watches(), 0u);
  scope.cancel();
}

TEST_F(WatchHubTest, AThousandWatchersEachAreToldOfEachChangeOnce) {
  clients.resize(1000);
  loop.post([&] {
    for (Client& client : clients) scope.spawn(watch(client, "", true));
  });
  world.run_for(20s);
  ASSERT_EQ(server.handler().open_watches(), 1000u);
  for (int i = 0; i < 20; ++i) {
    write(fmt::format("m{}", i), 1000);
    if (i % 3 == 0) world.run_for(100ms);
  }
  world.run_for(5s);
  for (const Client& client : clients) {
    ASSERT_EQ(count(client.lines, "\"type\":\"ADDED\""), 20u);
    ASSERT_EQ(count(client.lines, "\"name\":\"m19\""), 1u);
  }
  scope.cancel();
}

Task<void> list(kube::HttpTransport& transport, kube::Response& out) {
  auto answer = co_await transport.send(kube::Request("GET", kMaps));
  if (answer) out = *std::move(answer);
}

TEST_F(WatchHubTest, ALongListIsSentInPartsAndIsWhole) {
  for (int i = 0; i < 800; ++i) write(fmt::format("m{}", i), 1000);
  for (int i = 0; i < 5; ++i) {
    kube::Response response;
    loop.post([&] { scope.spawn(list(*transport, response)); });
    const MonoTime begun = world.now();
    ASSERT_TRUE(world.run_until([&] { return response.status != 0; }, world.now() + 2min));
    EXPECT_LT(world.now() - begun, 10s) << "nobody waits for what does not come";
    const auto body = json::parse(response.body);
    ASSERT_TRUE(body.has_value()) << "parts that do not fit together";
    EXPECT_EQ(body->find("items")->array()->size(), 800u);
  }
  scope.cancel();
}

}  // namespace
}  // namespace gs::apiserver
