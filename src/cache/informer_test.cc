// Reflectors and informers against a scripted server, in virtual time.
#include "cache/informer.h"

#include "cache/scripted_transport.h"
#include "runtime/sim_loop.h"

namespace gs::cache {
namespace {

using namespace std::chrono_literals;
using Reply = ScriptedTransport::Reply;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
bool is_watch_list(const std::string& target) { return has(target, "sendInitialEvents=true"); }
bool is_watch(const std::string& target) { return has(target, "watch=true") && !is_watch_list(target); }
bool is_list(const std::string& target) { return !has(target, "watch=true"); }
bool is_crds(const std::string& target) { return has(target, "customresourcedefinitions"); }

Error status(int code, const std::string& reason, const std::string& message, std::optional<Duration> retry_after = {}) {
  const std::string body = fmt::format(R"({{"kind":"Status","reason":"{}","message":"{}","code":{}}})", reason, message, code);
  Error error = kube::status_error(code, body, "", WallTime{});
  error.retry_after = retry_after;
  return error;
}
const Error kExpired = status(410, "Expired", "too old resource version");
const Error kNoWatchList = status(422, "Invalid", "sendInitialEvents: Forbidden");
const Error kReset(Code::kUnavailable, "connection reset by peer");

// Writes down what it is told: "+a/x" added, "~a/x" updated, "-a/x" deleted, "-a/x?" tombstone, "synced".
class Recorder final : public InformerHandler {
 public:
  void on_added(const kube::ObjectRef& o, bool) override { log += "+" + key(o); }
  void on_updated(const kube::ObjectRef&, const kube::ObjectRef& o) override { log += "~" + key(o); }
  void on_deleted(const kube::ObjectRef& o, bool tombstone) override { log += "-" + key(o) + (tombstone ? "?" : ""); }
  void on_synced() override { log += "synced "; }
  void on_health(Health health, const std::string& why) override {
    ++health_changes;
    last_health = health;
    reason = why;
  }
  std::string take() { return std::exchange(log, ""); }
  std::string log;
  int health_changes = 0;
  Health last_health = Health::kStarting;
  std::string reason;

 private:
  static std::string key(const kube::ObjectRef& o) {
    return std::string(o->ns()) + "/" + std::string(o->name()) + "@" + std::string(o->resource_version()) + " ";
  }
};

class InformerTest : public testing::Test {
 protected:
  InformerTest() : world(11), loop(world.add_loop()), api(loop) {
    key.resource = GroupVersionResource("", "v1", "configmaps");
    custom.resource = GroupVersionResource("example.com", "v1", "widgets");
  }
  void start(const InformerKey& what) {
    set = std::make_unique<InformerSet>(loop, api, options);
    handle = set->acquire(what, recorder);
  }
  void start() { start(key); }
  // A WatchList that is complete with these objects at version 10, and then stays open.
  static Reply synced_watch_list(const std::string& objects = "") { return Reply(objects + bookmark_text(10, true), true); }
  // The server of most tests: WatchList with two objects, later watches are held.
  void serve_normally() {
    api.answer = [](const std::string& target) -> Reply {
      if (is_watch_list(target)) return synced_watch_list(event_text("ADDED", object_text("a", "x", 3)) + event_text("ADDED", object_text("b", "y", 4)));
      return Reply("", true);
    };
  }
  void start_synced() {
    serve_normally();
    start();
    world.run_for(10ms);
    ASSERT_TRUE(handle->synced());
    recorder.take();
  }
  ScriptedTransport::Stream& stream() { return *api.held.back(); }
  const std::string& last_target() { return api.seen.back().target; }
  size_t requests(Duration time, const std::function<bool(const std::string&)>& which) {
    const size_t before = api.seen.size();
    world.run_for(time);
    return static_cast<size_t>(std::count_if(api.seen.begin() + static_cast<std::ptrdiff_t>(before), api.seen.end(),
                                             [&](const auto& seen) { return which(seen.target); }));
  }
  static bool any(const std::string&) { return true; }

