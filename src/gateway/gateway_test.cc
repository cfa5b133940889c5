// The gateway against a cluster whose watch stands still until the test moves it.
#include "gateway/gateway.h"

#include "gateway/gateway_test_util.h"
#include "json/scan.h"

namespace gs::gateway {
namespace {

using test::config_map;
using test::frame;

struct Noted final : ReadObserver {
  void read_name(const cache::GroupVersionResource&, const std::string&, const std::string& name, const kube::ObjectRef& seen, bool backed) override {
    log += fmt::format("name {} {}{};", name, seen ? seen->resource_version() : "absent", backed ? "" : " unbacked");
  }
  void read_list(const cache::GroupVersionResource&, const std::string&, const std::string& selector, const std::string& version,
                 std::optional<ListDigest> digest, bool backed) override {
    log += fmt::format("list {}@{}{}{};", selector, version, digest ? "" : " partial", backed ? "" : " unbacked");
    last = digest;
  }
  void overtaken() override { log += "overtaken;"; }
  void read_other() override { log += "other;"; }
  void wrote(const cache::GroupVersionResource&, const std::string&, const std::string& name, const kube::ObjectRef& before,
             const kube::ObjectRef& after) override {
    log += fmt::format("wrote {} {}->{};", name, before ? before->resource_version() : "?", after ? after->resource_version() : "gone");
  }
  std::string log;
  std::optional<ListDigest> last;
};

Rules all_config_maps() {
  Rules rules;
  rules.primary = {"", "v1", "pods", "", {}, false};
  rules.secondary = {{"", "v1", "configmaps", "", {}, false}};
  rules.authorized = {{"", {"secrets", "configmaps/odd"}, {}, false}, {"apps", {"configmaps"}, {}, false}};
  return rules;
}

struct Fixture : ::testing::Test {
  explicit Fixture(std::vector<std::string> objects = {config_map("x", 5)}) : world(std::move(objects)) {}
  test::Reply call(const std::string& method, const std::string& path, const std::string& query = "", const std::string& body = "",
                   const std::string& type = "application/json", const std::string& accept = "") {
    delegate::pb::Call message;
    message.set_method(method);
    message.set_path("/api/v1/namespaces/a/" + path);
    message.set_query(query);
    message.set_body(body);
    message.set_content_type(type);
    message.set_accept(accept);
    test::Reply reply;
    world.scope.spawn(reconcile->handle(message, reply));
    world.settle();
    EXPECT_TRUE(reply.ended) << path;
    return reply;
  }
  void server_says(int status, const std::string& body) {
    world.kube.answer = [=](const kube::Request&) -> Result<kube::Response> {
      kube::Response response;
      response.status = status;
      response.content_type = "application/json";
      response.body = body;
      return response;
    };
  }
  // The version that a read from the cache sees; "404" where there is none; "live" where it went to the cluster.
  std::string cached(const std::string& name = "x") {
    const size_t before = world.kube.requests.size();
    const test::Reply reply = call("GET", "configmaps/" + name, "resourceVersion=0");
    if (world.kube.requests.size() != before) return "live";
    return reply.status == 200 ? json::text_at(reply.body, "metadata.resourceVersion").value_or("?") : std::to_string(reply.status);
  }
  void next_reconcile() { reconcile = std::make_unique<Gateway::Reconcile>(gateway, KeyScope{"a", "p"}, noted); }

