#include "control/checkpoint.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

#include "runtime/sim_loop.h"
#include "store/memory_store.h"

namespace gs::control {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const cache::GroupVersionResource kPrimary("", "v1", "configmaps");
const cache::GroupVersionResource kSecret("", "v1", "secrets");
const cache::GroupVersionResource kUnwatched("", "v1", "nodes");

kube::ObjectRef object(const std::string& name, const std::string& uid, const std::string& version, const std::string& labels = "{}") {
  return kube::Object::parse(R"({"metadata":{"namespace":"ns","name":")" + name + R"(","uid":")" + uid + R"(","resourceVersion":")" + version +
                             R"(","labels":)" + labels + "}}")
      .value();
}

// A cluster with two kinds, as synced informers show it.
class FakePresent final : public Present {
 public:
  kube::ObjectRef primary_now(const std::string& ns, const std::string& name) const override { return primaries.get(ns, name); }
  std::optional<Seen> object_now(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name) const override {
    const cache::Store* store = collection(resource, ns);
    if (store == nullptr) return std::nullopt;
    return Seen::of(store->get(ns, name));
  }
  const cache::Store* collection(const cache::GroupVersionResource& resource, const std::string&) const override {
    return resource == kPrimary ? &primaries : resource == kSecret ? &secrets : nullptr;
  }
  cache::Store primaries;
  cache::Store secrets;
};

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    present.primaries.put(object("p", "u", "5"));
    present.secrets.put(object("read", "r", "1", R"({"app":"x"})"));
    children.put(kSecret.to_string(), *object("child", "c", "1"), "ns/p");
  }
  ReadSets::Reads reads() const {
    ReadSets::Reads out;
    out.names.push_back({kSecret, "ns", "read", Seen::of(present.secrets.get("ns", "read"))});
    out.names.push_back({kSecret, "ns", "absent", Seen::of(present.secrets.get("ns", "absent"))});
    gateway::ListDigest digest;
    present.secrets.for_each("ns", [&](const kube::ObjectRef& o) {
      if (o->labels() == R"({"app":"x"})") digest.add(o->ns(), o->name(), o->uid(), o->resource_version());
    });
    out.lists.push_back({kSecret, "ns", "app=x", kube::LabelSelector::parse("app=x").value(), "", digest});
    return out;
  }
  store::KeyRecord record() const {
    store::KeyRecord out;
    out.ns = "ns";
    out.name = "p";
    out.uid = "u";
    out.version = "5";
    out.settled = true;
    out.basis = pair;
    out.children = children.of("ns/p");
    out.read_set = records_of(reads());
    out.reads = digest_of_reads(reads());
    return out;
  }
  Verdict judge(const store::KeyRecord& r) {
    Comparison comparison(present, children, pair);
    return comparison.judge(r);
  }
  FakePresent present;
  OwnedChildren children;
  store::Digest pair = store::Digester().text("pair").finish();
};

TEST_F(CheckpointTest, AKeyIsSkippedWhereAllIsEqual) {
  EXPECT_EQ(judge(record()), Verdict::kUnchanged);
  Comparison comparison(present, children, pair);
  EXPECT_EQ(digest_of_reads(comparison.reads_of(record())), record().reads) << "its read set comes back, for triggers";
  EXPECT_TRUE(comparable(reads(), present));
}