  SimWorld world;
  SimLoop& loop;
  ScriptedTransport api;
  ReflectorOptions options;
  InformerKey key;
  InformerKey custom;
  Recorder recorder;
  std::unique_ptr<InformerSet> set;
  InformerHandle handle;
};

// WatchList.

TEST_F(InformerTest, TheInitialEventsBecomeVisibleAtOnceWhenTheirEndIsMarked) {
  api.answer = [](const std::string&) { return Reply("", true); };
  start();
  world.run_for(10ms);
  ASSERT_EQ(api.seen.size(), 1u);
  EXPECT_EQ(api.seen[0].lane, kube::Lane::kWatch);
  EXPECT_TRUE(last_target().starts_with("/api/v1/configmaps?watch=true&allowWatchBookmarks=true&timeoutSeconds=")) << last_target();
  EXPECT_TRUE(last_target().ends_with("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan")) << last_target();
  const int timeout = std::atoi(last_target().c_str() + last_target().find("timeoutSeconds=") + 15);
  EXPECT_GE(timeout, 300);
  EXPECT_LE(timeout, 600);
  stream().say(event_text("ADDED", object_text("a", "x", 3)) + event_text("ADDED", object_text("b", "y", 4)) + bookmark_text(5));
  world.run_for(1s);
  EXPECT_FALSE(handle->synced()) << "an ordinary bookmark ends nothing";
  EXPECT_EQ(handle->store().size(), 0u);
  EXPECT_EQ(recorder.log, "");
  stream().say(bookmark_text(10, true));
  world.run_for(1s);
  EXPECT_TRUE(handle->synced());
  EXPECT_EQ(handle->health(), Health::kLive);
  EXPECT_EQ(handle->resource_version(), "10");
  EXPECT_EQ(recorder.log.size(), std::string("+a/x@3 +b/y@4 synced ").size()) << recorder.log;
  EXPECT_TRUE(recorder.log.ends_with("synced "));
}

TEST_F(InformerTest, ChangesAreToldInOrderAndMoveTheVersionAsBookmarksDo) {
  start_synced();
  stream().say(event_text("MODIFIED", object_text("a", "x", 11)) + event_text("ADDED", object_text("a", "z", 12)) +
               event_text("DELETED", object_text("b", "y", 13)) + bookmark_text(20));
  world.run_for(1s);
  EXPECT_EQ(recorder.take(), "~a/x@11 +a/z@12 -b/y@13 ");
  EXPECT_EQ(handle->resource_version(), "20");
  EXPECT_EQ(handle->store().size(), 2u) << "a bookmark is no object";
  stream().end();
  world.run_for(2s);
  EXPECT_TRUE(is_watch(last_target()) && last_target().ends_with("&resourceVersion=20")) << last_target();
  EXPECT_EQ(recorder.take(), "");
}

TEST_F(InformerTest, AServerWithoutWatchListIsListedInChunksAtOnce) {
  api.answer = [](const std::string& target) -> Reply {
    if (is_watch_list(target)) return kNoWatchList;
    if (is_watch(target)) return Reply("", true);
    if (has(target, "continue=")) return list_text(10, R"({"metadata":{"namespace":"b","name":"y","uid":"u2","resourceVersion":"4"}})");
    return list_text(9, R"({"metadata":{"namespace":"a","name":"x","uid":"u1","resourceVersion":"3"}})", "next page");
  };
  start();
  world.run_for(10ms);
  ASSERT_EQ(api.seen.size(), 4u);
  EXPECT_EQ(api.seen[1].target, "/api/v1/configmaps?limit=500&resourceVersion=0");
  EXPECT_EQ(api.seen[1].lane, kube::Lane::kRequest);
  EXPECT_EQ(api.seen[2].target, "/api/v1/configmaps?limit=500&continue=next%20page");
  EXPECT_TRUE(api.seen[3].target.ends_with("&resourceVersion=10")) << last_target();
  EXPECT_TRUE(handle->synced());
  const kube::ObjectRef x = handle->store().get("a", "x");
  ASSERT_TRUE(x);
  EXPECT_EQ(x->kind(), "ConfigMap") << "the items of a typed list carry no kind";
  EXPECT_EQ(x->api_version(), "v1");
}

TEST_F(InformerTest, AWatchListThatBreaksOffGivesAListAndNoVersionToResumeFrom) {
  bool first = true;
  api.answer = [&](const std::string& target) -> Reply {
    if (is_list(target)) return list_text(10, object_text("a", "x", 3));
    if (std::exchange(first, false)) return event_text("ADDED", object_text("a", "gone", 99));
    return Reply("", true);
  };
  start();
  world.run_for(3s);
  ASSERT_GE(api.seen.size(), 3u);
  EXPECT_EQ(api.seen[1].target, "/api/v1/configmaps?limit=500&resourceVersion=0") << "the version of an initial event is none";
  EXPECT_EQ(recorder.log, "+a/x@3 synced ") << "what the broken one brought is forgotten";
}

TEST_F(InformerTest, AServerThatNeverEndsTheInitialEventsIsListedAfterAMinuteAlthoughItSendsBookmarks) {
  api.answer = [](const std::string& target) -> Reply {
    if (is_list(target)) return list_text(10, object_text("a", "x", 3));
    return Reply(is_watch_list(target) ? event_text("ADDED", object_text("a", "x", 3)) : "", true);
  };
  start();
  for (int i = 0; i < 7; ++i) {
    world.run_for(10s);
    if (!api.held.empty()) api.held.front()->say(bookmark_text(20 + i));
  }
  EXPECT_TRUE(handle->synced());
  EXPECT_EQ(handle->resource_version(), "10");
  EXPECT_TRUE(is_watch(last_target()));
}

// Versions that cannot be had.

TEST_F(InformerTest, BothFormsOf410GiveOneReplacementFromTheLastVersionOn) {
  for (const bool as_event : {false, true}) {
    api.seen.clear();
    api.held.clear();
    handle = InformerHandle();
    start_synced();
    const kube::ObjectRef kept = handle->store().get("b", "y");
    api.answer = [&](const std::string& target) -> Reply {
      if (is_watch(target)) return as_event ? Reply(error_text(410, "Expired", "too old")) : Reply(kExpired);
      return Reply("", true);
    };
    stream().say(bookmark_text(15));
    world.run_for(5s);
    stream().end();
    world.run_for(5s);
    ASSERT_TRUE(is_watch_list(last_target())) << last_target();
    EXPECT_TRUE(last_target().ends_with("&resourceVersion=15")) << "never back in time";
    EXPECT_EQ(handle->store().size(), 2u) << "the old state is there while the new one comes";
    stream().say(event_text("ADDED", object_text("b", "y", 4)) + event_text("ADDED", object_text("c", "z", 30)) + bookmark_text(31, true));
    world.run_for(1s);
    EXPECT_EQ(recorder.take(), "-a/x@3 ?+c/z@30 ");
    EXPECT_EQ(handle->store().get("b", "y").get(), kept.get()) << "an unchanged object is the same one";
  }
}

TEST_F(InformerTest, AVersionThatIsTooOldOrTooLargeForAListIsGivenUpForTheMostRecent) {
  const Error too_large = status(504, "Timeout", "Too large resource version: 10, current: 7", 1s);
  for (const Error& error : {kExpired, too_large}) {
    api.seen.clear();
    api.held.clear();
    handle = InformerHandle();
    start_synced();
    api.answer = [&](const std::string& target) -> Reply {
      if (is_watch(target)) return kExpired;
      if (has(target, "resourceVersion=10")) return error;
      if (is_watch_list(target)) return kNoWatchList;
      return list_text(7, object_text("a", "x", 6));
    };
    stream().end();
    world.run_for(1min);
    bool recent = false;
    for (const auto& seen : api.seen) recent |= seen.target == "/api/v1/configmaps?limit=500";
    EXPECT_TRUE(recent) << last_target();
    EXPECT_LE(api.seen.size(), 20u) << "it does not spin";
    ASSERT_TRUE(handle->store().get("a", "x"));
    EXPECT_EQ(handle->store().get("a", "x")->resource_version(), "6");
    EXPECT_EQ(handle->store().size(), 1u);
  }
}

TEST_F(InformerTest, AContinueTokenThatExpiresGivesOneWholeListAFirstPageNever) {
  int pages = 0;
  api.answer = [&](const std::string& target) -> Reply {
    if (is_watch_list(target)) return kNoWatchList;
    if (is_watch(target)) return Reply("", true);
    ++pages;
    if (has(target, "continue=")) return kExpired;
    if (has(target, "limit=500")) return list_text(9, object_text("a", "x", 3), "t");
    return list_text(10, object_text("a", "x", 3) + "," + object_text("b", "y", 4));
  };
  start();
  world.run_for(1s);
  EXPECT_EQ(pages, 3);
  EXPECT_TRUE(handle->synced());
  EXPECT_EQ(handle->store().size(), 2u);
  EXPECT_EQ(api.seen[3].target, "/api/v1/configmaps?limit=0&resourceVersion=0");

  api.seen.clear();
  handle = InformerHandle();
  api.answer = [&](const std::string& target) -> Reply {
    if (is_watch_list(target)) return kNoWatchList;
    return kExpired;
  };
  start();
  world.run_for(1min);
  for (const auto& seen : api.seen) EXPECT_FALSE(has(seen.target, "limit=0")) << seen.target;
}

// Connections.

TEST_F(InformerTest, ALostConnectionIsResumedFromTheLastVersionWithoutAList) {
  start_synced();
  stream().say(event_text("MODIFIED", object_text("a", "x", 11)));
  world.run_for(20s);
  stream().fail_with(kReset);
  world.run_for(100ms);
  EXPECT_TRUE(is_watch(last_target()) && last_target().ends_with("&resourceVersion=11")) << last_target();
  EXPECT_EQ(handle->health(), Health::kLive);
  EXPECT_EQ(handle->stats().lists, 0u);
}

TEST_F(InformerTest, AServerThatIsAwayIsAskedWithBackoffAndTheCacheIsLiveAgainWhenItIsBack) {
  start_synced();
  api.answer = [](const std::string&) -> Reply { return Error(Code::kUnavailable, "connection refused"); };
  world.run_for(20s);
  stream().fail_with(kReset);
  EXPECT_LE(requests(10min, any), 40u);
  EXPECT_GE(api.seen.size(), 10u);
  EXPECT_EQ(handle->health(), Health::kRetrying);
  EXPECT_EQ(recorder.reason, "connection refused");
  EXPECT_EQ(handle->store().size(), 2u);
  serve_normally();
  world.run_for(1min);
  EXPECT_TRUE(is_watch(last_target()) && last_target().ends_with("&resourceVersion=10")) << last_target();
  EXPECT_EQ(handle->health(), Health::kLive) << "although nothing has changed there";
  EXPECT_EQ(recorder.last_health, Health::kLive);
}

TEST_F(InformerTest, AWatchThatBreaksAgainAsSoonAsItIsBackIsToldEachTime) {
  start_synced();
  stream().fail_with(kReset);
  world.run_for(0s);
  EXPECT_EQ(recorder.last_health, Health::kRetrying);
  for (int i = 0; i < 5; ++i) {
    const int told = recorder.health_changes;
    const size_t open = api.held.size();
    while (api.held.size() == open) world.run_for(100ms);
    EXPECT_EQ(recorder.last_health, Health::kLive);
    stream().fail_with(kReset);
    world.run_for(0s);
    EXPECT_EQ(recorder.last_health, Health::kRetrying);
    EXPECT_EQ(recorder.health_changes, told + 2);
  }
}

TEST_F(InformerTest, AnotherReasonIsToldAlthoughTheHealthIsTheSame) {
  start_synced();
  api.answer = [](const std::string&) -> Reply { return Error(Code::kUnavailable, "connection refused"); };
  stream().fail_with(kReset);
  world.run_for(2s);
  EXPECT_EQ(recorder.reason, "connection refused");
  const int told = recorder.health_changes;
  api.answer = [](const std::string&) -> Reply { return Error(Code::kUnauthorized, "certificate signed by unknown authority"); };
  world.run_for(2min);
  EXPECT_EQ(recorder.reason, "certificate signed by unknown authority");
  EXPECT_EQ(recorder.health_changes, told + 1);
}

TEST_F(InformerTest, DialsThatTimeOutAreFailuresHoweverLongTheyTook) {
  start_synced();
  api.answer = [](const std::string&) {
    Reply reply;
    reply.never = true;
    return reply;
  };
  world.run_for(20s);
  stream().fail_with(kReset);
  world.run_for(5min);
  EXPECT_EQ(handle->health(), Health::kRetrying);
}

TEST_F(InformerTest, ASilentWatchIsGivenUpWhateverItsPingsSay) {
  start_synced();
  world.run_for(140s);
  stream().say(bookmark_text(15));
  EXPECT_EQ(requests(149s, any), 0u);
  world.run_for(10s);
  EXPECT_TRUE(is_watch(last_target()) && last_target().ends_with("&resourceVersion=15")) << last_target();
  EXPECT_TRUE(api.held[api.held.size() - 2]->dropped);
}

TEST_F(InformerTest, VeryShortWatchesBackOff) {
  start_synced();
  api.answer = [](const std::string&) { return Reply(""); };
  world.run_for(5s);
  stream().end();
  EXPECT_LE(requests(10min, any), 40u);
}

TEST_F(InformerTest, RetryAfterIsHonouredForListsAndWatches) {
  for (const bool watch_list : {true, false}) {
    api.seen.clear();
    handle = InformerHandle();
    api.answer = [&](const std::string& target) -> Reply {
      if (is_watch_list(target) && !watch_list) return kNoWatchList;
      return status(429, "TooManyRequests", "busy", 20s);
    };
    start();
    world.run_for(10ms);
    EXPECT_EQ(requests(19s, any), 0u);
    EXPECT_EQ(requests(12s, any), 1u);
    EXPECT_EQ(handle->reason(), "busy");
  }
  start_synced();
  api.answer = [](const std::string&) -> Reply { return status(429, "TooManyRequests", "busy", 20s); };
  world.run_for(5s);
  stream().end();
  world.run_for(10ms);
  EXPECT_TRUE(is_watch(last_target()));
  EXPECT_EQ(requests(19s, any), 0u);
  EXPECT_EQ(requests(12s, is_watch), 1u) << "the version is kept";
}

// What is missing or not allowed.

TEST_F(InformerTest, AMissingResourceIsParkedCheaplyAndHealsAtOnceWhenItsCrdAppears) {
  api.answer = [](const std::string& target) -> Reply {
    if (is_crds(target)) return Reply(bookmark_text(5, true), true);
    return status(404, "NotFound", "the server could not find the requested resource");
  };
  start(custom);
  world.run_for(1s);
  EXPECT_EQ(handle->health(), Health::kMissing);
  EXPECT_EQ(recorder.reason, "the server could not find the requested resource");
  EXPECT_TRUE(set->watches_crds());
  const auto crd_watch = std::find_if(api.seen.begin(), api.seen.end(), [](const auto& s) { return is_crds(s.target); });
  ASSERT_NE(crd_watch, api.seen.end());
  EXPECT_TRUE(has(crd_watch->accept, "as=PartialObjectMetadata")) << crd_watch->accept;
  world.run_for(1min);
  const int told = recorder.health_changes;
  EXPECT_LE(requests(30min, [](const std::string& t) { return !is_crds(t); }), 65u);
  EXPECT_EQ(recorder.health_changes, told) << "nothing new is told";
  // Another one does not matter, this one does.
  ScriptedTransport::Stream& crds = stream();
  ASSERT_TRUE(is_crds(crds.target));
  const std::string mine = event_text("ADDED", object_text("", "widgets.example.com", 6));
  crds.say(event_text("ADDED", object_text("", "gadgets.example.com", 6)));
  world.run_for(100ms);
  EXPECT_EQ(handle->health(), Health::kMissing);
  crds.say(mine);
  world.run_for(100ms);
  EXPECT_EQ(handle->health(), Health::kMissing) << "it is not established yet";
  api.answer = [](const std::string&) { return synced_watch_list(); };
  world.run_for(2s);
  EXPECT_EQ(handle->health(), Health::kLive) << "a kick makes it look often";
  world.run_for(1s);
  EXPECT_FALSE(set->watches_crds()) << "only while something is missing";
  EXPECT_TRUE(crds.dropped);
}

TEST_F(InformerTest, WhereCrdsMayNotBeWatchedAMissingResourceHealsByLooking) {
  api.answer = [](const std::string& target) -> Reply {
    if (is_crds(target)) return status(403, "Forbidden", "no");
    return status(404, "NotFound", "not found");
  };
  start(custom);
  EXPECT_LE(requests(1h, any), 260u) << "two requests a half minute at most";
  EXPECT_EQ(requests(3s, [](const std::string&) { return false; }), 0u);
  api.answer = [](const std::string&) { return synced_watch_list(); };
  world.run_for(46s);
  EXPECT_TRUE(handle->synced());
}

TEST_F(InformerTest, AFreshlyMissingResourceIsLookedForSoon) {
  api.answer = [](const std::string& target) -> Reply {
    if (is_crds(target)) return status(403, "Forbidden", "no");
    return status(404, "NotFound", "not found");
  };
  start(custom);
  world.run_for(2s);
  api.answer = [](const std::string&) { return synced_watch_list(); };
  world.run_for(4s);
  EXPECT_TRUE(handle->synced());
}

TEST_F(InformerTest, ACrdThatIsDeletedWhileWatchedAndComesBackIsListedAnew) {
  api.answer = [](const std::string&) { return synced_watch_list(event_text("ADDED", object_text("a", "x", 3))); };
  start(custom);
  world.run_for(5s);
  recorder.take();
  api.answer = [](const std::string& target) -> Reply {
    if (is_crds(target)) return Reply(bookmark_text(5, true), true);
    return status(404, "NotFound", "not found");
  };
  stream().say(event_text("DELETED", object_text("a", "x", 20)));
  stream().end();
  world.run_for(5s);
  EXPECT_EQ(recorder.take(), "-a/x@20 ");
  EXPECT_EQ(handle->health(), Health::kMissing);
  ScriptedTransport::Stream& crds = stream();
  api.answer = [](const std::string&) {
    return Reply(event_text("ADDED", object_text("a", "x", 30, "another")) + bookmark_text(31, true), true);
  };
  crds.say(event_text("ADDED", object_text("", "widgets.example.com", 29)));
  world.run_for(1s);
  EXPECT_EQ(recorder.take(), "+a/x@30 ");
}

TEST_F(InformerTest, AMissingPermissionIsParkedAndHeals) {
  api.answer = [](const std::string&) -> Reply { return status(403, "Forbidden", "cannot list resource"); };
  start(custom);
  EXPECT_LE(requests(30min, any), 65u);
  EXPECT_EQ(handle->health(), Health::kForbidden);
  EXPECT_EQ(handle->reason(), "cannot list resource");
  EXPECT_FALSE(set->watches_crds());
  api.answer = [](const std::string&) { return synced_watch_list(); };
  set->kick();
  world.run_for(10ms);
  EXPECT_TRUE(handle->synced());
}

// Objects.

TEST_F(InformerTest, TheSameKeyWithAnotherUidIsADeletionAndAnAddition) {
  start_synced();
  stream().say(event_text("MODIFIED", object_text("a", "x", 11, "another")));
  world.run_for(1s);
  EXPECT_EQ(recorder.take(), "-a/x@3 ?+a/x@11 ");
  stream().say(error_text(410, "Expired", "too old"));
  api.answer = [](const std::string&) { return synced_watch_list(event_text("ADDED", object_text("a", "x", 20, "third"))); };
  world.run_for(5s);
  EXPECT_EQ(recorder.take(), "-a/x@11 ?-b/y@4 ?+a/x@20 ");
}

TEST_F(InformerTest, AnEventThatRepeatsWhatIsKnownIsNotTold) {
  start_synced();
  const kube::ObjectRef before = handle->store().get("a", "x");
  stream().say(event_text("MODIFIED", object_text("a", "x", 3)) + event_text("DELETED", object_text("q", "unknown", 12)));
  world.run_for(1s);
  EXPECT_EQ(recorder.take(), "");
  EXPECT_EQ(handle->store().get("a", "x").get(), before.get());
}

TEST_F(InformerTest, GarbageEndsTheWatchAndIsCounted) {
  for (const char* garbage : {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}\n", "{\"type\":\"PATCHED\",\"object\":{\"metadata\":{\"name\":\"x\"}}}\n",
                              "{\"object\":{}}\n", "not json at all\n"}) {
    api.held.clear();
    handle = InformerHandle();
    start_synced();
    stream().say(garbage);
    world.run_for(100ms);
    EXPECT_EQ(handle->health(), Health::kRetrying) << garbage;
    EXPECT_TRUE(api.held[0]->dropped);
    world.run_for(10s);
    EXPECT_EQ(handle->health(), Health::kLive) << garbage;
  }
}

TEST_F(InformerTest, ATableIsNotTakenForAList) {
  api.answer = [](const std::string& target) -> Reply {
    if (is_watch_list(target)) return kNoWatchList;
    return std::string(R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"5"},"rows":[]})");
  };
  start();
  world.run_for(1s);
  EXPECT_FALSE(handle->synced());
  EXPECT_TRUE(has(handle->reason(), "Table")) << handle->reason();
}