  test::World world;
  Gateway gateway{world.loop, world.kube, world.informers, all_config_maps(), Kinds{{test::World::kConfigMaps, "ConfigMap"}}, "c", "k"};
  Noted noted;
  std::unique_ptr<Gateway::Reconcile> reconcile = std::make_unique<Gateway::Reconcile>(gateway, KeyScope{"a", "p"}, noted);
};
using GatewayTest = Fixture;

const char* const kDeleted = R"({"kind":"Status","apiVersion":"v1","status":"Success","details":{"name":"x","kind":"configmaps","uid":"u1"}})";

TEST_F(GatewayTest, AReadOfAnyVersionCostsTheClusterNothing) {
  EXPECT_EQ(cached(), "5");
  EXPECT_EQ(cached("none"), "404");
  EXPECT_EQ(call("GET", "configmaps/x", "resourceVersion=9").status, 200) << "not older than 9: the cache is at 10";
  EXPECT_TRUE(world.kube.requests.empty());
  EXPECT_EQ(noted.log, "name x 5;name none absent;name x 5;");
  server_says(200, config_map("x", 7));
  call("GET", "configmaps/x");
  call("GET", "configmaps/x", "resourceVersion=11");
  EXPECT_EQ(world.kube.requests.size(), 2u) << "the most recent, and one that the cache has not reached";
}

TEST_F(GatewayTest, OwnWritesAreSeenWhileTheWatchLags) {
  server_says(200, config_map("x", 12));
  EXPECT_EQ(call("PUT", "configmaps/x", "", "{}").status, 200);
  EXPECT_EQ(cached(), "12");
  next_reconcile();
  EXPECT_EQ(cached(), "12") << "and by the next reconcile";
  const std::string list = call("GET", "configmaps", "resourceVersion=0").body;
  EXPECT_NE(list.find(R"("resourceVersion":"12")"), std::string::npos);
  world.watch(frame("MODIFIED", config_map("x", 11)));
  EXPECT_EQ(cached(), "12") << "the watch shows an older state";
  world.watch(frame("MODIFIED", config_map("x", 13)));
  EXPECT_EQ(cached(), "13");
  EXPECT_EQ(gateway.overlay().size(), 0u);
}

TEST_F(GatewayTest, WhatOthersDeletedAfterAnOwnWriteIsGone) {
  server_says(200, config_map("x", 12));
  call("PUT", "configmaps/x", "", "{}");
  world.watch(frame("DELETED", config_map("x", 14)));
  EXPECT_EQ(cached(), "404");
}

TEST_F(GatewayTest, AnEntryEndsWithTheWatchAlsoWhereNobodyReadsAgain) {
  server_says(201, config_map("new", 12, "u2"));
  call("POST", "configmaps", "", "{}");
  EXPECT_EQ(gateway.overlay().size(), 1u);
  world.watch(test::bookmark_frame(20));
  gateway.prune_overlay(10);
  EXPECT_EQ(gateway.overlay().size(), 0u);
  // The watch is past the write and shows no object: somebody deleted it, and nobody has been told.
  EXPECT_TRUE(gateway.overlay().has_vanished());
  EXPECT_EQ(gateway.overlay().take_vanished(*gateway.covering({"", "v1", "configmaps"}, "")).size(), 1u);
  EXPECT_FALSE(gateway.overlay().has_vanished());
}

TEST_F(GatewayTest, WhatOnlyAReadOfTheClusterHasSeenIsMissedWhenItGoes) {
  server_says(200, config_map("new", 12, "u2"));
  call("GET", "configmaps/new");
  EXPECT_EQ(cached("new"), "12") << "and reads of the cache do not go back";
  server_says(200, R"({"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"13"},"items":[)" + config_map("of-a-list", 13, "u3") + "]}");
  call("GET", "configmaps");
  world.watch(test::bookmark_frame(11));
  gateway.prune_overlay(10);
  EXPECT_FALSE(gateway.overlay().has_vanished()) << "the watch has not come so far";
  world.watch(test::bookmark_frame(20));
  gateway.prune_overlay(10);
  EXPECT_EQ(gateway.overlay().size(), 0u);
  EXPECT_EQ(gateway.overlay().take_vanished(*world.handle).size(), 2u);
}

TEST_F(GatewayTest, WhatTheCacheHasReachedIsNotKeptTwice) {
  server_says(200, config_map("x", 5));
  call("GET", "configmaps/x");
  EXPECT_EQ(gateway.overlay().size(), 0u);
}

TEST_F(GatewayTest, AChangeThatOvertakesAReadsAnswerIsTold) {
  world.kube.way_back = std::chrono::milliseconds(5);
  const std::string list = R"({"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"10"},"items":[)" + config_map("x", 5) + "]}";
  struct Row {
    const char* what;
    const char* path;
    int status;
    std::string answer;
    std::string frame;
    bool told;
  };
  const Row rows[] = {
      {"changed", "configmaps/x", 200, config_map("x", 5), frame("MODIFIED", config_map("x", 20)), true},
      {"deleted", "configmaps/x", 200, config_map("x", 20), frame("DELETED", config_map("x", 21)), true},
      {"created", "configmaps/y", 404, "{}", frame("ADDED", config_map("y", 22, "u2")), true},
      {"created and deleted", "configmaps/z", 200, config_map("z", 23, "u3"), frame("ADDED", config_map("z", 23, "u3")) + frame("DELETED", config_map("z", 24, "u3")), true},
      {"a list's", "configmaps", 200, list, frame("ADDED", config_map("v", 25, "u4")), true},
      {"nothing", "configmaps/y", 200, config_map("y", 22, "u2"), test::bookmark_frame(26), false},
      {"another's", "configmaps/y", 200, config_map("y", 22, "u2"), frame("ADDED", config_map("w", 27, "u5")), false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    noted.log.clear();
    world.kube.answer = [&](const kube::Request&) -> Result<kube::Response> {
      world.kube.watch.try_send(std::string(row.frame));
      kube::Response response;
      response.status = row.status;
      response.body = row.answer;
      return response;
    };
    call("GET", row.path);
    EXPECT_EQ(noted.log.find("overtaken") != std::string::npos, row.told) << noted.log;
  }
}

