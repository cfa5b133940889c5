// Properties of pruning, defaulting and validation over generated schemas and objects.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "schema/crd_schema.h"
#include "schema/prune.h"
#include "schema/validate.h"

namespace gs::schema {
namespace {

using json::Value;

std::string name() { return std::string(1, *rc::gen::elementOf(std::string("abcde"))); }

Value scalar() {
  switch (*rc::gen::inRange(0, 4)) {
    case 0: return Value(*rc::gen::inRange(-3, 4));
    case 1: return Value(name());
    case 2: return Value(*rc::gen::arbitrary<bool>());
    default: return Value();
  }
}

Value object(int depth) {
  Value out{json::Object()};
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    const int kind = *rc::gen::inRange(0, depth > 0 ? 4 : 2);
    if (kind == 2) {
      json::Array items;
      for (int n = *rc::gen::inRange(0, 3); n > 0; --n) items.push_back(object(depth - 1));
      out[name()] = std::move(items);
    } else {
      out[name()] = kind == 3 ? object(depth - 1) : scalar();
    }
  }
  return out;
}

// Structural by construction; defaults fit where they are given.
Value props(int depth) {
  Value out{json::Object()};
  switch (*rc::gen::inRange(0, depth > 0 ? 6 : 3)) {
    case 0:
      out["type"] = "integer";
      if (*rc::gen::arbitrary<bool>()) out["default"] = 5;
      if (*rc::gen::arbitrary<bool>()) out["minimum"] = 1;
      break;
    case 1:
      out["type"] = "string";
      if (*rc::gen::arbitrary<bool>()) out["default"] = "d";
      break;
    case 2:
      out["type"] = "object";
      out["x-kubernetes-preserve-unknown-fields"] = true;
      break;
    case 3:
      out["type"] = "array";
      out["items"] = props(depth - 1);
      break;
    case 4:
      out["type"] = "object";
      out["additionalProperties"] = props(depth - 1);
      break;
    default:
      out["type"] = "object";
      for (int i = *rc::gen::inRange(1, 4); i > 0; --i) out["properties"][name()] = props(depth - 1);
  }
  if (*rc::gen::inRange(0, 4) == 0) out["nullable"] = true;
  return out;
}

Value root() {
  Value out{json::Object()};
  out["type"] = "object";
  for (int i = *rc::gen::inRange(1, 5); i > 0; --i) out["properties"][name()] = props(3);
  return out;
}

TEST(SchemaProperty, PruningAndDefaultingASecondTimeChangeNothing) {
  EXPECT_TRUE(rc::check([] {
    const SchemaPtr schema = build_crd_schema(root());
    Value once = object(3);
    prune(*schema, once);
    apply_defaults(*schema, once);
    Value twice = once;
    RC_ASSERT(prune(*schema, twice).empty());
    apply_defaults(*schema, twice);
    RC_ASSERT(once == twice);
  }));
}

TEST(SchemaProperty, WhatIsStructuralByConstructionIsFoundToBe) {
  EXPECT_TRUE(rc::check([] {
    const Value schema = root();
    const FieldErrors errors = check_crd_schema(schema, "s", false);
    RC_ASSERT(errors.empty());
  }));
}

TEST(SchemaProperty, AValidObjectIsStillValidWithItsDefaults) {
  EXPECT_TRUE(rc::check([] {
    const SchemaPtr schema = build_crd_schema(root());
    Value value = object(3);
    prune(*schema, value);
    RC_PRE(validate(*schema, value, nullptr).empty());
    apply_defaults(*schema, value);
    RC_ASSERT(validate(*schema, value, nullptr).empty());
  }));
}

TEST(SchemaProperty, AnObjectThatDidNotChangeIsLetThrough) {
  EXPECT_TRUE(rc::check([] {
    const SchemaPtr schema = build_crd_schema(root());
    const Value value = object(3);
    RC_ASSERT(validate(*schema, value, &value).empty());
  }));
}

}  // namespace
}  // namespace gs::schema
