// A call of a delegate read as an API server reads a request
// (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go), but strictly: what is odd is refused, and
// what goes on is rebuilt from what was understood, never the delegate's own string.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cache/resource.h"

namespace gs::gateway {

enum class Verb { kGet, kList, kWatch, kCreate, kUpdate, kPatch, kDelete, kDeleteCollection };
std::string_view verb_name(Verb verb);  // as RBAC spells it

enum class PatchType { kNone, kJson, kMerge, kStrategicMerge, kApply };

struct RestRequest {
  Verb verb = Verb::kGet;
  std::string group;  // empty for the core group
  std::string version;
  std::string resource;     // plural
  std::string subresource;  // empty for the resource itself
  std::string ns;           // empty: cluster-scoped, or over all namespaces
  std::string name;         // empty for collections and creates
  PatchType patch = PatchType::kNone;
  // Query parameters, decoded, each at most once; `watch` is not among them.
  std::map<std::string, std::string> options;

  bool dry_run() const { return options.contains("dryRun"); }
  bool is_write() const { return verb != Verb::kGet && verb != Verb::kList && verb != Verb::kWatch; }
  // options[key], or empty.
  std::string_view option(const std::string& key) const;
  // "pods/eviction", "deployments"
  std::string resource_path() const { return subresource.empty() ? resource : resource + "/" + subresource; }
  // GET, POST, ...
  std::string_view method() const;
  bool operator==(const RestRequest&) const = default;
};

// A Namespace object: cluster-scoped, though RequestInfo gives it its own name as namespace.
inline bool is_namespace_object(const RestRequest& request) { return request.group.empty() && request.resource == "namespaces"; }
// The namespace as caches and rules know it; empty: cluster-scoped, or over all namespaces.
inline std::string scope_of(const RestRequest& request) { return is_namespace_object(request) ? std::string() : request.ns; }
inline cache::GroupVersionResource resource_of(const RestRequest& request) {
  return cache::GroupVersionResource(request.group, request.version, request.resource);
}

// kInvalid with the reason. Refused: anything but /api/VERSION/... and /apis/GROUP/VERSION/..., odd
// segments (empty, ".", "..", escapes of reserved characters, a trailing slash), the deprecated
// /watch/ prefix, parameters that are unknown or given twice, and subresources that are connections
// (proxy, exec, attach, portforward, log).
Result<RestRequest> parse_rest_request(std::string_view method, std::string_view path, std::string_view query,
                                       std::string_view content_type);

// The path and query of the request, in one canonical spelling: parameters sorted, all escaped alike.
std::string canonical_target(const RestRequest& request);

// k8s.io/apimachinery/pkg/api/validation/path: no "/", no "%", not "." nor "..".
bool is_path_segment_name(std::string_view name);

}  // namespace gs::gateway
