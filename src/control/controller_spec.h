// A Controller resource (deploy/crds/controllers.yaml, design: section 3), read and checked. What its
// schema cannot say is checked here; every error names the field.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache/resource.h"
#include "gateway/rules.h"
#include "json/value.h"
#include "kube/object.h"
#include "kube/selector.h"

namespace gs::control {

inline constexpr const char* kGroup = "gulfstream.dev";
inline constexpr const char* kVersion = "v1alpha1";
inline constexpr const char* kResyncAnnotation = "gulfstream.dev/resync";
inline constexpr Duration kShortestResync = std::chrono::seconds(1);
inline constexpr Duration kDefaultResync = std::chrono::hours(10);

struct FieldMatch {
  // "spec.type", "metadata.labels.app.kubernetes.io/name" (all that follows is the label's key),
  // "metadata.labels['app.kubernetes.io/name']".
  std::string field_path;
  std::string value;
  std::vector<std::string> path;  // field_path's members
  // kInvalid where the path is none.
  static Result<FieldMatch> make(std::string field_path, std::string value);
};

struct PrimarySpec {
  cache::GroupVersionResource resource;
  std::string ns;
  std::vector<FieldMatch> match;
  Duration resync_period = kDefaultResync;
};

enum class Relationship { kOwner, kReference };

struct SecondarySpec {
  cache::GroupVersionResource resource;
  std::string ns;
  std::vector<FieldMatch> match;
  Relationship relationship = Relationship::kOwner;
  std::vector<std::string> verbs;
  bool delegate_watch = false;
};

struct AuthorizedSpec {
  std::string group;
  std::vector<std::string> resources;
  std::vector<std::string> verbs;
  bool allow_cross_namespace = false;
};

struct ConfigSpec {
  std::string api_version = "v1";
  std::string kind = "ConfigMap";
  std::string ns;
  std::string name;
  bool resync_on_change = false;
  bool from_hub = false;
};

struct ClusterSelector {
  std::vector<std::string> namespaces;
  std::optional<kube::LabelSelector> namespace_labels;
  std::optional<kube::LabelSelector> labels;
};

struct ControllerSpec {
  std::string name;
  std::string uid;
  int64_t generation = 0;
  PrimarySpec primary;
  std::vector<SecondarySpec> secondary;
  std::vector<AuthorizedSpec> authorized;
  std::vector<ConfigSpec> configs;
  std::string delegate;  // URL
  std::optional<ClusterSelector> cluster_selector;
  bool shared_sessions = false;  // sessionIsolation: Shared
};

// From the whole resource. kInvalid: "spec.primary.resource: is required".
Result<ControllerSpec> parse_controller(const json::Value& resource);

// `config_resources` has the plural of each of spec.configs' kinds, in their order; those of configs from the
// hub are not looked at.
gateway::Rules rules_of(const ControllerSpec& spec, bool primary_namespaced, const std::vector<std::string>& config_resources);

// The part of `match` that the server is asked for: metadata.namespace and metadata.name. Nothing else goes:
// these two never change while an object lives, so an object that leaves the selection is a deleted one.
// With labels or any other field a watch would show an object that merely leaves `match` as deleted, and its
// key must be reconciled as unmatched.
struct Pushed {
  std::string ns;              // empty: all
  std::string field_selector;  // "metadata.name=x", or empty
};
Pushed pushed_to_server(const std::string& ns, const std::vector<FieldMatch>& match);

// The annotation gulfstream.dev/resync of an object: nullopt where it has none; kInvalid with the reason.
// "0" means that the object is not resynced; less than a second is as a second.
Result<std::optional<Duration>> resync_annotation(const kube::Object& object);

// Whether an object's raw JSON satisfies all entries.
bool matches(const std::vector<FieldMatch>& match, std::string_view object_json);

}  // namespace gs::control
