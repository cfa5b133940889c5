#include "json/scan.h"

#include <forward_list>

#include "json/value.h"

namespace gs::json {
namespace {

constexpr std::string_view kPod = R"({
  "apiVersion": "v1", "kind": "Pod",
  "spec": {"nodeName": "n1", "deep": {"text": "a\"b", "n": 12, "yes": true, "none": null}},
  "metadata": {"name": "p", "namespace": "ns", "uid": "u-1", "resourceVersion": "42", "generation": 3,
    "labels": {"a": "b", "c": "d"}, "managedFields": [{"x": ["}", "]"]}], "ownerReferences": [{"uid": "o"}, {"uid": "p"}]}
})";

TEST(Scan, FindsTheMetadataOfAnObject) {
  const auto scan = scan_object(kPod);
  ASSERT_TRUE(scan) << scan.error().message;
  EXPECT_EQ(scan->api_version, "v1");
  EXPECT_EQ(scan->kind, "Pod");
  EXPECT_EQ(scan->name, "p");
  EXPECT_EQ(scan->ns, "ns");
  EXPECT_EQ(scan->uid, "u-1");
  EXPECT_EQ(scan->resource_version, "42");
  EXPECT_EQ(scan->generation, 3);
  EXPECT_FALSE(scan->deleting);
  EXPECT_EQ(scan->labels, R"({"a": "b", "c": "d"})");
  EXPECT_EQ(scan->owner_references, R"([{"uid": "o"}, {"uid": "p"}])");
}

TEST(Scan, FindsSpecStatusAndTimes) {
  const std::string text =
      R"({"metadata":{"creationTimestamp":"2024-05-01T10:00:00Z","deletionTimestamp":"2024-05-02T10:00:00Z",)"
      R"("finalizers":["a/b"],"annotations":{}},"spec": {"a":"]}"} ,"status":[ ]})";
  const auto scan = scan_object(text);
  ASSERT_TRUE(scan) << scan.error().message;
  EXPECT_EQ(scan->creation_timestamp, "2024-05-01T10:00:00Z");
  EXPECT_TRUE(scan->deleting);
  EXPECT_EQ(scan->spec, R"({"a":"]}"})");
  EXPECT_EQ(scan->status, "[ ]");
  EXPECT_EQ(scan->finalizers, R"(["a/b"])");
  EXPECT_EQ(scan->annotations, "{}");
}

TEST(Scan, ReadsPaddedTextInPlace) {
  std::string text(R"({"metadata":{"name":"x"}})");
  const size_t size = text.size();
  text.append(kScanPadding, '!');
  ScanOptions options;
  options.padded = true;
  const auto scan = scan_object(std::string_view(text).substr(0, size), options);
  ASSERT_TRUE(scan);
  EXPECT_EQ(scan->name.data(), text.data() + text.find('x'));
}

TEST(Scan, UnescapesIdentifiersWhereTheCallerHasRoomForThem) {
  const std::string text = R"({"kind":"ClusterRole","metadata":{"name":"R\u0026D","uid":"a\"b"}})";
  EXPECT_FALSE(scan_object(text));
  std::forward_list<std::string> room;
  ScanOptions options;
  options.unescaped = &room;
  const auto scan = scan_object(text, options);
  ASSERT_TRUE(scan) << scan.error().message;
  EXPECT_EQ(scan->name, "R&D");
  EXPECT_EQ(scan->uid, "a\"b");
  EXPECT_EQ(scan->kind, "ClusterRole");
}

TEST(Scan, AcceptsNumbersBeyond64BitsAsServersWriteThem) {
  const auto scan = scan_object(R"({"metadata":{"name":"x"},"spec":{"n":100000000000000000000}})");
  ASSERT_TRUE(scan) << scan.error().message;
  EXPECT_EQ(scan->name, "x");
  EXPECT_FALSE(scan_object(R"({"metadata":{"name":"x"},"spec":{"n":100000000000000000000,}})"));
}

TEST(Scan, TheLastOfEqualKeysCountsInLookUps) {
  EXPECT_EQ(text_at(R"({"a":"1","a":"2"})", "a"), "2");
  EXPECT_EQ(text_at(R"({"a":"1","\u0061":"2"})", "a"), "2");
}

