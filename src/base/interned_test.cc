#include "base/interned.h"

#include <vector>

namespace gs {
namespace {

TEST(InternedTest, AValueIsSharedAsLongAsSomebodyHoldsIt) {
  Interned<std::string> interned;
  auto first = std::make_shared<const std::string>("content");
  interned.put("key", first);
  EXPECT_EQ(interned.find("key"), first);
  EXPECT_EQ(interned.find("other"), nullptr);
  first.reset();
  EXPECT_EQ(interned.find("key"), nullptr);
  const auto second = std::make_shared<const std::string>("content");
  interned.put("key", second);
  EXPECT_EQ(interned.find("key"), second);
}

TEST(InternedTest, WhatNobodyHoldsDoesNotMakeItGrow) {
  Interned<std::string> interned;
  std::vector<std::shared_ptr<const std::string>> held;
  for (int i = 0; i < 10'000; ++i) {
    const auto value = std::make_shared<const std::string>(std::to_string(i));
    interned.put(*value, value);
    if (i < 10) held.push_back(value);
  }
  EXPECT_LT(interned.size(), 100u);
  for (const auto& value : held) EXPECT_EQ(interned.find(*value), value);
}

}  // namespace
}  // namespace gs
