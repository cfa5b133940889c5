#include "control/owned_children.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

#include <map>

namespace gs::control {
namespace {

kube::ObjectRef object(const std::string& uid, const std::string& version) {
  return kube::Object::parse(R"({"metadata":{"name":"n","uid":")" + uid + R"(","resourceVersion":")" + version + "\"}}").value();
}

TEST(OwnedChildrenTest, AnyChangeOfAChildChangesItsOwnersDigest) {
  OwnedChildren children;
  EXPECT_TRUE(children.of("p").empty());
  children.put("secrets.v1", *object("a", "1"), "p");
  const auto one = children.of("p");
  EXPECT_FALSE(one.empty());
  children.put("secrets.v1", *object("a", "2"), "p");
  const auto edited = children.of("p");
  EXPECT_NE(edited, one);
  children.put("secrets.v1", *object("b", "1"), "p");
  EXPECT_NE(children.of("p"), edited);
  // The event of a deletion carries a version that was never counted.
  children.erase("secrets.v1", *object("b", "9"));
  EXPECT_EQ(children.of("p"), edited);
  children.put("secrets.v1", *object("a", "2"), "");
  EXPECT_TRUE(children.of("p").empty());
  EXPECT_EQ(children.size(), 0u);
}

TEST(OwnedChildrenTest, IsTheSetOfWhatIsThereWhateverTheHistory) {
  EXPECT_TRUE(rc::check([] {
    OwnedChildren children;
    std::map<std::string, std::pair<std::string, std::string>> model;  // child -> version, owner
    const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
        rc::gen::tuple(rc::gen::inRange(0, 5), rc::gen::inRange(0, 4), rc::gen::inRange(1, 4)));
    for (const auto& [child, owner, version] : steps) {
      const std::string uid = "c" + std::to_string(child);
      const auto ref = object(uid, std::to_string(version));
      if (owner == 0) {
        children.erase("r", *ref);
        model.erase(uid);
      } else {
        children.put("r", *ref, "o" + std::to_string(owner));
        model[uid] = {std::to_string(version), "o" + std::to_string(owner)};
      }
    }
    OwnedChildren fresh;
    for (const auto& [uid, state] : model) fresh.put("r", *object(uid, state.first), state.second);
    for (const std::string owner : {"o1", "o2", "o3"}) RC_ASSERT(children.of(owner) == fresh.of(owner));
    RC_ASSERT(children.size() == model.size());
  }));
}

}  // namespace
}  // namespace gs::control