TEST_F(GatewayTest, CreatedAndDeletedBeforeTheWatchShowsEither) {
  server_says(201, config_map("new", 12, "u2"));
  call("POST", "configmaps", "", "{}");
  server_says(200, R"({"kind":"Status","status":"Success","details":{"uid":"u2"}})");
  call("DELETE", "configmaps/new");
  EXPECT_EQ(cached("new"), "404");
  world.watch(frame("ADDED", config_map("new", 12, "u2")));
  EXPECT_EQ(cached("new"), "404") << "the deletion has not come yet";
  world.watch(frame("DELETED", config_map("new", 13, "u2")));
  EXPECT_EQ(cached("new"), "404");
  world.watch(frame("ADDED", config_map("new", 14, "u3")));
  EXPECT_EQ(cached("new"), "14") << "another object of that name";
  EXPECT_EQ(gateway.overlay().size(), 0u);
}

// Found by the simulation, seed 77059: the second deletion made the first one forgotten.
TEST_F(GatewayTest, WhatWasDeletedBeforeItsSuccessorDoesNotComeBack) {
  server_says(200, config_map("x", 12, "u1"));
  call("PUT", "configmaps/x", "", "{}");
  for (const char* uid : {"u1", "u2"}) {  // between them somebody made it anew, and the watch says nothing of all that
    server_says(200, fmt::format(R"({{"kind":"Status","status":"Success","details":{{"uid":"{}"}}}})", uid));
    call("DELETE", "configmaps/x");
    EXPECT_EQ(cached("x"), "404") << uid;
  }
  world.watch(frame("MODIFIED", config_map("x", 12, "u1")));
  EXPECT_EQ(cached("x"), "404") << "an older one of that name";
  world.watch(frame("DELETED", config_map("x", 13, "u1")));
  world.watch(frame("ADDED", config_map("x", 14, "u2")));
  EXPECT_EQ(cached("x"), "404") << "its deletion has not come yet";
  world.watch(frame("DELETED", config_map("x", 15, "u2")));
  world.watch(frame("ADDED", config_map("x", 16, "u3")));
  EXPECT_EQ(cached("x"), "16") << "another object of that name";
}

