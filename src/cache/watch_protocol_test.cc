#include "cache/watch_protocol.h"

namespace gs::cache {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Kind = Step::Kind;

class WatchProtocolTest : public testing::Test {
 protected:
  Random random{1};
  MonoTime now{std::chrono::hours(1)};
  WatchProtocol protocol;

  void expect(Kind kind, const std::string& version) {
    const Step step = protocol.next();
    EXPECT_EQ(step.kind, kind);
    EXPECT_EQ(step.resource_version, version);
  }
  Duration wait_out() {
    const Step step = protocol.next();
    EXPECT_EQ(step.kind, Kind::kWait);
    protocol.on_waited();
    return step.wait;
  }
  void synced_at(const std::string& version) { protocol.on_watch_list_synced(version); }
};

TEST_F(WatchProtocolTest, BeginsWithAWatchListAndThenWatches) {
  expect(Kind::kWatchList, "");
  synced_at("7");
  EXPECT_TRUE(protocol.synced());
  EXPECT_EQ(protocol.health(), Health::kLive);
  protocol.on_version("9");
  protocol.on_watch_ended(nullptr, 1, seconds(300), now, random);
  expect(Kind::kWatch, "9");
}

TEST_F(WatchProtocolTest, AServerWithoutWatchListIsListedAtOnceAndForGood) {
  protocol.on_watch_list_failed(Error(Code::kInvalid, "sendInitialEvents is forbidden"), now, random);
  expect(Kind::kList, "0");
  protocol.on_listed("5");
  const Error gone(Code::kExpired, "too old");
  protocol.on_watch_ended(&gone, 0, seconds(5), now, random);
  expect(Kind::kList, "5");
}

TEST_F(WatchProtocolTest, ABrokenWatchListFallsBackToAListOnce) {
  protocol.on_watch_list_failed(Error(Code::kUnavailable, "reset"), now, random);
  wait_out();
  expect(Kind::kList, "0");
  protocol.on_listed("5");
  const Error gone(Code::kExpired, "too old");
  protocol.on_watch_ended(&gone, 0, seconds(5), now, random);
  expect(Kind::kWatchList, "5");
}

TEST_F(WatchProtocolTest, A429OnAWatchListIsWaitedOutNotTurnedIntoAList) {
  Error busy(Code::kTooManyRequests, "storage is (re)initializing");
  busy.retry_after = seconds(10);
  protocol.on_watch_list_failed(busy, now, random);
  EXPECT_GE(wait_out(), seconds(10));
  expect(Kind::kWatchList, "");
}

TEST_F(WatchProtocolTest, AnExpiredContinueTokenGivesOneWholeListAndNeverForThePageOne) {
  protocol = WatchProtocol(false);
  const Error expired(Code::kExpired, "continue token expired");
  protocol.on_list_failed(expired, 1, now, random);
  EXPECT_EQ(protocol.next().kind, Kind::kList);
  EXPECT_FALSE(protocol.next().chunked);
  protocol.on_list_failed(expired, 0, now, random);
  wait_out();
  expect(Kind::kList, "");
}

TEST_F(WatchProtocolTest, ARelistNeverGoesBackInTimeUnlessTheVersionCannotBeHad) {
  protocol = WatchProtocol(false);
  protocol.on_listed("40");
  const Error gone(Code::kExpired, "too old");
  protocol.on_watch_ended(&gone, 3, minutes(1), now, random);
  expect(Kind::kList, "40");
  protocol.on_list_failed(gone, 0, now, random);
  wait_out();
  expect(Kind::kList, "");
  protocol.on_listed("90");
  expect(Kind::kWatch, "90");
}

TEST_F(WatchProtocolTest, AWatchThatBreaksAfterWorkingIsResumedAtOnceFromTheLastVersion) {
  synced_at("7");
  protocol.on_version("8");
  const Error reset(Code::kUnavailable, "connection reset");
  protocol.on_watch_ended(&reset, 1, seconds(20), now, random);
  expect(Kind::kWatch, "8");
}

TEST_F(WatchProtocolTest, AVeryShortWatchBacksOffExponentially) {
  synced_at("7");
  Duration longest{0};
  for (int i = 0; i < 10; ++i) {
    protocol.on_watch_ended(nullptr, 0, milliseconds(10), now, random);
    longest = std::max(longest, wait_out());
    expect(Kind::kWatch, "7");
  }
  EXPECT_GT(longest, seconds(25));
  EXPECT_LE(longest, seconds(60));
}

TEST_F(WatchProtocolTest, TheBackoffStartsAgainAfterTwoHealthyMinutes) {
  synced_at("7");
  for (int i = 0; i < 8; ++i) {
    protocol.on_watch_ended(nullptr, 0, milliseconds(10), now, random);
    wait_out();
  }
  now += minutes(3);
  protocol.on_watch_ended(nullptr, 0, milliseconds(10), now, random);
  EXPECT_LE(wait_out(), 2 * WatchProtocol::kFirstBackoff);
}

TEST_F(WatchProtocolTest, AMissingResourceOrPermissionParksWithAReasonAndHeals) {
  for (const auto& [code, health] : {std::pair(Code::kNotFound, Health::kMissing), std::pair(Code::kForbidden, Health::kForbidden)}) {
    protocol = WatchProtocol();
    protocol.on_watch_list_failed(Error(code, "why"), now, random);
    EXPECT_EQ(protocol.health(), health);
    EXPECT_EQ(protocol.reason(), "why");
    EXPECT_GE(wait_out(), WatchProtocol::kFirstParked);
    for (int i = 0; i < 8; ++i) {
      protocol.on_watch_list_failed(Error(code, "why"), now, random);
      EXPECT_LE(wait_out(), 2 * WatchProtocol::kLastParked);
    }
    protocol.on_watch_list_failed(Error(code, "why"), now, random);
    EXPECT_GE(protocol.next().wait, WatchProtocol::kLastParked);
    protocol.on_waited(true);
    protocol.on_watch_list_failed(Error(code, "why"), now, random);
    EXPECT_LE(wait_out(), 2 * WatchProtocol::kFirstParked) << "a kick makes it look often again";
    expect(Kind::kWatchList, "");
    synced_at("3");
    EXPECT_EQ(protocol.health(), Health::kLive);
  }
}

TEST_F(WatchProtocolTest, AResourceDeletedWhileWatchedIsListedAgainWhenItComesBack) {
  synced_at("7");
  const Error missing(Code::kNotFound, "the server could not find the requested resource");
  protocol.on_watch_ended(&missing, 0, seconds(0), now, random);
  EXPECT_EQ(protocol.health(), Health::kMissing);
  wait_out();
  expect(Kind::kWatchList, "7");
}

}  // namespace
}  // namespace gs::cache
