// What an API server serves: one ResourceType for each (group, version, resource). Built-in types are
// static and shared by all clusters of a process; a ResourceTable holds what one cluster adds to them.
// Objects of one (group, resource) are stored once, in the version whose type says `storage`.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/schema_ptr.h"

namespace gs::apiserver {

namespace conversion {
class WebhookConverter;
}

// A column of `kubectl get`.
struct PrinterColumn {
  std::string name;
  std::string type;    // integer, number, string, boolean, date
  std::string format;  // int32, date-time, ...; often empty
  std::string description;
  int priority = 0;  // above 0: only with -o wide
  std::string json_path;
};

// Where the scale subresource finds its parts: ".spec.replicas", ".status.replicas", ".status.selector" (may be empty).
struct ScalePaths {
  std::string spec;
  std::string status;
  std::string selector;
};

// One of pods/status, pods/binding, deployments/scale ..., as discovery tells it.
struct Subresource {
  std::string name;  // "status", without the resource
  std::string kind;  // of its bodies; for `status` the resource's own
  std::string group;
  std::string version;
  std::vector<std::string> verbs;
};

struct ResourceType {
  ResourceType() = default;
  ResourceType(std::string g, std::string v, std::string r, std::string k, bool ns)
      : group(std::move(g)), version(std::move(v)), resource(std::move(r)), kind(std::move(k)), namespaced(ns) {}

  std::string group;  // empty for the core group
  std::string version;
  std::string resource;  // plural
  std::string kind;
  bool namespaced = true;
  bool has_status = false;      // subresource status; the main resource's writes leave it alone
  bool has_generation = false;  // grows with each change outside of metadata and status
  bool custom = false;          // items of its lists carry kind and apiVersion; an update needs a version
  bool storage = true;          // the version in which objects are stored
  bool deprecated = false;
  bool has_scale = false;
  // Set up by create-only reviews: nothing of them is stored.
  bool stored = true;

  std::string list_kind;            // empty: kind + "List"
  std::string singular;             // empty: the kind in lower case
  std::string deprecation_warning;  // the Warning header's text where deprecated
  std::vector<std::string> short_names;
  std::vector<std::string> categories;
  std::vector<std::string> verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
  std::vector<Subresource> subresources;  // status and scale too
  ScalePaths scale;
  std::vector<PrinterColumn> columns;           // of custom resources
  std::vector<std::string> selectable_fields;   // ".spec.color": field selectors beside metadata.name and metadata.namespace
  schema::SchemaPtr schema;                     // of the whole object; null: nothing is known of its fields

  // What objects of this version are stored as; null: as this type. A built-in one has the name of the group that requests
  // speak where it is another (events.k8s.io): some of its rules are stricter.
  std::shared_ptr<const ResourceType> stored_as;
  std::string asked_as;
  // Of custom resources: which state of the schema this is. What was stored by another is pruned and defaulted as it is read.
  uint64_t shape = 0;
  // Of custom resources whose versions a webhook converts; all versions of a CRD share it. Null: strategy None.
  std::shared_ptr<conversion::WebhookConverter> converter;

  // Stored as another version, which takes a webhook to read and to write.
  bool asks_webhook() const { return converter != nullptr && stored_as != nullptr; }
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  // What an answer puts before a stored object, in place of its opening brace.
  std::string prefix() const;
  // "deployments.apps", as messages name it.
  std::string qualified() const { return named_group().empty() ? resource : resource + "." + named_group(); }
  // As messages and details name it: events that are asked for as events.k8s.io are of that group.
  const std::string& named_group() const { return asked_as.empty() ? group : asked_as; }
  // "Deployment.apps", as messages about invalid objects name it.
  std::string qualified_kind() const { return group.empty() ? kind : kind + "." + group; }
  std::string list_kind_or_default() const { return list_kind.empty() ? kind + "List" : list_kind; }
  std::string singular_or_default() const;
  bool serves(std::string_view verb) const;
  const Subresource* subresource(std::string_view name) const;
  const ResourceType& storage_type() const { return stored_as ? *stored_as : *this; }
  // What writes are judged as: built-in types as what is stored, custom resources in the version of the request.
  const ResourceType& judged_as() const { return custom ? *this : storage_type(); }
};
using ResourceTypePtr = std::shared_ptr<const ResourceType>;

class ResourceTable {
 public:
  using Key = std::pair<std::string, std::string>;  // group, resource

  // With the built-in resources.
  ResourceTable();
  // Takes the place of the same group, resource and version.
  ResourceTypePtr add(ResourceType type);
  // All versions of it.
  void remove(const std::string& group, const std::string& resource);
  // Null where it is not served.
  ResourceTypePtr find(const std::string& group, const std::string& version, const std::string& resource) const;
  // In the storage version.
  ResourceTypePtr find(const std::string& group, const std::string& resource) const;
  // The versions of a group, the preferred first; empty where nothing of it is served.
  std::vector<std::string> versions(const std::string& group) const;
  // Each version of each resource, in the order of group and resource, the preferred version first.
  void for_each(const std::function<void(const ResourceType&)>& each) const;
  // Each resource whose objects are stored, once, in its storage version.
  void for_each_storage(const std::function<void(const ResourceType&)>& each) const;

 private:
  using Types = std::map<Key, std::vector<ResourceTypePtr>>;  // versions by preference
  static const Types& built_ins();
  const std::vector<ResourceTypePtr>* types(const std::string& group, const std::string& resource) const;

  Types custom_;
};

// Kubernetes' order of versions: v2 before v1, v1 before v1beta2, v1beta1, v1alpha1, and others by name after those
// (k8s.io/apimachinery/pkg/version, CompareKubeAwareVersionStrings). True: `a` is preferred to `b`.
bool preferred_version(std::string_view a, std::string_view b);

// A custom resource as most CRDs define it: namespaced, with status.
ResourceType custom_resource(std::string group, std::string version, std::string resource, std::string kind);

}  // namespace gs::apiserver