TEST_F(CheckpointTest, AnyDifferenceIsFound) {
  const store::KeyRecord before = record();
  const auto after = [&](auto change) {
    FakePresent saved_present;
    present.primaries.for_each("", [&](const kube::ObjectRef& o) { saved_present.primaries.put(o); });
    present.secrets.for_each("", [&](const kube::ObjectRef& o) { saved_present.secrets.put(o); });
    const OwnedChildren saved_children = children;
    change();
    const Verdict verdict = judge(before);
    present.primaries.swap(saved_present.primaries);
    present.secrets.swap(saved_present.secrets);
    children = saved_children;
    return verdict;
  };
  EXPECT_EQ(after([&] { present.primaries.put(object("p", "u", "6")); }), Verdict::kPrimary);
  EXPECT_EQ(after([&] { present.primaries.put(object("p", "u2", "5")); }), Verdict::kPrimary);
  EXPECT_EQ(after([&] { present.primaries.erase("ns", "p"); }), Verdict::kPrimary);
  EXPECT_EQ(after([&] { children.put(kSecret.to_string(), *object("child", "c", "2"), "ns/p"); }), Verdict::kChildren);
  EXPECT_EQ(after([&] { children.erase(kSecret.to_string(), *object("child", "c", "1")); }), Verdict::kChildren);
  EXPECT_EQ(after([&] { children.put(kSecret.to_string(), *object("more", "c2", "1"), "ns/p"); }), Verdict::kChildren);
  EXPECT_EQ(after([&] { present.secrets.put(object("read", "r", "2", R"({"app":"x"})")); }), Verdict::kReads);
  EXPECT_EQ(after([&] { present.secrets.erase("ns", "read"); }), Verdict::kReads);
  EXPECT_EQ(after([&] { present.secrets.put(object("absent", "now", "1")); }), Verdict::kReads);
  EXPECT_EQ(after([&] { present.secrets.put(object("another", "a", "1", R"({"app":"x"})")); }), Verdict::kReads);
  EXPECT_EQ(after([&] { present.secrets.put(object("unrelated", "z", "1")); }), Verdict::kUnchanged);
  EXPECT_EQ(judge(before), Verdict::kUnchanged);
  Comparison other(present, children, store::Digester().text("another").finish());
  EXPECT_EQ(other.judge(before), Verdict::kControllerOrConfig);
  store::KeyRecord unsettled = before;
  unsettled.settled = false;
  EXPECT_EQ(judge(unsettled), Verdict::kUnsettled);
}

TEST_F(CheckpointTest, WhatCannotBeComparedIsNeverSettled) {
  ReadSets::Reads live = reads();
  live.names.push_back({kUnwatched, "", "node", Seen::of(object("node", "n", "1"))});
  EXPECT_FALSE(comparable(live, present));
  ReadSets::Reads own_copy = reads();
  own_copy.names.push_back({kSecret, "ns", "x", Seen::unknown()});
  EXPECT_FALSE(comparable(own_copy, present));
  ReadSets::Reads part = reads();
  part.lists[0].digest.reset();
  EXPECT_FALSE(comparable(part, present));
  ReadSets::Reads many = reads();
  many.overflow = true;
  EXPECT_FALSE(comparable(many, present));
  ReadSets::Reads never = reads();
  never.never_skip = true;
  EXPECT_FALSE(comparable(never, present));
}

TEST_F(CheckpointTest, ThePairsDigestKnowsControllerAndConfigs) {
  ControllerSpec spec;
  spec.uid = "controller";
  spec.generation = 1;
  delegate::ConfigSet configs;
  configs.objects.push_back({"v1", "ConfigMap", "kube-system", "settings", kube::ObjectRef()});
  const auto whole = digest_of_pair(spec, configs);
  configs.revision = 7;
  EXPECT_EQ(digest_of_pair(spec, configs), whole) << "the number in the stream begins anew with each process";
  configs.objects[0].object = object("settings", "s", "1");
  const auto present_config = digest_of_pair(spec, configs);
  EXPECT_NE(present_config, whole);
  configs.objects[0].object = object("settings", "s", "2");
  EXPECT_NE(digest_of_pair(spec, configs), present_config);
  configs.objects[0].object = kube::Object::parse(R"({"metadata":{"name":"settings"},"data":{"a":"1"}})").value();
  const auto by_content = digest_of_pair(spec, configs);
  configs.objects[0].object = kube::Object::parse(R"({"metadata":{"name":"settings"},"data":{"a":"2"}})").value();
  EXPECT_NE(digest_of_pair(spec, configs), by_content);
  spec.generation = 2;
  const auto next = digest_of_pair(spec, configs);
  spec.uid = "made anew";
  EXPECT_NE(digest_of_pair(spec, configs), next);
}

TEST(CheckpointTimeTest, StoredTimesSurviveAnyJumpOfTheClock) {
  const WallTime saved(hours(1000));
  EXPECT_EQ(delay_until(saved + minutes(5), saved, saved + minutes(6)), Duration::zero()) << "due while it was down";
  EXPECT_EQ(delay_until(saved + minutes(5), saved, saved + minutes(2)), minutes(3));
  EXPECT_EQ(delay_until(saved + minutes(5), saved, saved - hours(500)), minutes(5)) << "the clock went back: at most what was asked for";
  EXPECT_EQ(delay_until(saved - minutes(5), saved, saved - hours(500)), Duration::zero());
  EXPECT_EQ(delay_until(saved + minutes(5), saved, saved + hours(9000)), Duration::zero());
}

}  // namespace
}  // namespace gs::control