TEST(Scan, LookUpsKnowTypesAndKeysWithDots) {
  constexpr std::string_view kText = R"({"m":{"a.b/c":"x\ny"},"n":1.5,"t":false,"z":null,"l":[1]})";
  EXPECT_EQ(get_path(kText, {"m", "a.b/c"})->text(), "x\ny");
  EXPECT_EQ(get_path(kText, {"n"})->type, Lookup::Type::kNumber);
  EXPECT_EQ(get_path(kText, {"n"})->text(), "1.5");
  EXPECT_EQ(get_path(kText, {"t"})->type, Lookup::Type::kBool);
  EXPECT_EQ(get_path(kText, {"z"})->type, Lookup::Type::kNull);
  EXPECT_EQ(get_path(kText, {"l"})->type, Lookup::Type::kArray);
  EXPECT_EQ(get_path(kText, {"m"})->type, Lookup::Type::kObject);
  EXPECT_EQ(get_path(kText, {"m", "a"}), std::nullopt);
}

TEST(Scan, LookUpsInBrokenTextStayInsideIt) {
  constexpr std::string_view kText = R"({"a":{"b":["c\"",1]},"d":"e"})";
  for (size_t size = 0; size <= kText.size(); ++size) {
    const std::string cut(kText.substr(0, size));  // its own memory, for the sanitizer
    get_path(cut, {"a", "b"});
    text_at(cut, "d");
    for_each_element(cut, [](auto) {});
    for_each_member(cut, [](auto, auto) {});
  }
}

std::string without_managed_fields(std::string text) {
  const auto scan = scan_object(text);
  EXPECT_TRUE(scan);
  const size_t at = static_cast<size_t>(scan->managed_fields_member.data() - text.data());
  return text.erase(at, scan->managed_fields_member.size());
}

TEST(Scan, CuttingManagedFieldsLeavesValidJsonWhereverTheyStand) {
  for (const char* metadata : {R"({"managedFields":[],"name":"x"})", R"({"name":"x", "managedFields":[{"a":1}] })",
                               R"({"a":"1" , "managedFields":[] , "name":"x"})", R"({"managedFields":[]})"}) {
    const std::string cut = without_managed_fields(std::string(R"({"metadata":)") + metadata + "}");
    const auto parsed = parse(cut);
    ASSERT_TRUE(parsed) << cut;
    EXPECT_EQ(parsed->at("metadata.managedFields"), nullptr) << cut;
  }
}

TEST(Scan, RefusesWhatIsNotAnObjectOfTheApi) {
  for (const char* text : {"[]", "{}", "1", R"({"metadata":1})", R"({"metadata":{"name":1}})",
                           R"({"metadata":{"name":"a\u0062"}})", R"({"metadata":{"generation":"x"}})",
                           R"({"spec":[1,2},"metadata":{}})", R"({"metadata":{},"spec":{"a":[1,2}]}})"}) {
    EXPECT_FALSE(scan_object(text)) << text;
  }
}

TEST(Scan, LooksUpPathsLazily) {
  EXPECT_EQ(text_at(kPod, "spec.nodeName"), "n1");
  EXPECT_EQ(text_at(kPod, "spec.deep.text"), "a\"b");
  EXPECT_EQ(text_at(kPod, "spec.deep.n"), "12");
  EXPECT_EQ(text_at(kPod, "spec.deep.yes"), "true");
  EXPECT_EQ(text_at(kPod, "spec.deep.none"), std::nullopt);
  EXPECT_EQ(text_at(kPod, "spec.nodeName.x"), std::nullopt);
  EXPECT_EQ(text_at(kPod, "status"), std::nullopt);
  EXPECT_EQ(text_of(R"("a\u0062")"), "ab");
  EXPECT_EQ(text_of("12"), "12");
  EXPECT_EQ(text_of("{}"), "{}");
}

TEST(Scan, WalksLabelsAndArrays) {
  std::string raw;
  for_each_member(R"({"a":"1", "b\t":[2] })", [&](auto k, auto v) { raw += std::string(k) + "=" + std::string(v) + ";"; });
  EXPECT_EQ(raw, "a=\"1\";b\t=[2];");
  std::string seen;
  for_each_string(R"({"a":"1","b\n":"x\"y","n":3})", [&](auto k, auto v) { seen += std::string(k) + "=" + std::string(v) + ";"; });
  EXPECT_EQ(seen, "a=1;b\n=x\"y;");
  std::string elements;
  for_each_element(R"([ {"a":[1]}, "x" ,3])", [&](auto e) { elements += std::string(e) + ";"; });
  EXPECT_EQ(elements, R"({"a":[1]};"x";3;)");
  for_each_element("[]", [&](auto) { FAIL(); });
}

}  // namespace
}  // namespace gs::json
