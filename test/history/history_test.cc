// The checker finds what is broken in small histories, and nothing in those of the embedded server: in the
// simulation, where it crashes at any moment, its disk fails and the network breaks, and over processes
// that are killed (crash_test.cc).
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "apiserver/api_server.h"
#include "base/log.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "store/faulty_vfs.h"
#include "test/history/clients.h"

namespace gs::history {
namespace {

using namespace std::chrono_literals;
using Kind = Operation::Kind;
using Outcome = Operation::Outcome;

// A short history that is right: a is created, seen, updated, deleted.
struct Small : testing::Test {
  Small() {
    add(Kind::kCreate, 1, 2, "a", "v1", 10);
    add(Kind::kCreate, 1, 4, "b", "w1", 11);
    add(Kind::kGet, 5, 6, "a", "v1", 10);
    add(Kind::kUpdate, 7, 9, "a", "v2", 12, 10);
    add(Kind::kList, 10, 11, "", "", 13).items = {{"a", {12, "v2"}}, {"b", {11, "w1"}}};
    add(Kind::kDelete, 12, 13, "a", "", 0, 12);
    add(Kind::kGet, 14, 15, "a", "", 0);
    watch.from = 9;
    watch.deliveries = {{Delivery::Type::kAdded, "a", {10, "v1"}, 3}, {Delivery::Type::kAdded, "b", {11, "w1"}, 5},
                        {Delivery::Type::kModified, "a", {12, "v2"}, 9}, {Delivery::Type::kBookmark, "", {13, ""}, 11},
                        {Delivery::Type::kDeleted, "a", {14, "v2"}, 16}};
    history.watches = {watch};
  }
  Operation& add(Kind kind, int64_t began, int64_t ended, const std::string& key, const std::string& value, uint64_t version, uint64_t precondition = 0) {
    Operation op;
    op.kind = kind;
    op.outcome = Outcome::kDone;
    op.began = began;
    op.ended = ended;
    op.key = key;
    op.precondition = precondition;
    if (kind == Kind::kCreate || kind == Kind::kUpdate) op.value = value;
    op.seen = {version, value};
    op.version = version;
    history.operations.push_back(op);
    return history.operations.back();
  }
  Watch& first() { return history.watches[0]; }
  void expect(const std::string& problem) { EXPECT_NE(check(history).find(problem), std::string::npos) << "found: " << check(history); }
  History history;
  Watch watch;
};

TEST_F(Small, ARightHistoryIsRight) { EXPECT_EQ(check(history), ""); }

TEST_F(Small, AnAcknowledgedWriteThatIsLostIsFound) {
  // As a crash would: the update is gone, and a read after it sees the version before.
  history.operations.resize(4);
  first().deliveries.resize(2);
  add(Kind::kGet, 20, 21, "a", "v1", 10);
  expect("a read of a saw version 10 after version 12 was known");
}

TEST_F(Small, ACreatedObjectThatIsGoneWithoutADeletionIsFound) {
  add(Kind::kGet, 20, 21, "b", "", 0);
  expect("a read of b saw nothing after version 11 was known");
  history.operations.pop_back();
  add(Kind::kList, 20, 21, "", "", 15);
  expect("lacks b");
}

TEST_F(Small, AVersionThatIsGivenTwiceIsFound) {
  add(Kind::kCreate, 20, 21, "c", "x", 11);
  expect("version 11 is both");
}

TEST_F(Small, VersionsThatGoBackAreFound) {
  history.operations.resize(4);  // without the list
  add(Kind::kCreate, 20, 21, "c", "x", 9);
  expect("x was written as version 9, after version 14 was known");
}

TEST_F(Small, AWriteThatALaterListDoesNotKnowOfIsFound) {
  add(Kind::kList, 20, 21, "", "", 13).items = {{"a", {12, "v2"}}, {"b", {11, "w1"}}};
  expect("a list has version 13 after version 14 was known");
}

TEST_F(Small, AListThatIsNoStateAtItsVersionIsFound) {
  add(Kind::kList, 20, 21, "", "", 15).items = {{"a", {12, "v2"}}, {"b", {11, "w1"}}};
  expect("a list of version 15 has version 12 of a, not 14");
}

TEST_F(Small, ALostUpdateIsFound) {
  // Both followed version 11, and both were acknowledged.
  add(Kind::kUpdate, 20, 22, "b", "w2", 20, 11);
  add(Kind::kUpdate, 20, 23, "b", "w3", 21, 11);
  expect("b is updated in version 21 from version 11, but it was 20");
}

TEST_F(Small, TwoCreatesOfOneObjectAreFound) {
  add(Kind::kCreate, 20, 22, "b", "w2", 20);
  expect("b is created in version 20 and was there");
}

TEST_F(Small, ARefusedWriteThatHappenedIsFound) {
  add(Kind::kCreate, 20, 22, "c", "x", 0).outcome = Outcome::kRefused;
  add(Kind::kGet, 23, 24, "c", "x", 20);
  expect("x was refused and is seen");
}

TEST_F(Small, AWriteOfUnknownOutcomeMayHaveHappenedOrNot) {
  add(Kind::kCreate, 20, 22, "c", "x", 0).outcome = Outcome::kUnknown;
  EXPECT_EQ(check(history), "");
  add(Kind::kGet, 23, 24, "c", "x", 20);
  EXPECT_EQ(check(history), "");
}

TEST_F(Small, WhatIsSeenBeforeItWasWrittenIsFound) {
  add(Kind::kGet, 18, 19, "c", "x", 20);
  add(Kind::kCreate, 20, 22, "c", "x", 20);
  expect("x was seen before it was written");
}

TEST_F(Small, AnEventThatAWatchLeavesOutIsFound) {
  first().deliveries.erase(first().deliveries.begin() + 2);
  expect("a watch from version 9 left out version 12 (a)");
}

TEST_F(Small, AnEventThatABookmarkPassesOverIsFound) {
  first().deliveries.resize(1);
  first().deliveries.push_back({Delivery::Type::kBookmark, "", {13, ""}, 11});
  expect("left out version 11");
}

TEST_F(Small, AnEventThatIsDeliveredTwiceOrOutOfOrderIsFound) {
  first().deliveries.insert(first().deliveries.begin() + 1, first().deliveries[0]);
  expect("a watch delivered version 10 after version 10");
  first().deliveries.erase(first().deliveries.begin());
  std::swap(first().deliveries[0], first().deliveries[1]);
  expect("a watch");
}

TEST_F(Small, AnEventOfTheWrongTypeIsFound) {
  first().deliveries[2].type = Delivery::Type::kAdded;
  expect("a watch delivered version 12 of a as added");
}

TEST_F(Small, AnEventThatNoLongerIsThereAfterACrashIsFound) {
  // The watch told of a write that a crash then took back.
  add(Kind::kUpdate, 20, 99, "b", "w2", 0, 11).outcome = Outcome::kUnknown;
  first().deliveries.push_back({Delivery::Type::kModified, "b", {15, "w2"}, 22});
  add(Kind::kGet, 30, 31, "b", "w1", 11);
  expect("a read of b saw version 11 after version 15 was known");
}

// One server on a simulated disk and network, its clients, and trouble from a seed.
class World {
 public:
  explicit World(uint64_t seed) : random(seed), world(seed), faulty(fmt::format("faulty-history-{}", seed)) {
    char name[] = "/tmp/gulfstream-history-XXXXXX";
    directory = mkdtemp(name);
    start();
    kube::ConnectionConfig config;
    config.server = *kube::parse_server_url("http://server:443");
    transport = std::make_unique<kube::HttpTransport>(loop, connector, config, kube::HttpTransportOptions());
    clients = std::make_unique<Clients>(loop, *transport, seed);
  }
  ~World() {
    clients->end();
    crash();
    transport.reset();
    std::filesystem::remove_all(directory);
  }
  void start() {
    apiserver::ApiServerOptions options;
    options.history.changes = 40;
    options.watches.bookmark_period = 2s;
    options.persistence.emplace();
    options.persistence->file.path = directory + "/objects.db";
    options.persistence->file.vfs = faulty.name();
    options.persistence->simulated = true;
    auto opened = apiserver::ApiServer::open(server_loop, options);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    server = *std::move(opened);
    http = std::make_unique<net::HttpServer>(server_loop, server->handler());
    listener = *net::SimListener::listen(server_loop, net, "server", 443, *http);
  }
  // As kill -9: what was not handed to the disk is lost, and what was is there.
  void crash() {
    // The kernel says so to the clients, unless it goes too.
    if (random.chance(0.8)) net.reset("client", "server");
    net.crash("server");
    listener.reset();
    http.reset();
    server.reset();
  }
  void trouble() {
    switch (random.below(7)) {
      case 0: return net.partition("client", "server", random.between(Duration(1ms), Duration(20s)));
      case 3: return server->store().compact();
      case 1: return net.reset("client", "server");
      case 2:
        // The disk fails in the middle of something, and maybe the process dies of it.
        faulty.code = random.chance(0.5) ? SQLITE_FULL : SQLITE_IOERR;
        faulty.good = static_cast<long>(random.below(12));
        world.run_for(random.between(Duration(1ms), Duration(5s)));
        if (random.chance(0.5)) crash();
        faulty.good = -1;
        break;
      default: crash(); break;
    }
    if (server) return;
    ++crashes;
    world.run_for(random.between(Duration(1ms), Duration(2s)));
    start();
  }
  std::string run(Duration time) {
    clients->start(4, 3, 5, 100ms);
    for (const MonoTime until = world.now() + time; world.now() < until;) {
      world.run_for(random.between(Duration(1ms), Duration(3s)));
      trouble();
    }
    clients->stop();
    world.run_until([&] { return clients->writers_done(); }, world.now() + 5min);
    world.run_for(10s);
    bool listed = false;
    TaskScope scope(loop);
    loop.post([&] { scope.spawn(list(listed)); });
    world.run_until([&] { return listed; }, world.now() + 10min);
    if (!listed) return fmt::format("no list at the end; health {}, version {}, durable {}", server->store().health() ? "" : server->store().health().error().message, server->store().version(), server->store().durable_version());
    clients->end();
    return check(clients->history());
  }
  // A connection may be half open for a while.
  Task<void> list(bool& listed) {
    while (!listed) {
      listed = co_await clients->final_list();
    }
  }

