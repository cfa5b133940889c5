#include "schema/kubernetes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace gs::schema {
namespace {

const KubernetesResource* resource(std::string_view group, std::string_view name) {
  for (const KubernetesResource& r : kubernetes_resources()) {
    if (r.group == group && r.resource == name) return &r;
  }
  return nullptr;
}

const Property& at(const Schema* schema, std::initializer_list<std::string_view> path) {
  const Property* found = nullptr;
  for (const std::string_view name : path) {
    found = schema->find(name);
    EXPECT_NE(found, nullptr) << name;
    schema = found->slot.schema;
    if (schema->items) schema = schema->items.schema;
  }
  return *found;
}

TEST(KubernetesTest, ServesWhatAPlainServerServesByDefaultAndNoAlphaOrBeta) {
  std::set<std::string_view> groups;
  for (const KubernetesResource& r : kubernetes_resources()) {
    groups.insert(r.group);
    EXPECT_EQ(r.version.find("alpha"), std::string_view::npos) << r.resource;
    EXPECT_EQ(r.version.find("beta"), std::string_view::npos) << r.resource;
    ASSERT_NE(r.schema, nullptr) << r.resource;
    EXPECT_NE(r.schema->find("metadata"), nullptr) << r.resource;
  }
  EXPECT_EQ(kubernetes_resources().size(), 68u);
  EXPECT_EQ(groups.size(), 21u);
}

TEST(KubernetesTest, TellsNamesScopeVerbsAndSubresources) {
  const KubernetesResource* deployments = resource("apps", "deployments");
  ASSERT_NE(deployments, nullptr);
  EXPECT_TRUE(deployments->namespaced);
  EXPECT_TRUE(deployments->has_generation);
  EXPECT_EQ(deployments->singular, "deployment");
  EXPECT_EQ(deployments->short_names, std::vector<std::string_view>{"deploy"});
  EXPECT_EQ(deployments->categories, std::vector<std::string_view>{"all"});
  ASSERT_EQ(deployments->subresources.size(), 2u);
  EXPECT_EQ(deployments->subresources[0].name, "scale");
  EXPECT_EQ(deployments->subresources[0].group, "autoscaling");
  EXPECT_EQ(deployments->subresources[0].kind, "Scale");
  EXPECT_FALSE(resource("", "namespaces")->namespaced);
  EXPECT_FALSE(resource("", "services")->has_generation);
  EXPECT_EQ(resource("authorization.k8s.io", "subjectaccessreviews")->verbs, std::vector<std::string_view>{"create"});
}

TEST(KubernetesTest, TellsTypesListTypesPatchStrategiesAndDefaults) {
  const Schema* deployment = resource("apps", "deployments")->schema.get();
  EXPECT_EQ(at(deployment, {"spec", "replicas"}).slot.schema->form, Form::kInt32);
  EXPECT_TRUE(at(deployment, {"spec", "replicas"}).pointer);
  EXPECT_TRUE(at(deployment, {"spec", "selector"}).required);
  const Property& containers = at(deployment, {"spec", "template", "spec", "containers"});
  EXPECT_EQ(containers.slot.schema->list_type, ListType::kMap);
  EXPECT_EQ(containers.slot.schema->map_keys, std::vector<std::string_view>{"name"});
  EXPECT_EQ(containers.patch_strategy, "merge");
  EXPECT_EQ(containers.merge_key, "name");
  const Property& ports = at(deployment, {"spec", "template", "spec", "containers", "ports"});
  EXPECT_EQ(ports.slot.schema->map_keys, (std::vector<std::string_view>{"containerPort", "protocol"}));
  EXPECT_EQ(ports.merge_key, "containerPort");
  const Property& protocol = at(deployment, {"spec", "template", "spec", "containers", "ports", "protocol"});
  ASSERT_NE(protocol.slot.initial, nullptr);
  EXPECT_EQ(*protocol.slot.initial, json::Value("TCP"));
  EXPECT_EQ(protocol.go_type, "v1.Protocol");
  EXPECT_TRUE(at(deployment, {"spec", "selector"}).slot.schema->atomic_map);
  EXPECT_EQ(at(deployment, {"metadata", "creationTimestamp"}).slot.schema->form, Form::kTime);
}

TEST(KubernetesTest, ListsOfOnePlaceSayNothingOfAnother) {
  const SchemaPtr spec = kubernetes_schema("core.v1.ServiceSpec");
  ASSERT_NE(spec, nullptr);
  EXPECT_EQ(at(spec.get(), {"ports"}).slot.schema->list_type, ListType::kMap);
  EXPECT_EQ(at(spec.get(), {"externalIPs"}).slot.schema->list_type, ListType::kAtomic);
  EXPECT_EQ(kubernetes_schema("core.v1.Nothing"), nullptr);
}

}  // namespace
}  // namespace gs::schema
