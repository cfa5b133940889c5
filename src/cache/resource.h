// Names of what is watched.
#pragma once

#include <compare>
#include <string>

namespace gs::cache {

struct GroupVersionResource {
  GroupVersionResource() = default;
  GroupVersionResource(std::string g, std::string v, std::string r)
      : group(std::move(g)), version(std::move(v)), resource(std::move(r)) {}
  std::string group;  // empty for the core group
  std::string version;
  std::string resource;  // plural, lower case
  auto operator<=>(const GroupVersionResource&) const = default;

  // "deployments.v1.apps", "configmaps.v1": as kubectl writes it.
  std::string to_string() const { return resource + "." + version + (group.empty() ? "" : "." + group); }
  // "/apis/apps/v1/namespaces/ns/deployments", or over all namespaces where `ns` is empty.
  std::string collection_path(const std::string& ns) const {
    const std::string root = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
    return root + (ns.empty() ? "" : "/namespaces/" + ns) + "/" + resource;
  }
};

// What one informer watches. Two users that want the same share it.
struct InformerKey {
  GroupVersionResource resource;
  std::string ns;  // empty: all namespaces, or a cluster-scoped resource
  std::string label_selector;
  std::string field_selector;
  auto operator<=>(const InformerKey&) const = default;
};

}  // namespace gs::cache