  Random random;
  SimWorld world;
  SimLoop& server_loop = world.add_loop();
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  store::FaultyVfs faulty;
  std::string directory;
  std::unique_ptr<apiserver::ApiServer> server;
  std::unique_ptr<net::HttpServer> http;
  std::unique_ptr<net::Listener> listener;
  net::SimConnector connector{loop, net, "client"};
  std::unique_ptr<kube::HttpTransport> transport;
  std::unique_ptr<Clients> clients;
  size_t crashes = 0;
};

TEST(HistoryTest, NoSeedFindsWhatALinearizableServerCouldNotDo) {
  log::configure(log::Level::kError, log::Format::kText);
  const char* wanted = std::getenv("HISTORY_SEED");
  const uint64_t first = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 1, count = wanted != nullptr ? 1 : 12;
  size_t operations = 0, acknowledged = 0, deliveries = 0, crashes = 0, expired = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    World world(seed);
    ASSERT_EQ(world.run(2min), "") << "HISTORY_SEED=" << seed;
    operations += world.clients->history().operations.size();
    acknowledged += world.clients->acknowledged();
    crashes += world.crashes;
    expired += world.clients->expired();
    for (const Watch& watch : world.clients->history().watches) deliveries += watch.deliveries.size();
  }
  fmt::print("{} operations, {} acknowledged writes, {} deliveries, {} crashes, {} watches too old\n", operations, acknowledged, deliveries, crashes, expired);
  EXPECT_GT(acknowledged, 100u * count);
  EXPECT_GT(deliveries, acknowledged / 2);
  EXPECT_GT(crashes, 10u * count);
}

}  // namespace
}  // namespace gs::history
