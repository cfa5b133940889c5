// Lists and watches of the plane's cache, against a cluster whose watch the test moves.
#include "gateway/pair_reads.h"

#include "gateway/gateway_test_util.h"
#include "json/scan.h"

namespace gs::gateway {
namespace {

using test::config_map;
using test::frame;

Rules watched_rules() {
  Rules rules;
  rules.primary = {"", "v1", "pods", "", {}, false};
  rules.secondary = {{"", "v1", "configmaps", "", {}, true}, {"", "v1", "secrets", "", {}, false}};
  return rules;
}

std::string labelled(const std::string& name, int version, const std::string& value) {
  return config_map(name, version, "u-" + name, R"(,"labels":{"x":")" + value + "\"}");
}

struct PairReadsTest : ::testing::Test {
  PairReadsTest() {
    reads.add(*world.handle);
    world.told = [this](const kube::ObjectRef& before, const kube::ObjectRef& after, bool deleted) { reads.changed(*world.handle, before, after, deleted); };
  }
  std::shared_ptr<test::Reply> begin(const std::string& query, const std::string& path = "/api/v1/configmaps", const std::string& method = "GET") {
    calls.emplace_back();
    calls.back().set_method(method);
    calls.back().set_path(path);
    calls.back().set_query(query);
    auto reply = std::make_shared<test::Reply>();
    world.scope.spawn(reads.handle(calls.back(), *reply));
    replies.push_back(reply);
    world.settle();
    return reply;
  }
  // "ADDED x 11, ..." and empties it.
  static std::string events(test::Reply& reply) {
    std::string out;
    for (const std::string_view line : split(reply.body, '\n')) {
      if (line.empty()) continue;
      const auto text = [&](const char* path) { return json::text_at(line, path).value_or(""); };
      out += (out.empty() ? "" : ", ") + text("type");
      for (const char* path : {"object.metadata.name", "object.metadata.resourceVersion", "object.reason"}) {
        if (!text(path).empty()) out += " " + text(path);
      }
    }
    reply.body.clear();
    return out;
  }

