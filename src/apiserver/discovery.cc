#include "apiserver/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "json/writer.h"

namespace gs::apiserver {
namespace {

constexpr std::string_view kAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

// kube-aggregator's priorities of built-in groups; others come last, by name.
int priority(std::string_view group) {
  constexpr std::pair<std::string_view, int> kPriorities[] = {
      {"apiregistration.k8s.io", 20000}, {"", 18000}, {"apps", 17800}, {"events.k8s.io", 17750}, {"authentication.k8s.io", 17700}, {"authorization.k8s.io", 17600}, {"autoscaling", 17500}, {"batch", 17400},
      {"certificates.k8s.io", 17300}, {"networking.k8s.io", 17200}, {"policy", 17100}, {"rbac.authorization.k8s.io", 17000}, {"storage.k8s.io", 16800}, {"apiextensions.k8s.io", 16700},
      {"admissionregistration.k8s.io", 16700}, {"scheduling.k8s.io", 16600}, {"coordination.k8s.io", 16500}, {"node.k8s.io", 16300}, {"discovery.k8s.io", 16200}, {"flowcontrol.apiserver.k8s.io", 15800},
      {"resource.k8s.io", 15900}};
  for (const auto& [name, value] : kPriorities) {
    if (name == group) return value;
  }
  return 1000;
}

// All that is served: groups in order, of each the versions in order, of each the resources.
struct Group {
  std::string name;
  std::vector<std::pair<std::string, std::vector<const ResourceType*>>> versions;
};

std::vector<Group> groups_of(const ResourceTable& table) {
  std::map<std::string, std::map<std::string, std::vector<const ResourceType*>>> found;
  table.for_each([&](const ResourceType& type) { found[type.group][type.version].push_back(&type); });
  std::vector<Group> out;
  for (auto& [name, versions] : found) {
    Group group;
    group.name = name;
    for (const std::string& version : table.versions(name)) group.versions.emplace_back(version, std::move(versions[version]));
    out.push_back(std::move(group));
  }
  std::stable_sort(out.begin(), out.end(), [](const Group& a, const Group& b) { return priority(a.name) > priority(b.name); });
  return out;
}

template <class List>
void write_strings(json::Writer& writer, std::string_view key, const List& list) {
  writer.key(key).begin_array();
  for (const std::string& text : list) writer.string(text);
  writer.end_array();
}

// The old form: an APIResource for the resource and each of its subresources.
void write_resource(const ResourceType& type, json::Writer& writer) {
  writer.begin_object().key("name").string(type.resource).key("singularName").string(type.singular_or_default());
  writer.key("namespaced").boolean(type.namespaced).key("kind").string(type.kind);
  write_strings(writer, "verbs", type.verbs);
  if (!type.short_names.empty()) write_strings(writer, "shortNames", type.short_names);
  if (!type.categories.empty()) write_strings(writer, "categories", type.categories);
  if (type.stored) writer.key("storageVersionHash").string(storage_version_hash(type.storage_type()));
  writer.end_object();
  for (const Subresource& s : type.subresources) {
    writer.begin_object().key("name").string(type.resource + "/" + s.name).key("singularName").string("").key("namespaced").boolean(type.namespaced);
    if (s.group != type.group || s.version != type.version) writer.key("group").string(s.group).key("version").string(s.version);
    writer.key("kind").string(s.kind);
    write_strings(writer, "verbs", s.verbs);
    writer.end_object();
  }
}

// nullopt where nothing of this group and version is served.
std::optional<Answer> resources(const ResourceTable& table, std::string_view group, std::string_view version) {
  Answer answer;
  json::Writer writer(answer.body);
  const std::string group_version = group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
  writer.begin_object().key("kind").string("APIResourceList");
  if (!group.empty()) writer.key("apiVersion").string("v1");
  writer.key("groupVersion").string(group_version);
  writer.key("resources").begin_array();
  bool any = false;
  table.for_each([&](const ResourceType& type) {
    if (type.group != group || type.version != version) return;
    any = true;
    write_resource(type, writer);
  });
  writer.end_array().end_object();
  return any ? std::optional(std::move(answer)) : std::nullopt;
}

void write_group(const Group& group, bool whole, json::Writer& writer) {
  const auto entry = [&](const std::string& version) { return fmt::format(R"({{"groupVersion":"{}/{}","version":"{}"}})", group.name, version, version); };
  writer.begin_object();
  if (whole) writer.key("kind").string("APIGroup").key("apiVersion").string("v1");
  writer.key("name").string(group.name).key("versions").begin_array();
  for (const auto& [version, types] : group.versions) writer.raw(entry(version));
  writer.end_array().key("preferredVersion").raw(entry(group.versions.front().first)).end_object();
}

Answer groups(const ResourceTable& table) {
  Answer answer;
  json::Writer writer(answer.body);
  writer.begin_object().key("kind").string("APIGroupList").key("apiVersion").string("v1").key("groups").begin_array();
  for (const Group& group : groups_of(table)) {
    if (!group.name.empty()) write_group(group, false, writer);
  }
  writer.end_array().end_object();
  return answer;
}

// Of built-in resources the group and version are told only where they are not the resource's own.
void write_kind(json::Writer& writer, const ResourceType& type, std::string_view group, std::string_view version, std::string_view kind) {
  const bool own = !type.custom && group == type.group && version == type.version;
  if (own) group = version = {};
  writer.key("responseKind").begin_object().key("group").string(group).key("version").string(version).key("kind").string(kind).end_object();
}

void write_aggregated(const ResourceType& type, json::Writer& writer) {
  writer.begin_object().key("resource").string(type.resource);
  write_kind(writer, type, type.group, type.version, type.kind);
  writer.key("scope").string(type.namespaced ? "Namespaced" : "Cluster").key("singularResource").string(type.singular_or_default());
  write_strings(writer, "verbs", type.verbs);
  if (!type.short_names.empty()) write_strings(writer, "shortNames", type.short_names);
  if (!type.categories.empty()) write_strings(writer, "categories", type.categories);
  if (!type.subresources.empty()) {
    writer.key("subresources").begin_array();
    for (const Subresource& s : type.subresources) {
      writer.begin_object().key("subresource").string(s.name);
      write_kind(writer, type, s.group, s.version, s.kind);
      write_strings(writer, "verbs", s.verbs);
      writer.end_object();
    }
    writer.end_array();
  }
  writer.end_object();
}

Answer aggregated(const ResourceTable& table, bool core, const net::HttpRequest& request) {
  Answer answer;
  json::Writer writer(answer.body);
  writer.begin_object().key("kind").string("APIGroupDiscoveryList").key("apiVersion").string("apidiscovery.k8s.io/v2").key("metadata").raw("{}").key("items").begin_array();
  for (const Group& group : groups_of(table)) {
    if (group.name.empty() != core) continue;
    writer.begin_object().key("metadata").begin_object();
    if (!core) writer.key("name").string(group.name);
    writer.end_object().key("versions").begin_array();
    for (const auto& [version, types] : group.versions) {
      writer.begin_object().key("version").string(version).key("resources").begin_array();
      for (const ResourceType* type : types) write_aggregated(*type, writer);
      writer.end_array().key("freshness").string("Current").end_object();
    }
    writer.end_array().end_object();
  }
  writer.end_array().end_object();
  answer.content_type = kAggregated;
  answer.etag = sha256_hex(answer.body);
  const std::string* known = net::find_header(request.headers, "if-none-match");
  if (known != nullptr && known->find(answer.etag) != std::string::npos) {
    answer.status = 304;
    answer.body.clear();
  }
  return answer;
}

bool wants_aggregated(const net::HttpRequest& request) {
  const std::string* accept = net::find_header(request.headers, "accept");
  if (accept == nullptr) return false;
  for (const std::string_view clause : split(*accept, ',')) {
    const bool v2 = clause.find("v=v2") != std::string_view::npos && clause.find("v=v2beta1") == std::string_view::npos;
    if (v2 && clause.find("as=APIGroupDiscoveryList") != std::string_view::npos && clause.find("g=apidiscovery.k8s.io") != std::string_view::npos) return true;
    // The first clause that this server can serve decides.
    if (trim(clause) == "application/json" || trim(clause) == "*/*") return false;
  }
  return false;
}

Answer versions(const net::HttpRequest& request) {
  Answer answer;
  json::Writer writer(answer.body);
  writer.begin_object().key("kind").string("APIVersions").key("versions").raw(R"(["v1"])").key("serverAddressByClientCIDRs").begin_array();
  writer.begin_object().key("clientCIDR").string("0.0.0.0/0").key("serverAddress").string(request.authority).end_object().end_array().end_object();
  return answer;
}

Answer version() {
  return Answer(200, fmt::format(R"({{"major":"1","minor":"36","emulationMajor":"1","emulationMinor":"36","minCompatibilityMajor":"1","minCompatibilityMinor":"35","gitVersion":"{}","gitCommit":"",)"
                                 R"("gitTreeState":"clean","buildDate":"1970-01-01T00:00:00Z","goVersion":"","compiler":"gulfstream","platform":"linux/amd64"}})",
                                 kKubernetesVersion));
}

Answer root(const ResourceTable& table) {
  std::vector<std::string> paths = {"/api", "/api/v1", "/apis", "/apis/"};
  for (const Group& group : groups_of(table)) {
    if (group.name.empty()) continue;
    paths.push_back("/apis/" + group.name);
    for (const auto& [version, types] : group.versions) paths.push_back(fmt::format("/apis/{}/{}", group.name, version));
  }
  for (const char* path : {"/healthz", "/livez", "/openapi/v3", "/openapi/v3/", "/readyz", "/version"}) paths.emplace_back(path);
  std::sort(paths.begin(), paths.end());
  Answer answer;
  json::Writer writer(answer.body);
  writer.begin_object();
  write_strings(writer, "paths", paths);
  writer.end_object();
  return answer;
}

}  // namespace

// Kubernetes answers in JSON where a group of its own is served, and as a plain web server elsewhere.
bool of_kubernetes(const ResourceTable& table, std::string_view group) {
  bool out = group.empty();
  table.for_each([&](const ResourceType& type) { out |= !type.custom && type.group == group; });
  return out;
}

std::string storage_version_hash(const ResourceType& storage) {
  const std::string hash = sha256_hex(fmt::format("{}/{}/{}", storage.group, storage.version, storage.kind));
  std::string bytes;
  for (size_t i = 0; i < 16; i += 2) bytes += static_cast<char>(std::stoi(hash.substr(i, 2), nullptr, 16));
  return base64_encode(bytes);
}

std::optional<Answer> discovery(const ResourceTable& table, const net::HttpRequest& request, std::string_view path) {
  if (path == "/" || path.empty()) return root(table);
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path == "/version") return version();
  if (path == "/openapi/v2") return failure(406, "NotAcceptable", "OpenAPI v2 is not served; /openapi/v3 is");
  if (auto document = openapi(table, path)) return document;
  if (path == "/api") return wants_aggregated(request) ? aggregated(table, true, request) : versions(request);
  if (path == "/apis") return wants_aggregated(request) ? aggregated(table, false, request) : groups(table);
  const std::vector<std::string_view> parts = split(path.substr(1), '/');
  if (parts.size() == 2 && parts[0] == "apis") {
    for (const Group& group : groups_of(table)) {
      if (group.name.empty() || group.name != parts[1]) continue;
      Answer answer;
      json::Writer writer(answer.body);
      write_group(group, true, writer);
      return answer;
    }
    return page_not_found();
  }
  const bool core = parts.size() == 2 && parts[0] == "api", group = parts.size() == 3 && parts[0] == "apis";
  if (!core && !group) return std::nullopt;
  auto found = core ? resources(table, "", parts[1]) : resources(table, parts[1], parts[2]);
  if (found) return found;
  return core || of_kubernetes(table, parts[1]) ? no_such_resource() : page_not_found();
}

}  // namespace gs::apiserver