TEST_F(InformerTest, NamesThatWereWrittenWithEscapesAreMeantAsTheyRead) {
  start_synced();
  stream().say(event_text("ADDED", R"({"kind":"ClusterRole","apiVersion":"v1","metadata":{"name":"R\u0026D","uid":"u","resourceVersion":"12"}})"));
  world.run_for(1s);
  EXPECT_EQ(recorder.take(), "+/R&D@12 ");
  EXPECT_TRUE(handle->store().get("", "R&D"));
}

// Sharing.

TEST_F(InformerTest, UsersOfTheSameShareOneWatchAndTheLastEndsIt) {
  start_synced();
  Recorder second;
  InformerHandle other = set->acquire(key, second);
  EXPECT_EQ(second.log, "") << "not from inside acquire";
  world.run_for(1s);
  EXPECT_EQ(api.seen.size(), 1u);
  EXPECT_EQ(second.log.size(), std::string("+a/x@3 +b/y@4 synced ").size()) << second.log;
  EXPECT_EQ(second.last_health, Health::kLive);
  InformerKey elsewhere = key;
  elsewhere.label_selector = "a=b";
  Recorder third;
  InformerHandle selected = set->acquire(elsewhere, third);
  EXPECT_EQ(set->size(), 2u);
  world.run_for(1s);
  EXPECT_TRUE(has(last_target(), "&labelSelector=a%3Db")) << last_target();

  second.take();
  other = InformerHandle();
  const ScriptedTransport::StreamPtr watch = api.held.front();
  watch->say(event_text("MODIFIED", object_text("a", "x", 11)));
  world.run_for(1s);
  EXPECT_EQ(recorder.take(), "~a/x@11 ");
  EXPECT_EQ(second.take(), "") << "who has left hears nothing";
  EXPECT_FALSE(watch->dropped);
  handle = InformerHandle();
  world.run_for(1s);
  EXPECT_TRUE(watch->dropped);
  EXPECT_EQ(set->size(), 1u);
  EXPECT_EQ(set->find_covering(key.resource, ""), nullptr) << "one with a selector covers nothing";
}

