// Own writes that come back on the watch, before their answer or after it.
#include "control/echoes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace gs::control {
namespace {

using Verdict = Echoes::Verdict;

kube::ObjectRef secret(const std::string& name, int version) {
  auto parsed = kube::Object::parse(
      fmt::format(R"({{"metadata":{{"name":"{}","namespace":"default","uid":"u","resourceVersion":"{}"}}}})", name, version));
  EXPECT_TRUE(parsed.has_value());
  return *std::move(parsed);
}

class EchoesTest : public ::testing::Test {
 protected:
  bool wrote(int version, KeyId by = KeyId(1)) { return echoes.wrote(by, "v1/secrets", *secret("a", version)); }
  Verdict seen(int version, bool in_flight, KeyId key = KeyId(1)) { return echoes.seen(key, "v1/secrets", *secret("a", version), in_flight); }
  Echoes echoes;
};

TEST_F(EchoesTest, AWriteThatWasAnsweredFirstIsAnEchoOnce) {
  EXPECT_FALSE(wrote(5));
  EXPECT_EQ(seen(5, true), Verdict::kEcho);
  EXPECT_FALSE(echoes.settle(KeyId(1)));
  EXPECT_EQ(seen(6, false), Verdict::kChange);
  EXPECT_EQ(echoes.size(), 0U);
}

TEST_F(EchoesTest, AnEchoThatOvertakesItsAnswerIsHeldAndDropped) {
  EXPECT_EQ(seen(5, true), Verdict::kHeld);
  EXPECT_TRUE(wrote(5));
  EXPECT_FALSE(echoes.settle(KeyId(1)));
}

TEST_F(EchoesTest, SomebodyElsesChangeDuringTheReconcileRequeuesAtItsEnd) {
  EXPECT_EQ(seen(5, true), Verdict::kHeld);
  EXPECT_EQ(seen(6, true), Verdict::kHeld);
  EXPECT_TRUE(wrote(5));
  EXPECT_TRUE(echoes.settle(KeyId(1)));
  EXPECT_FALSE(echoes.settle(KeyId(1)));
}

TEST_F(EchoesTest, AWriteThatIsNeverAnsweredRequeues) {
  EXPECT_EQ(seen(5, true), Verdict::kHeld);
  EXPECT_TRUE(echoes.settle(KeyId(1)));
}

TEST_F(EchoesTest, AnotherKeysWriteIsNoEcho) {
  EXPECT_FALSE(wrote(5, KeyId(2)));
  EXPECT_EQ(seen(5, false), Verdict::kChange);
  EXPECT_EQ(seen(5, true), Verdict::kHeld);
  EXPECT_TRUE(echoes.settle(KeyId(1)));
}

TEST_F(EchoesTest, ALaterVersionIsSomebodyElsesAndEndsTheWait) {
  EXPECT_FALSE(wrote(5));
  EXPECT_EQ(seen(4, false), Verdict::kChange);
  EXPECT_EQ(seen(7, false), Verdict::kChange);
  EXPECT_EQ(echoes.size(), 0U);
}

TEST_F(EchoesTest, WhatIsHeldIsBounded) {
  for (size_t i = 0; i < Echoes::kMaxHeld; ++i) ASSERT_EQ(seen(static_cast<int>(i) + 1, true), Verdict::kHeld);
  EXPECT_EQ(seen(1000, true), Verdict::kChange);
  EXPECT_TRUE(echoes.settle(KeyId(1)));
}

}  // namespace
}  // namespace gs::control