  test::World world{{labelled("a", 3, "1"), labelled("b", 5, "2")}};
  Gateway gateway{world.loop, world.kube, world.informers, watched_rules(), Kinds{{test::World::kConfigMaps, "ConfigMap"}}, "c", "k"};
  PairReads reads{world.loop, gateway};
  std::deque<delegate::pb::Call> calls;
  std::vector<std::shared_ptr<test::Reply>> replies;
};

TEST_F(PairReadsTest, AListAndAWatchFromItsVersionHaveNoGap) {
  const auto list = begin("");
  EXPECT_EQ(json::text_at(list->body, "metadata.resourceVersion").value_or(""), "10");
  EXPECT_EQ(json::text_at(list->body, "kind").value_or(""), "ConfigMapList");
  world.watch(frame("ADDED", labelled("c", 11, "1")));
  const auto watch = begin("watch=true&resourceVersion=10");
  EXPECT_EQ(watch->status, 200);
  EXPECT_EQ(events(*watch), "ADDED c 11");
  world.watch(frame("MODIFIED", labelled("c", 12, "1")) + frame("DELETED", labelled("a", 13, "1")));
  EXPECT_EQ(events(*watch), "MODIFIED c 12, DELETED a 13");
  EXPECT_TRUE(world.kube.requests.empty());
}

TEST_F(PairReadsTest, WhatEntersAndLeavesASelectorIsAddedAndDeleted) {
  const auto watch = begin("watch=true&labelSelector=x%3D1");
  EXPECT_EQ(events(*watch), "ADDED a 3");
  world.watch(frame("MODIFIED", labelled("b", 11, "1")));
  world.watch(frame("MODIFIED", labelled("a", 12, "2")));
  world.watch(frame("MODIFIED", labelled("a", 13, "3")));
  EXPECT_EQ(events(*watch), "ADDED b 11, DELETED a 12");
}

TEST_F(PairReadsTest, InitialEventsEndWithTheirBookmark) {
  const auto watch = begin("watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&fieldSelector=metadata.name%3Db");
  EXPECT_NE(watch->body.find(R"("k8s.io/initial-events-end":"true")"), std::string::npos);
  EXPECT_EQ(events(*watch), "ADDED b 5, BOOKMARK 10");
  world.sim.run_for(std::chrono::minutes(1) + std::chrono::seconds(5));
  EXPECT_EQ(events(*watch), "BOOKMARK 10");
}

TEST_F(PairReadsTest, AVersionThatIsTooOldIsExpired) {
  begin("");
  EXPECT_EQ(begin("watch=true&resourceVersion=9")->status, 410);
  EXPECT_EQ(begin("watch=true&resourceVersion=10")->status, 200);
  for (int version = 11; version < 11 + static_cast<int>(Journal::kMaxEvents); ++version) {
    world.kube.watch.try_send(frame("MODIFIED", labelled("a", version, "1")));
    if (version % 500 == 0) world.settle();
  }
  world.settle();
  EXPECT_EQ(begin("watch=true&resourceVersion=10")->status, 200) << "all changes since are here";
  world.watch(frame("MODIFIED", labelled("a", 9999, "1")));
  EXPECT_EQ(begin("watch=true&resourceVersion=10")->status, 410) << "one is not any more";
}

TEST_F(PairReadsTest, ARelistEndsWatchesAndAListBeginsThemAnew) {
  const auto watch = begin("watch=true");
  events(*watch);
  world.watch(frame("MODIFIED", labelled("b", 20, "2")));
  EXPECT_EQ(events(*watch), "MODIFIED b 20");
  // Changes in another order than that of their versions: the plane lost its own watch and listed again.
  reads.changed(*world.handle, kube::ObjectRef(), *kube::Object::parse(labelled("z", 15, "1")), true);
  world.settle();
  EXPECT_EQ(events(*watch), "ERROR Expired");
  EXPECT_TRUE(watch->ended);
  EXPECT_EQ(begin("watch=true&resourceVersion=20")->status, 410) << "nobody knows what is missing since";
  const auto list = begin("");
  const std::string version = json::text_at(list->body, "metadata.resourceVersion").value_or("");
  const auto again = begin("watch=true&resourceVersion=" + version);
  world.watch(frame("MODIFIED", labelled("b", 30, "2")));
  EXPECT_EQ(events(*again), "MODIFIED b 30");
}

TEST_F(PairReadsTest, AWatchEndsAtItsTimeAndWhenNobodyWantsIt) {
  const auto timed = begin("watch=true&timeoutSeconds=30&resourceVersion=10");
  const auto left = begin("watch=true");
  EXPECT_EQ(reads.watching(), 2u);
  world.sim.run_for(std::chrono::seconds(31));
  EXPECT_TRUE(timed->ended);
  EXPECT_EQ(reads.watching(), 1u);
  left->cancelled = true;
  world.sim.run_for(std::chrono::seconds(6));
  EXPECT_EQ(reads.watching(), 0u);
}

TEST_F(PairReadsTest, WhatIsNotGrantedOrNotServedIsRefused) {
  struct Row {
    const char *query, *path, *method;
    int status;
  };
  const Row rows[] = {
      {"", "/api/v1/secrets", "GET", 403},           {"", "/api/v1/services", "GET", 403},
      {"", "/api/v1/configmaps/../x", "GET", 400},   {"", "/api/v1/namespaces/a/configmaps/a", "GET", 403},
      {"", "/api/v1/configmaps", "DELETE", 403},     {"fieldSelector=spec.x%3Dy", "/api/v1/configmaps", "GET", 400},
      {"labelSelector=%28", "/api/v1/configmaps", "GET", 400},
      {"continue=x", "/api/v1/configmaps", "GET", 400},
      {"resourceVersion=9&resourceVersionMatch=Exact", "/api/v1/configmaps", "GET", 410},
      {"resourceVersion=11", "/api/v1/configmaps", "GET", 504},
      {"watch=true&sendInitialEvents=true", "/api/v1/configmaps", "GET", 400},
      {"", "/api/v1/pods", "GET", 503},  // granted, but the pair has no informer of it yet
      {"resourceVersion=10", "/api/v1/namespaces/a/configmaps", "GET", 200},
  };
  for (const Row& row : rows) EXPECT_EQ(begin(row.query, row.path, row.method)->status, row.status) << row.path << "?" << row.query;
}

TEST(JournalTest, HoldsNoMoreThanItsBytes) {
  SimWorld sim(1);
  Journal journal(sim.add_loop(), "1");
  const std::string big(1'000'000, 'x');
  for (int version = 2; version < 40; ++version) {
    Journal::Change change;
    change.after = *kube::Object::parse(config_map("n", version, "u", R"(,"annotations":{"a":")" + big + "\"}"));
    journal.push(std::move(change));
  }
  EXPECT_FALSE(journal.holds(journal.end() - Journal::kMaxBytes / big.size() - 1));
  EXPECT_TRUE(journal.holds(journal.end() - 10));
  EXPECT_FALSE(journal.place_of("2"));
  EXPECT_EQ(journal.place_of("39"), journal.end());
}

}  // namespace
}  // namespace gs::gateway
