#include "control/read_set.h"

namespace gs::control {
namespace {

const cache::GroupVersionResource kSecrets("", "v1", "secrets");

kube::ObjectRef object(const std::string& ns, const std::string& name, const std::string& labels = "{}", int version = 5, const std::string& uid = "u") {
  return *kube::Object::parse(fmt::format(
      R"({{"metadata":{{"namespace":"{}","name":"{}","uid":"{}","resourceVersion":"{}","labels":{}}}}})", ns, name, uid, version, labels));
}

struct Fixture : ::testing::Test {
  ReadSets sets;
  const KeyId key{1};
  bool triggered(const kube::ObjectRef& after, const kube::ObjectRef& before = {}, bool deleted = false) {
    return !sets.triggered_by(kSecrets, before.get(), *after, deleted).empty();
  }
  void read(const std::string& name, const Seen& seen = Seen::unknown()) { sets.read_name(key, kSecrets, "a", name, seen); }
  void list(const std::string& selector, const std::string& version = "", std::optional<gateway::ListDigest> digest = std::nullopt) {
    sets.read_list(key, kSecrets, "a", selector, version, digest);
  }
};
using ReadSetsTest = Fixture;

TEST_F(ReadSetsTest, AKeyIsTriggeredByWhatItReadAlsoWhileItRuns) {
  sets.begin(key);
  read("s");
  EXPECT_EQ(sets.triggered_by(kSecrets, nullptr, *object("a", "s"), false), std::set<KeyId>{key});
  sets.end(key, true);
  EXPECT_EQ(sets.triggered_by(kSecrets, nullptr, *object("a", "s"), false), std::set<KeyId>{key});
  EXPECT_FALSE(triggered(object("b", "s")));
  EXPECT_EQ(sets.last(key)->names.size(), 1u);
}

TEST_F(ReadSetsTest, TheNextSuccessfulReconcileReplacesWhatTheLastOneRead) {
  sets.begin(key);
  read("old");
  sets.end(key, true);
  sets.begin(key);
  read("new");
  EXPECT_TRUE(triggered(object("a", "old")));
  sets.end(key, true);
  EXPECT_FALSE(triggered(object("a", "old")));
  EXPECT_TRUE(triggered(object("a", "new")));
}

TEST_F(ReadSetsTest, AFailedReconcileKeepsWhatTheLastGoodOneRead) {
  sets.begin(key);
  read("good");
  sets.end(key, true);
  sets.begin(key);
  read("failed");
  sets.end(key, false);
  EXPECT_TRUE(triggered(object("a", "good")));
  EXPECT_TRUE(triggered(object("a", "failed")));
}

TEST_F(ReadSetsTest, OnlyNewsTrigger) {
  struct Row {
    const char* what;
    Seen seen;
    kube::ObjectRef change;
    bool deleted, triggers;
  };
  const Row rows[] = {
      {"the version that was read", Seen::of(object("a", "s")), object("a", "s"), false, false},
      {"an older one, by a watch that lags", Seen::of(object("a", "s")), object("a", "s", "{}", 4), false, false},
      {"a newer one", Seen::of(object("a", "s")), object("a", "s", "{}", 6), false, true},
      {"versions are numbers", Seen::of(object("a", "s", "{}", 9)), object("a", "s", "{}", 10), false, true},
      {"created anew", Seen::of(object("a", "s")), object("a", "s", "{}", 4, "other"), false, true},
      {"its deletion, of which only an old state is known", Seen::of(object("a", "s")), object("a", "s", "{}", 4), true, true},
      {"it was absent", Seen::of(kube::ObjectRef()), object("a", "s"), false, true},
      {"nobody knows what was read", Seen::unknown(), object("a", "s"), false, true},
  };
  for (const Row& row : rows) {
    sets.begin(key);
    read("s", row.seen);
    sets.end(key, true);
    EXPECT_EQ(triggered(row.change, {}, row.deleted), row.triggers) << row.what;
  }
}

TEST_F(ReadSetsTest, AListTriggersForWhatEntersAndWhatLeavesItsSelector) {
  sets.begin(key);
  list("x=1", "5");
  sets.end(key, true);
  const std::string one = R"({"x":"1"})";
  EXPECT_TRUE(triggered(object("a", "n", one, 6)));
  EXPECT_FALSE(triggered(object("a", "n", one, 5))) << "the list had it";
  EXPECT_TRUE(triggered(object("a", "n", one, 3), {}, true)) << "a deletion";
  EXPECT_FALSE(triggered(object("a", "n", R"({"x":"2"})", 6)));
  EXPECT_TRUE(triggered(object("a", "n", "{}", 6), object("a", "n", one)));
  EXPECT_FALSE(triggered(object("b", "n", one, 6)));
  sets.forget(key);
  EXPECT_FALSE(triggered(object("a", "n", one, 6)));
}

TEST_F(ReadSetsTest, AKeyThatReadTooMuchIsTriggeredByEverythingAndNeverSkipped) {
  sets.begin(key);
  for (size_t i = 0; i <= ReadSets::kMaxReads; ++i) read(std::to_string(i), Seen::of(object("a", std::to_string(i))));
  sets.end(key, true);
  EXPECT_TRUE(triggered(object("z", "never-read")));
  const auto same = [](const ReadSets::NameRead& r) { return std::optional<Seen>(r.seen); };
  const auto none = [](const ReadSets::ListRead&) { return std::optional<gateway::ListDigest>(); };
  EXPECT_FALSE(sets.unchanged(key, same, none));
}

TEST_F(ReadSetsTest, WhatWasReadIsUnchangedOnlyWhereAllOfItIsKnownToBe) {
  gateway::ListDigest digest;
  digest.add(*object("a", "n"));
  const Seen seen = Seen::of(object("a", "s"));
  const auto same = [&](const ReadSets::NameRead&) { return std::optional<Seen>(seen); };
  const auto same_list = [&](const ReadSets::ListRead&) { return std::optional<gateway::ListDigest>(digest); };
  const auto reconcile = [&](auto reads) {
    sets.begin(key);
    reads();
    sets.end(key, true);
  };
  EXPECT_FALSE(sets.unchanged(key, same, same_list)) << "nothing is known";
  const auto both = [&] { read("s", seen), list("x=1", "5", digest); };
  reconcile(both);
  EXPECT_TRUE(sets.unchanged(key, same, same_list));
  EXPECT_FALSE(sets.unchanged(key, [&](const auto&) { return std::optional(Seen::of(object("a", "s", "{}", 6))); }, same_list));
  EXPECT_FALSE(sets.unchanged(key, [&](const auto&) { return std::optional(Seen::of(kube::ObjectRef())); }, same_list));
  EXPECT_FALSE(sets.unchanged(key, [&](const auto&) { return std::optional<Seen>(); }, same_list)) << "no cache can say";
  gateway::ListDigest other;
  other.add(*object("a", "n", "{}", 6));
  EXPECT_FALSE(sets.unchanged(key, same, [&](const auto&) { return std::optional(other); }));
  reconcile([&] { both(), list("page", "5"); });
  EXPECT_FALSE(sets.unchanged(key, same, same_list)) << "a list that cannot be compared";
  reconcile([&] { both(), sets.never_skip(key); });
  EXPECT_FALSE(sets.unchanged(key, same, same_list)) << "it read without an informer, or wrote";
  reconcile([&] { both(), read("s", Seen::of(object("a", "s", "{}", 6))); });
  EXPECT_FALSE(sets.unchanged(key, same, same_list)) << "it saw two states";
  reconcile([&] { read("s", Seen::unknown()); });
  EXPECT_FALSE(sets.unchanged(key, same, same_list)) << "it is not known what it saw";
}

}  // namespace
}  // namespace gs::control