TEST_F(GatewayTest, ADeletionThatWaitsForFinalizersIsSeenAsDeleting) {
  server_says(200, config_map("x", 12, "u1", R"(,"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["f"])"));
  call("DELETE", "configmaps/x");
  EXPECT_EQ(cached(), "12");
}

TEST_F(GatewayTest, DryRunsChangeNothingHoweverTheySaySo) {
  server_says(200, config_map("x", 12));
  call("PUT", "configmaps/x", "dryRun=All", "{}");
  server_says(200, kDeleted);
  call("DELETE", "configmaps/x", "dryRun=All");
  call("DELETE", "configmaps/x", "", R"({"dryRun":["All"]})");
  EXPECT_EQ(cached(), "5");
  // With a body the server does not look at the query.
  call("DELETE", "configmaps/x", "dryRun=All", R"({"gracePeriodSeconds":0})");
  EXPECT_EQ(cached(), "404");
}

TEST_F(GatewayTest, AfterWhatNobodyCanTellTheKindIsReadLiveInThisReconcile) {
  struct Row {
    const char* what;
    std::function<void()> write;
  };
  const auto lost = [&](Code code) {
    world.kube.answer = [=](const kube::Request&) -> Result<kube::Response> { return fail(code, "lost"); };
    const test::Reply reply = call("PUT", "configmaps/x", "", "{}");
    EXPECT_EQ(reply.status, 504);
    EXPECT_EQ(json::text_at(reply.body, "reason").value_or(""), "UnknownOutcome");
  };
  const Row rows[] = {
      {"an unknown outcome", [&] { lost(Code::kUnknownOutcome); }},
      {"a deadline", [&] { lost(Code::kDeadlineExceeded); }},
      {"a server's timeout", [&] { server_says(504, "{}"), call("PUT", "configmaps/x", "", "{}"); }},
      {"deletecollection", [&] { server_says(200, R"({"kind":"ConfigMapList","items":[]})"), call("DELETE", "configmaps"); }},
      {"a deletion whose options cannot be read", [&] { server_says(200, kDeleted), call("DELETE", "configmaps/x", "", "\x01k8s"); }},
      {"a subresource", [&] { server_says(201, R"({"kind":"Odd"})"), call("POST", "configmaps/x/odd", "", "{}"); }},
  };
  for (const Row& row : rows) {
    next_reconcile();
    row.write();
    EXPECT_EQ(cached(), "live") << row.what;
  }
  world.watch(test::bookmark_frame(99));
  next_reconcile();
  EXPECT_NE(cached(), "live") << "the next reconcile reads from the cache again";
}

TEST_F(GatewayTest, AWriteThatWasCertainlyNotProcessedLeavesTheCacheAsItIs) {
  world.kube.answer = [](const kube::Request&) -> Result<kube::Response> { return fail(Code::kUnavailable, "refused"); };
  EXPECT_EQ(call("PUT", "configmaps/x", "", "{}").status, 503);
  EXPECT_EQ(cached(), "5");
}

TEST_F(GatewayTest, AnAnswerWithoutTheObjectIsReadLiveUntilTheWatchIsThere) {
  server_says(200, R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"x","namespace":"a","uid":"u1","resourceVersion":"12"}})");
  call("PATCH", "configmaps/x", "", "{}", "application/merge-patch+json", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
  EXPECT_EQ(world.kube.requests.back().accept, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
  EXPECT_EQ(cached(), "live");
  next_reconcile();
  EXPECT_EQ(cached(), "live");
  world.watch(frame("MODIFIED", config_map("x", 12)));
  EXPECT_EQ(cached(), "12");
}

TEST_F(GatewayTest, AnswersOfTwoWritesMayComeInTheOtherOrder) {
  server_says(200, config_map("x", 13));
  call("PUT", "configmaps/x", "", "{}");
  server_says(200, config_map("x", 12));
  call("PUT", "configmaps/x", "", "{}");
  EXPECT_EQ(cached(), "13");
}

TEST_F(GatewayTest, AWriteWithoutAFieldManagerGetsTheControllersOwn) {
  server_says(200, config_map("x", 12));
  call("PUT", "configmaps/x", "", "{}");
  EXPECT_NE(world.kube.requests.back().target.find("fieldManager=gulfstream-c"), std::string::npos);
  call("PUT", "configmaps/x", "fieldManager=mine", "{}");
  EXPECT_NE(world.kube.requests.back().target.find("fieldManager=mine"), std::string::npos);
  const std::string first = field_manager_of(std::string(200, 'a') + "1"), second = field_manager_of(std::string(200, 'a') + "2");
  EXPECT_EQ(first.size(), 128u);
  EXPECT_NE(first, second);
}

TEST_F(GatewayTest, AServersPlainTextBecomesAStatusWithItsRetryAfter) {
  world.kube.answer = [](const kube::Request&) -> Result<kube::Response> {
    kube::Response response;
    response.status = 429;
    response.content_type = "text/plain";
    response.body = "Too many requests, please try again later.";
    response.retry_after = "3";
    response.warning = R"(299 - "v1 Old is deprecated, use v2", 299 - "say \"please\"" "Wed, 21 Oct 2026 07:28:00 GMT", 299 - "third")";
    return response;
  };
  const test::Reply reply = call("PUT", "configmaps/x", "", "{}");
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(json::text_at(reply.body, "details.retryAfterSeconds").value_or(""), "3");
  EXPECT_EQ(json::text_at(reply.body, "reason").value_or(""), "TooManyRequests");
  EXPECT_EQ(reply.warnings, (std::vector<std::string>{"v1 Old is deprecated, use v2", "say \"please\"", "third"}));
}

