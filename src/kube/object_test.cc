#include "kube/object.h"

#include "json/value.h"

namespace gs::kube {
namespace {

TEST(Object, KeepsItsJsonWithoutManagedFieldsInOneAllocation) {
  const std::string text = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[{"manager":"x"}],)"
                           R"("name":"a","namespace":"b","uid":"u","resourceVersion":"12","labels":{"l":"1"}},"data":{"k":"v"}})";
  const auto object = Object::parse(text);
  ASSERT_TRUE(object) << object.error().message;
  const Object& o = **object;
  EXPECT_EQ(o.api_version(), "v1");
  EXPECT_EQ(o.kind(), "ConfigMap");
  EXPECT_EQ(o.name(), "a");
  EXPECT_EQ(o.ns(), "b");
  EXPECT_EQ(o.uid(), "u");
  EXPECT_EQ(o.resource_version(), "12");
  EXPECT_EQ(o.labels(), R"({"l":"1"})");
  EXPECT_EQ(json::parse(o.json())->at("metadata.managedFields"), nullptr);
  EXPECT_EQ(json::parse(o.json())->text("data.k"), "v");
  EXPECT_LE(o.footprint(), o.json().size() + 200);
}

TEST(Object, AnItemOfATypedListGetsItsKind) {
  const auto object = Object::parse(R"(  {"metadata":{"name":"a","managedFields":[]},"spec":{}})", {}, "apps/v1", "Deployment");
  ASSERT_TRUE(object);
  EXPECT_EQ((*object)->kind(), "Deployment");
  EXPECT_EQ((*object)->api_version(), "apps/v1");
  EXPECT_EQ((*object)->name(), "a");
  EXPECT_EQ((*object)->json(), R"({"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"a"},"spec":{}})");
}

TEST(Object, CopiesShareOneAllocationAndTheLastFreesIt) {
  ObjectRef a = *Object::parse(R"({"metadata":{"name":"a"}})");
  ObjectRef b = a;
  EXPECT_EQ(a.get(), b.get());
  a = ObjectRef();
  EXPECT_EQ(b->name(), "a");
}

TEST(Object, RefusesWhatHasNoName) {
  EXPECT_FALSE(Object::parse(R"({"metadata":{}})"));
  EXPECT_FALSE(Object::parse(R"({"kind":"Table"})"));
}

TEST(Versions, CompareAsNumbersOfAnyLength) {
  EXPECT_LT(compare_versions("9", "10").order, 0);
  EXPECT_GT(compare_versions("18446744073709551617", "18446744073709551616").order, 0);
  EXPECT_EQ(compare_versions("7", "7").order, 0);
  for (const char* odd : {"", "01", "abc", "-1", "1.5"}) EXPECT_FALSE(compare_versions(odd, "1").comparable) << odd;
}

TEST(Object, ManagedFieldsGoHoweverOftenTheyAreThere) {
  const auto object = Object::parse(R"({"kind":"Pod","metadata":{"managedFields":[1],"name":"a","managedFields":[2],"managedFields":[]}})");
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_EQ((*object)->json().find("managedFields"), std::string_view::npos) << (*object)->json();
  EXPECT_EQ((*object)->name(), "a");
}

TEST(Object, TwoMetadataAreRefused) {
  const auto object = Object::parse(R"({"kind":"Pod","metadata":{"name":"a"},"metadata":{"labels":{}}})");
  ASSERT_FALSE(object);
  EXPECT_EQ(object.error().message, "metadata is there twice");
}

}  // namespace
}  // namespace gs::kube
