// The types of Kubernetes that every server serves, read once from a table in the binary; shared by all loops.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/schema.h"

namespace gs::schema {

struct KubernetesSubresource {
  std::string_view name;  // "status"
  std::string_view group;
  std::string_view version;
  std::string_view kind;
  std::vector<std::string_view> verbs;
};

struct KubernetesResource {
  std::string_view group;  // empty: core
  std::string_view version;
  std::string_view resource;
  std::string_view kind;
  std::string_view singular;
  bool namespaced = false;
  bool has_generation = false;
  std::vector<std::string_view> short_names;
  std::vector<std::string_view> categories;
  std::vector<std::string_view> verbs;
  std::vector<KubernetesSubresource> subresources;
  SchemaPtr schema;
};

// By group, version and resource as they are published.
const std::vector<KubernetesResource>& kubernetes_resources();
// "meta.v1.ObjectMeta", "autoscaling.v1.Scale"; null where no served type needs it.
SchemaPtr kubernetes_schema(std::string_view name);
// What objects of this kind are, of resources, of their subresources and of options; null where there is none.
SchemaPtr kubernetes_kind(std::string_view api_version, std::string_view kind);
void for_each_kubernetes_struct(const std::function<void(const Schema&)>& each);

}  // namespace gs::schema