TEST_F(GatewayTest, ReadsAreTakenDownAsTheyWereSeen) {
  const std::string items = R"({"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"10"},"items":[)" + config_map("x", 5) + "]}";
  call("GET", "configmaps", "resourceVersion=0");
  const auto from_cache = noted.last;
  server_says(200, items);
  call("GET", "configmaps");
  EXPECT_EQ(noted.last, from_cache) << "the same list has the same digest, from the cache or from the cluster";
  call("GET", "configmaps", "limit=5");
  call("GET", "configmaps", "fieldSelector=metadata.name%3Dx");
  call("GET", "secrets");
  server_says(404, R"({"kind":"Status"})");
  call("GET", "configmaps/y");
  EXPECT_EQ(noted.log, "list @10;list @10;list @10;list @10 partial;list @10 unbacked;name y absent;");
  noted.log.clear();
  server_says(200, config_map("x", 5));
  call("PUT", "configmaps/x", "", "{}");
  EXPECT_EQ(noted.log, "wrote x 5->5;") << "a write that changed nothing";
}

TEST_F(GatewayTest, ALongListGoesOnAsItComes) {
  std::string items;
  for (int i = 0; i < 20'000; ++i) items += (i > 0 ? "," : "") + config_map("n" + std::to_string(i), 5);
  server_says(200, R"({"kind":"ConfigMapList","metadata":{"resourceVersion":"10"},"items":[)" + items + "]}");
  const test::Reply reply = call("GET", "configmaps");
  EXPECT_GT(reply.body.size(), Gateway::kHeldList);
  EXPECT_GT(reply.parts, 2u);
  EXPECT_TRUE(json::validate(reply.body));
  EXPECT_EQ(noted.log, "list @ partial unbacked;");
}

TEST_F(GatewayTest, RefusalsAreCountedAllAndLoggedAFew) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(call("GET", "pods/x/exec").status, 400);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(call("DELETE", "services/x").status, 403);
  EXPECT_EQ(gateway.refusals().counted(Refusal::kMalformed), 100u);
  EXPECT_EQ(gateway.refusals().counted(Refusal::kNotGranted), 100u);
  EXPECT_TRUE(world.kube.requests.empty());
}

// Of a Webhook that may read secrets and config maps.
struct GatewayReviewTest : Fixture {
  test::Reply read(const std::string& method, const std::string& path, const std::string& query = "") {
    KeyScope object{"a", "p"};
    object.review = true;
    Gateway::Review review(of_webhook, std::move(object));
    delegate::pb::Call message;
    message.set_method(method);
    message.set_path(path);
    message.set_query(query);
    message.set_content_type(method == "PATCH" ? "application/merge-patch+json" : "application/json");
    message.set_body("{}");
    test::Reply reply;
    TaskScope scope(world.loop);
    scope.spawn(review.handle(message, reply));
    world.settle();
    return reply;
  }
  static Rules rules() {
    Rules rules;
    rules.authorized = {{"", {"secrets", "configmaps"}, {}, false}};
    return rules;
  }
  Gateway of_webhook{world.loop, world.kube, world.informers, rules(), Kinds{}, "w", "k"};
};

TEST_F(GatewayReviewTest, AReviewReadsFromTheCacheWhereThereIsOneAndElseFromTheCluster) {
  EXPECT_EQ(read("GET", "/api/v1/namespaces/a/configmaps/x", "resourceVersion=0").status, 200);
  EXPECT_EQ(read("GET", "/api/v1/namespaces/a/configmaps", "resourceVersion=0").status, 200);
  EXPECT_TRUE(world.kube.requests.empty());
  server_says(200, "{}");
  EXPECT_EQ(read("GET", "/api/v1/namespaces/a/secrets/s", "resourceVersion=0").status, 200);
  ASSERT_EQ(world.kube.requests.size(), 1u);
  EXPECT_EQ(read("GET", "/api/v1/namespaces/b/secrets/s").status, 403);
  EXPECT_EQ(world.kube.requests.size(), 1u);
}

TEST_F(GatewayReviewTest, NoWriteOfAReviewReachesTheCluster) {
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    for (const char* query : {"", "dryRun=All"}) {
      const std::string target = std::string("/api/v1/namespaces/a/configmaps") + (std::string_view(method) == "POST" ? "" : "/x");
      const test::Reply reply = read(method, target, query);
      EXPECT_EQ(reply.status, 403) << method;
      EXPECT_NE(reply.body.find("a review reads, by get and list, and never writes"), std::string::npos) << reply.body;
    }
  }
  EXPECT_TRUE(world.kube.requests.empty());
  EXPECT_EQ(of_webhook.refusals().counted(Refusal::kNotGranted), 8u);
}

}  // namespace
}  // namespace gs::gateway
