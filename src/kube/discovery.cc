#include "kube/discovery.h"

#include <algorithm>

#include "base/strings.h"
#include "json/value.h"

namespace gs::kube {
namespace {

constexpr size_t kMaxExcerpt = 80;

std::vector<std::string> verbs_of(const json::Value& resource) {
  std::vector<std::string> out;
  const json::Value* verbs = resource.find("verbs");
  const json::Array* array = verbs != nullptr ? verbs->array() : nullptr;
  if (array == nullptr) return out;
  for (const json::Value& verb : *array) {
    if (verb.string() != nullptr) out.push_back(*verb.string());
  }
  return out;
}

// The first words of a body that is not what it should be, on one line.
std::string excerpt(std::string_view body) {
  std::string out;
  for (const char c : body.substr(0, 2 * kMaxExcerpt)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return truncate_utf8(trim(out), kMaxExcerpt);
}

Error not_kubernetes(const std::string& server, const Response& response) {
  std::string what = fmt::format("GET /version gave status {}", response.status);
  if (response.status >= 200 && response.status < 300) what = "GET /version gave no Kubernetes version";
  const std::string seen = excerpt(response.body);
  if (!seen.empty()) what += fmt::format(" and \"{}\"", seen);
  Error out(Code::kInternal, fmt::format("the server at {} does not answer as a Kubernetes API server: {}", server, what));
  out.http_status = response.status;
  return out;
}

Error as_error(const Response& response) { return status_error(response.status, response.body, response.retry_after, WallTime{}); }

}  // namespace

bool ApiResource::has_verb(std::string_view verb) const { return std::find(verbs.begin(), verbs.end(), verb) != verbs.end(); }

Task<Result<std::string>> server_version(KubeTransport& transport, std::string server, Lane lane, MonoTime deadline) {
  Request request("GET", "/version");
  request.lane = lane;
  request.deadline = deadline;
  auto sending = transport.send(std::move(request));
  GS_CO_TRY(const Response response, co_await sending);
  const auto body = json::parse(response.body);
  const bool ok_status = response.status == 200;
  if (ok_status && body && body->find("gitVersion") != nullptr && !body->text("gitVersion").empty()) {
    co_return truncate_utf8(body->text("gitVersion"), 128);
  }
  if (response.status == 401) co_return fail(as_error(response).with_context("the API server refuses our credentials"));
  // A Kubernetes server in trouble, or one that does not show its version to us.
  const bool kubernetes = body && body->text("kind") == "Status";
  if (!ok_status && (kubernetes || response.status == 429 || response.status >= 500)) {
    co_return fail(as_error(response).with_context("GET /version"));
  }
  co_return fail(not_kubernetes(server, response));
}

Task<Result<std::string>> cluster_uid(KubeTransport& transport, Lane lane, MonoTime deadline) {
  Request request("GET", "/api/v1/namespaces/kube-system");
  request.lane = lane;
  request.deadline = deadline;
  // Only the metadata are of interest; servers that cannot leave the rest out send it.
  request.accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
  auto sending = transport.send(std::move(request));
  GS_CO_TRY(const Response response, co_await sending);
  if (response.status != 200) co_return fail(as_error(response).with_context("namespace kube-system"));
  const auto body = json::parse(response.body);
  const std::string uid(body ? body->text("metadata.uid") : "");
  if (uid.empty() || uid.size() > 128) co_return fail(Code::kInternal, "namespace kube-system: the answer has no metadata.uid");
  co_return uid;
}

namespace internal {

Result<ApiResources> parse_api_resources(std::string_view body) {
  GS_TRY(const json::Value list, json::parse(body));
  const json::Value* resources = list.find("resources");
  const bool is_list = list.text("kind") == "APIResourceList";
  if (!is_list || (resources != nullptr && !resources->is_null() && !resources->is_array())) {
    return fail(Code::kInternal, "the answer is not an APIResourceList");
  }
  ApiResources out;
  const json::Array* array = resources != nullptr ? resources->array() : nullptr;
  if (array == nullptr) return out;
  for (const json::Value& resource : *array) {
    const std::string_view name = resource.text("name");
    const size_t slash = name.find('/');
    if (name.empty()) continue;
    // "pods/status" belongs to "pods", which may come later.
    ApiResource& entry = out[std::string(name.substr(0, slash))];
    if (slash != std::string_view::npos) {
      entry.subresources[std::string(name.substr(slash + 1))] = verbs_of(resource);
      continue;
    }
    entry.kind = resource.text("kind");
    entry.singular = resource.text("singularName");
    const json::Value* namespaced = resource.find("namespaced");
    entry.namespaced = namespaced != nullptr && namespaced->boolean().value_or(false);
    entry.verbs = verbs_of(resource);
  }
  // A subresource alone (as some aggregated servers have) is no resource.
  std::erase_if(out, [](const auto& item) { return item.second.kind.empty(); });
  return out;
}

}  // namespace internal

Task<Result<ApiResources>> discover(KubeTransport& transport, std::string group, std::string version, MonoTime deadline) {
  const std::string path = group.empty() ? "/api/" + percent_encode(version)
                                         : fmt::format("/apis/{}/{}", percent_encode(group), percent_encode(version));
  Request request("GET", path);
  request.lane = Lane::kWatch;
  request.deadline = deadline;
  auto sending = transport.send(std::move(request));
  GS_CO_TRY(const Response response, co_await sending);
  if (response.status == 404) {
    const std::string name = group.empty() ? version : group + "/" + version;
    co_return fail(Code::kNotFound, "{} is not served", name);
  }
  if (response.status != 200) co_return fail(as_error(response).with_context("GET " + path));
  auto parsed = internal::parse_api_resources(response.body);
  if (!parsed) co_return fail(Code::kInternal, "GET {}: {}", path, parsed.error().message);
  co_return *std::move(parsed);
}

}  // namespace gs::kube
