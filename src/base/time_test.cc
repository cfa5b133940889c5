#include "base/time.h"

namespace gs {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Time, ReadsGoDurationsAsKubernetesUsersWriteThem) {
  EXPECT_EQ(parse_go_duration("10s"), seconds(10));
  EXPECT_EQ(parse_go_duration("1h30m"), hours(1) + minutes(30));
  EXPECT_EQ(parse_go_duration("1.5s"), milliseconds(1500));
  EXPECT_EQ(parse_go_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_go_duration("0"), Duration::zero());
  for (const char* bad : {"", "10", "s", "-1s", "1 s", "1d", "1e3s", "99999999999h"}) {
    EXPECT_EQ(parse_go_duration(bad), std::nullopt) << bad;
  }
}

TEST(Time, WritesDurationsInGosWay) {
  EXPECT_EQ(format_go_duration(seconds(10)), "10s");
  EXPECT_EQ(format_go_duration(hours(1) + minutes(30)), "1h30m0s");
  EXPECT_EQ(format_go_duration(milliseconds(250)), "250ms");
  EXPECT_EQ(format_go_duration(Duration::zero()), "0s");
}

TEST(Time, Rfc3339RoundTripsAndReadsOffsetsAndFractions) {
  const auto t = parse_rfc3339("2026-11-24T08:56:00Z");
  ASSERT_TRUE(t);
  EXPECT_EQ(format_rfc3339(*t), "2026-11-24T08:56:00Z");
  EXPECT_EQ(parse_rfc3339("2026-11-24T10:56:00+02:00"), t);
  EXPECT_EQ(format_rfc3339_micro(*parse_rfc3339("2026-11-24T08:56:00.123456Z")), "2026-11-24T08:56:00.123456Z");
  for (const char* bad : {"", "2026-11-24", "2026-13-24T08:56:00Z", "2026-11-31T08:56:00Z",
                          "2026-11-24T08:56:00", "2026-11-24T25:56:00Z", "9999-11-24T08:56:00Z"}) {
    EXPECT_EQ(parse_rfc3339(bad), std::nullopt) << bad;
  }
}

TEST(Time, AddingToADeadlineSaturates) {
  EXPECT_EQ(saturating_add(MonoTime(seconds(5)), Duration::max()), kNoDeadline);
  EXPECT_EQ(saturating_add(MonoTime(seconds(5)), seconds(1)), MonoTime(seconds(6)));
}

}  // namespace
}  // namespace gs