TEST_F(InformerTest, AUserThatComesDuringTheInitialEventsHearsThemOnce) {
  api.answer = [](const std::string&) { return Reply("", true); };
  start();
  world.run_for(10ms);
  stream().say(event_text("ADDED", object_text("a", "x", 3)));
  world.run_for(10ms);
  Recorder second;
  InformerHandle other = set->acquire(key, second);
  stream().say(bookmark_text(10, true));
  world.run_for(1s);
  EXPECT_EQ(recorder.log, "+a/x@3 synced ");
  EXPECT_EQ(second.log, "+a/x@3 synced ");
}

// Permits.

TEST_F(InformerTest, ListsWaitForAPermitAndServersThatDoNotAnswerGiveTheirsBack) {
  Semaphore permits(loop, 2);
  options.list_permits = &permits;
  Recorder others[20];
  std::vector<std::unique_ptr<ScriptedTransport>> dead;
  std::vector<std::unique_ptr<InformerSet>> sets;
  std::vector<InformerHandle> handles;
  for (int i = 0; i < 20; ++i) {
    dead.push_back(std::make_unique<ScriptedTransport>(loop));
    dead.back()->unreachable = i < 18;
    dead.back()->answer = [](const std::string&) {
      Reply reply;
      reply.never = true;
      return reply;
    };
    sets.push_back(std::make_unique<InformerSet>(loop, *dead.back(), options));
    handles.push_back(sets.back()->acquire(key, others[i]));
  }
  world.run_for(100ms);
  EXPECT_EQ(permits.free(), 0u) << "two connect and do not answer";
  serve_normally();
  start();
  world.run_for(5s);
  EXPECT_TRUE(handle->synced());
  world.run_for(10min);
  EXPECT_EQ(permits.free(), 2u) << "nobody keeps one";
}

}  // namespace
}  // namespace gs::cache
