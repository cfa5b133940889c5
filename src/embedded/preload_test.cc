#include "embedded/preload.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/files.h"
#include "runtime/sim_loop.h"

namespace gs::embedded {
namespace {

using testing::HasSubstr;

std::string file_with(const std::string& name, const std::string& text) {
  const std::string out = testing::TempDir() + "gs_preload_" + name;
  EXPECT_TRUE(write_whole_file(out, text, kPublicFile));
  return out;
}

class PreloadTest : public testing::Test {
 protected:
  Result<Preloaded> load(const std::string& text, IfThere if_there = IfThere::kLeave) {
    const std::string path = file_with("objects.yaml", text);
    GS_TRY(const std::vector<Manifest> manifests, read_manifests(path));
    return preload(server_, manifests, if_there);
  }
  std::string refusal(const std::string& text) {
    const auto done = load(text);
    EXPECT_FALSE(done);
    return done ? "" : done.error().message;
  }
  SimWorld world_{1};
  apiserver::ApiServer server_{world_.add_loop()};
};

constexpr const char* kObjects = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {a: "1"}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: here}
)";

TEST_F(PreloadTest, CreatesObjectsWithNamespacesFirstAndDefaultWhereNoneIsSaid) {
  const auto done = load(kObjects);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->created, 3u);
  EXPECT_EQ(server_.request("GET", "/api/v1/namespaces/shop/configmaps/settings").status, 200);
  EXPECT_EQ(server_.request("GET", "/api/v1/namespaces/default/configmaps/here").status, 200);
}

TEST_F(PreloadTest, CreatesCustomResourcesWhoseDefinitionComesAlong) {
  const auto done = load(R"(
apiVersion: example.com/v1
kind: Thing
metadata: {name: one}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  names: {plural: things, singular: thing, kind: Thing, listKind: ThingList}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
)");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->created, 2u);
  EXPECT_EQ(server_.request("GET", "/apis/example.com/v1/namespaces/default/things/one").status, 200);
}

TEST_F(PreloadTest, LeavesWhatIsThereUnlessItShallReplaceIt) {
  ASSERT_TRUE(load(kObjects));
  const std::string changed = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {a: \"2\"}\n";
  const auto left = load(changed);
  ASSERT_TRUE(left);
  EXPECT_EQ(left->created, 0u);
  EXPECT_EQ(left->present, 1u);
  EXPECT_THAT(server_.request("GET", "/api/v1/namespaces/shop/configmaps/settings").body, HasSubstr(R"("a":"1")"));
  ASSERT_TRUE(load(changed, IfThere::kReplace));
  EXPECT_THAT(server_.request("GET", "/api/v1/namespaces/shop/configmaps/settings").body, HasSubstr(R"("a":"2")"));
}

TEST_F(PreloadTest, RefusesWithFileDocumentAndField) {
  const std::string good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n";
  EXPECT_THAT(refusal(good + "kind: Namespace\n"), HasSubstr("objects.yaml: document 2: apiVersion: is missing"));
  EXPECT_THAT(refusal(good + "apiVersion: v1\nkind: Namespace\nmetadata: {}\n"), HasSubstr("objects.yaml: document 2: metadata.name: is missing"));
  EXPECT_THAT(refusal("- a\n"), HasSubstr("objects.yaml: document 1: must be a Kubernetes object, not of type array"));
  EXPECT_THAT(refusal("apiVersion: v1\nkind: [\n"), HasSubstr("objects.yaml: "));
  EXPECT_THAT(refusal("apiVersion: x.dev/v1\nkind: Thing\nmetadata: {name: a}\n"), HasSubstr("document 1: kind: no kind \"Thing\" of x.dev/v1 is served"));
  EXPECT_THAT(refusal("apiVersion: v1\nkind: ConfigMapList\nitems: [{apiVersion: v1, kind: ConfigMap}]\n"), HasSubstr("document 1: items[0]: metadata.name: is missing"));
  EXPECT_THAT(refusal("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: none}\n"), HasSubstr("document 1: namespaces \"none\" not found"));
}

TEST_F(PreloadTest, SaysWhichFileIsMissingOrEmptyOfManifests) {
  const auto missing = read_manifests("/nonexistent/x.yaml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "/nonexistent/x.yaml: cannot be read");
  const std::string directory = testing::TempDir() + "gs_preload_empty";
  std::filesystem::create_directories(directory);
  const auto none = read_manifests(directory);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("has no .yaml, .yml or .json file"));
}

}  // namespace
}  // namespace gs::embedded
