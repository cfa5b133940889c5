// What a server says of itself: /version, /api, /apis and the resources of each group, in the old form
// and aggregated (apidiscovery.k8s.io/v2), OpenAPI v3 as far as kubectl needs it, and its health.
#pragma once

#include <optional>
#include <string_view>

#include "apiserver/answer.h"
#include "net/http.h"

namespace gs::apiserver {

inline constexpr const char* kKubernetesVersion = "v1.36.3";

// nullopt: the path is no document of the server (a resource's, or unknown).
std::optional<Answer> discovery(const ResourceTable& table, const net::HttpRequest& request, std::string_view path);
// /healthz, /livez, /readyz and their checks, with ?verbose and ?exclude=; `store`: how its disk is.
std::optional<Answer> health(std::string_view path, std::string_view query, const Status& store);
// /openapi/v3 and the document of a group's version.
std::optional<Answer> openapi(const ResourceTable& table, std::string_view path);

// A group that Kubernetes itself serves: its paths that lead nowhere are answered in JSON.
bool of_kubernetes(const ResourceTable& table, std::string_view group);
// base64 of the first 8 bytes of a hash of the storage version, as discovery tells it.
std::string storage_version_hash(const ResourceType& storage);

}  // namespace gs::apiserver
