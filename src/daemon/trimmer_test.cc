#include "daemon/trimmer.h"

namespace gs::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kMiB = 1 << 20;

class TrimPolicyTest : public testing::Test {
 protected:
  // A look after five seconds in which the process spent so much.
  bool look(double cpu) {
    now += seconds(5);
    spent += cpu;
    return policy.quiet(now, spent);
  }
  TrimPolicy policy;
  MonoTime now{seconds(100)};
  double spent = 0;
};

TEST_F(TrimPolicyTest, WaitsUntilABusyProcessIsQuiet) {
  EXPECT_FALSE(look(20));
  EXPECT_FALSE(look(0.6));
  EXPECT_TRUE(look(0.1));
}

TEST_F(TrimPolicyTest, AProcessThatDidNothingSinceTheLastTrimIsLeftAlone) {
  look(4);
  ASSERT_TRUE(look(0));
  policy.trimmed(now, milliseconds(1), kMiB);
  EXPECT_FALSE(look(0.001));
  EXPECT_TRUE(look(0.03));
}

TEST_F(TrimPolicyTest, WhatATrimLeftFreeIsNoReasonForAnother) {
  EXPECT_FALSE(policy.worthwhile(kMiB / 2, 10 * kMiB));
  EXPECT_TRUE(policy.worthwhile(9 * kMiB, 16 * kMiB));
  policy.trimmed(now, milliseconds(1), 3 * kMiB);
  EXPECT_FALSE(policy.worthwhile(4 * kMiB, 16 * kMiB));
  EXPECT_TRUE(policy.worthwhile(6 * kMiB, 16 * kMiB));
  EXPECT_FALSE(policy.worthwhile(60 * kMiB, 1024 * kMiB));  // little of what is used
}

TEST_F(TrimPolicyTest, ATrimThatTookLongIsNotRepeatedSoon) {
  look(1);
  policy.trimmed(now, milliseconds(50), 0);
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(look(0.1)) << i;
  EXPECT_TRUE(look(0.1));
}

TEST_F(TrimPolicyTest, ALookThatTookLongIsNotRepeatedSoon) {
  ASSERT_TRUE(look(0.1));
  policy.looked(now, milliseconds(8));
  EXPECT_FALSE(look(0.1));
  EXPECT_TRUE(look(0.1));
}

}  // namespace
}  // namespace gs::daemon
