#include "cache/store.h"

#include <map>

#include "cache/scripted_transport.h"
#include "runtime/random.h"

namespace gs::cache {
namespace {

kube::ObjectRef object(const std::string& ns, const std::string& name, int version, const std::vector<std::string>& owners = {}) {
  std::string references;
  for (const std::string& uid : owners) references += (references.empty() ? "" : ",") + fmt::format(R"({{"uid":"{}"}})", uid);
  const std::string more = owners.empty() ? "" : ",\"ownerReferences\":[" + references + "]";
  return kube::Object::parse(object_text(ns, name, version, "", more)).value();
}

std::string names(const Store& store, const std::string& ns) {
  std::vector<std::string> out;
  store.for_each(ns, [&](const kube::ObjectRef& o) { out.emplace_back(o->name()); });
  std::sort(out.begin(), out.end());
  return join(out, ",");
}

std::string owned(const Store& store, const std::string& uid) {
  std::vector<std::string> out;
  store.for_each_owned(uid, [&](const kube::ObjectRef& o) { out.emplace_back(o->name()); });
  std::sort(out.begin(), out.end());
  return join(out, ",");
}

TEST(Store, HoldsOneObjectForAKey) {
  Store store;
  EXPECT_FALSE(store.put(object("a", "x", 1)));
  const kube::ObjectRef old = store.put(object("a", "x", 2));
  ASSERT_TRUE(old);
  EXPECT_EQ(old->resource_version(), "1");
  EXPECT_EQ(store.size(), 1u);
  EXPECT_EQ(store.object_bytes(), store.get("a", "x")->footprint());
  EXPECT_FALSE(store.erase("a", "y"));
  EXPECT_TRUE(store.erase("a", "x"));
  EXPECT_EQ(store.object_bytes(), 0u);
}

TEST(Store, IsIndexedByOwnerFromWhenItIsAskedFor) {
  Store store;
  store.put(object("a", "x", 1, {"u1"}));
  store.index_owners();
  store.put(object("a", "y", 1, {"u1", "u2"}));
  store.put(object("b", "z", 1, {"u2", "u2"}));
  EXPECT_EQ(owned(store, "u1"), "x,y");
  store.put(object("a", "x", 2, {"u2"}));
  EXPECT_EQ(owned(store, "u1"), "y");
  store.erase("b", "z");
  EXPECT_EQ(owned(store, "u2"), "x,y");
  store.erase("a", "y");
  EXPECT_EQ(owned(store, "u1"), "");
}

TEST(Store, ItsIndexesAgreeWithAPlainMapWhateverHappens) {
  Random random(7);
  Store store;
  store.index_owners();
  std::map<std::pair<std::string, std::string>, std::string> model;  // -> owner
  for (int step = 0; step < 20'000; ++step) {
    const std::string ns = random.chance(0.1) ? "" : "ns" + std::to_string(random.below(5));
    const std::string name = "n" + std::to_string(random.below(60));
    if (random.chance(0.4)) {
      EXPECT_EQ(bool(store.erase(ns, name)), model.erase({ns, name}) == 1);
    } else {
      const std::string owner = "u" + std::to_string(random.below(4));
      EXPECT_EQ(bool(store.put(object(ns, name, step + 1, {owner}))), model.contains({ns, name}));
      model[{ns, name}] = owner;
    }
    if (step % 97 != 0) continue;
    ASSERT_EQ(store.size(), model.size());
    for (int i = 0; i < 5; ++i) {
      size_t in_namespace = 0, of_owner = 0, want_in_namespace = 0, want_of_owner = 0;
      const std::string which = "ns" + std::to_string(i);
      const std::string owner = "u" + std::to_string(i);
      store.for_each(which, [&](const kube::ObjectRef& o) { in_namespace += o->ns() == which && model.contains({which, std::string(o->name())}); });
      store.for_each_owned(owner, [&](const kube::ObjectRef&) { ++of_owner; });
      for (const auto& [key, uid] : model) {
        want_in_namespace += key.first == which;
        want_of_owner += uid == owner;
      }
      ASSERT_EQ(in_namespace, want_in_namespace);
      ASSERT_EQ(of_owner, want_of_owner);
    }
  }
  EXPECT_FALSE(names(store, "ns1").empty());
}

}  // namespace
}  // namespace gs::cache
