#include "gateway/rest_request.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/strings.h"

namespace gs::gateway {
namespace {

// What each verb takes. Every option of the API's ListOptions, GetOptions, CreateOptions, UpdateOptions,
// PatchOptions and DeleteOptions (k8s.io/apimachinery/pkg/apis/meta/v1/types.go), and `pretty`.
constexpr std::string_view kGetOptions[] = {"resourceVersion", "pretty"};
constexpr std::string_view kListOptions[] = {"labelSelector",        "fieldSelector",       "resourceVersion",
                                             "resourceVersionMatch", "limit",               "continue",
                                             "timeoutSeconds",       "allowWatchBookmarks", "sendInitialEvents",
                                             "pretty",               "watch"};
constexpr std::string_view kWriteOptions[] = {"dryRun", "fieldManager", "fieldValidation", "pretty"};
constexpr std::string_view kPatchOptions[] = {"dryRun", "fieldManager", "fieldValidation", "force", "pretty"};
constexpr std::string_view kDeleteOptions[] = {"dryRun", "gracePeriodSeconds", "propagationPolicy", "orphanDependents",
                                               "ignoreStoreReadErrorWithClusterBreakingPotential", "pretty"};

constexpr std::string_view kConnections[] = {"proxy", "exec", "attach", "portforward", "log"};

template <class List>
bool contains(const List& list, std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

bool option_allowed(Verb verb, std::string_view name) {
  switch (verb) {
    case Verb::kGet: return contains(kGetOptions, name);
    case Verb::kList:
    case Verb::kWatch: return contains(kListOptions, name);
    case Verb::kCreate:
    case Verb::kUpdate: return contains(kWriteOptions, name);
    case Verb::kPatch: return contains(kPatchOptions, name);
    case Verb::kDelete: return contains(kDeleteOptions, name);
    // Its selectors, and the delete options of each.
    case Verb::kDeleteCollection:
      return contains(kDeleteOptions, name) || (name != "watch" && contains(kListOptions, name));
  }
  return false;
}

bool is_dns_label(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

bool is_group_or_resource(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos &&
         text.front() != '.' && text.front() != '-';
}

bool is_version(std::string_view text) {
  return text.size() >= 2 && text[0] == 'v' && text[1] >= '0' && text[1] <= '9' && is_group_or_resource(text);
}

// Segments of a path, decoded once; none that a second reader could read in another way.
Result<std::vector<std::string>> segments_of(std::string_view path) {
  if (!path.starts_with('/')) return fail(Code::kInvalid, "the path must begin with /");
  const std::vector<std::string_view> parts = split(path.substr(1), '/');
  std::vector<std::string> out;
  out.reserve(parts.size());
  for (const std::string_view raw : parts) {
    auto decoded = percent_decode(raw, false);
    if (!decoded) return fail(Code::kInvalid, "path segment \"{}\" has a malformed escape", raw);
    if (!is_path_segment_name(*decoded)) return fail(Code::kInvalid, "path segment \"{}\" is not allowed", raw);
    const bool control = std::any_of(decoded->begin(), decoded->end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte <= 0x20 || byte >= 0x7f || c == '?' || c == '#' || c == '\\' || c == ';';
    });
    if (control) return fail(Code::kInvalid, "path segment \"{}\" has a character that no name has", raw);
    out.push_back(*std::move(decoded));
  }
  return out;
}

Result<std::map<std::string, std::string>> options_of(std::string_view query) {
  std::map<std::string, std::string> out;
  if (query.empty()) return out;
  for (const std::string_view part : split(query, '&')) {
    const size_t equals = part.find('=');
    const auto key = percent_decode(part.substr(0, equals), true);
    const auto value = percent_decode(equals == std::string_view::npos ? "" : part.substr(equals + 1), true);
    if (!key || !value) return fail(Code::kInvalid, "query parameter \"{}\" has a malformed escape", part);
    if (!out.emplace(*key, *value).second) return fail(Code::kInvalid, "query parameter \"{}\" is given twice", *key);
  }
  return out;
}

// Go's strconv.ParseBool, as the API server reads booleans of a query; the bare parameter is true.
Result<bool> boolean_option(const std::string& name, const std::string& value) {
  constexpr std::array<std::string_view, 6> kTrue = {"", "1", "t", "true", "True", "TRUE"};
  constexpr std::array<std::string_view, 5> kFalse = {"0", "f", "false", "False", "FALSE"};
  if (contains(kTrue, value)) return true;
  if (contains(kFalse, value)) return false;
  return fail(Code::kInvalid, "query parameter \"{}\" is not a boolean: \"{}\"", name, value);
}

// Where the path stands: group, version, and what follows.
Result<size_t> take_group_version(const std::vector<std::string>& segments, RestRequest& out) {
  const bool core = segments[0] == "api";
  const size_t used = core ? 2 : 3;
  if ((!core && segments[0] != "apis") || segments.size() <= used) {
    return fail(Code::kInvalid, "the path is not a resource's: /api/VERSION/... or /apis/GROUP/VERSION/...");
  }
  if (!core) out.group = segments[1];
  out.version = segments[used - 1];
  if (!core && !is_group_or_resource(out.group)) return fail(Code::kInvalid, "\"{}\" is not an API group", out.group);
  if (!is_version(out.version)) return fail(Code::kInvalid, "\"{}\" is not an API version", out.version);
  if (segments[used] == "watch" || segments[used] == "proxy") {
    return fail(Code::kInvalid, "the deprecated prefix /{}/ is not served; use ?watch=true", segments[used]);
  }
  return used;
}

// [namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE]]
Status take_resource(const std::vector<std::string>& segments, size_t at, RestRequest& out) {
  const bool core = out.group.empty();
  bool in_namespace = false;
  if (segments[at] == "namespaces" && core && (segments.size() == at + 2 ||
      (segments.size() == at + 3 && (segments[at + 2] == "status" || segments[at + 2] == "finalize")))) {
    // The namespace object itself: RequestInfo gives it its own name as namespace too.
    out.ns = segments[at + 1];
  } else if (segments[at] == "namespaces" && segments.size() > at + 1) {
    out.ns = segments[at + 1];
    in_namespace = true;
    at += 2;
  }
  if (!out.ns.empty() && !is_dns_label(out.ns)) return fail(Code::kInvalid, "\"{}\" is not a namespace's name", out.ns);
  if (at >= segments.size()) return fail(Code::kInvalid, "the path names no resource");
  out.resource = segments[at++];
  if (core && in_namespace && out.resource == "namespaces") {
    return fail(Code::kInvalid, "a namespace is not in a namespace; its path is /api/{}/namespaces/NAME", out.version);
  }
  if (!is_group_or_resource(out.resource)) return fail(Code::kInvalid, "\"{}\" is not a resource", out.resource);
  if (at < segments.size()) out.name = segments[at++];
  if (at < segments.size()) out.subresource = segments[at++];
  if (at < segments.size()) return fail(Code::kInvalid, "the path is too long");
  if (contains(kConnections, out.subresource)) {
    return fail(Code::kInvalid, "{} is a connection, not a request; it does not go through the gateway", out.resource_path());
  }
  return ok();
}

Result<PatchType> patch_type(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (type == "application/json-patch+json") return PatchType::kJson;
  if (type == "application/merge-patch+json") return PatchType::kMerge;
  if (type == "application/strategic-merge-patch+json") return PatchType::kStrategicMerge;
  if (type == "application/apply-patch+yaml" || type == "application/apply-patch+cbor") return PatchType::kApply;
  return fail(Code::kInvalid, "content type \"{}\" is not a patch", content_type);
}

Status take_verb(std::string_view method, std::string_view content_type, RestRequest& out) {
  const bool one = !out.name.empty();
  if (method == "GET") {
    out.verb = one ? Verb::kGet : Verb::kList;
    const auto watch = out.options.find("watch");
    if (watch == out.options.end()) return ok();
    GS_TRY(const bool watching, boolean_option("watch", watch->second));
    if (watching && one) return fail(Code::kInvalid, "watch one object by a list's fieldSelector=metadata.name=NAME");
    if (watching) out.verb = Verb::kWatch;
    return ok();
  }
  if (method == "POST") {
    if (one && out.subresource.empty()) return fail(Code::kInvalid, "POST goes to a collection or a subresource");
    out.verb = Verb::kCreate;
  } else if (method == "PUT") {
    out.verb = Verb::kUpdate;
  } else if (method == "PATCH") {
    out.verb = Verb::kPatch;
    GS_TRY(out.patch, patch_type(content_type));
  } else if (method == "DELETE") {
    out.verb = one ? Verb::kDelete : Verb::kDeleteCollection;
  } else {
    return fail(Code::kInvalid, "method \"{}\" is not one of GET, POST, PUT, PATCH, DELETE", method);
  }
  if (!one && (out.verb == Verb::kUpdate || out.verb == Verb::kPatch)) {
    return fail(Code::kInvalid, "{} needs the name of an object", method);
  }
  return ok();
}

}  // namespace

std::string_view verb_name(Verb verb) {
  constexpr std::string_view kNames[] = {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"};
  return kNames[static_cast<size_t>(verb)];
}

std::string_view RestRequest::option(const std::string& key) const {
  const auto found = options.find(key);
  return found == options.end() ? std::string_view() : std::string_view(found->second);
}

std::string_view RestRequest::method() const {
  switch (verb) {
    case Verb::kGet:
    case Verb::kList:
    case Verb::kWatch: return "GET";
    case Verb::kCreate: return "POST";
    case Verb::kUpdate: return "PUT";
    case Verb::kPatch: return "PATCH";
    case Verb::kDelete:
    case Verb::kDeleteCollection: return "DELETE";
  }
  return "GET";
}

bool is_path_segment_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of("/%") == std::string_view::npos;
}

Result<RestRequest> parse_rest_request(std::string_view method, std::string_view path, std::string_view query,
                                       std::string_view content_type) {
  RestRequest out;
  GS_TRY(const std::vector<std::string> segments, segments_of(path));
  GS_TRY(const size_t at, take_group_version(segments, out));
  GS_TRY_STATUS(take_resource(segments, at, out));
  GS_TRY(out.options, options_of(query));
  GS_TRY_STATUS(take_verb(method, content_type, out));
  for (const auto& [name, value] : out.options) {
    if (option_allowed(out.verb, name)) continue;
    return fail(Code::kInvalid, "query parameter \"{}\" does not belong to {}", name, verb_name(out.verb));
  }
  out.options.erase("watch");
  if (out.dry_run() && out.option("dryRun") != "All") {
    return fail(Code::kInvalid, "dryRun=\"{}\" is not All", out.option("dryRun"));
  }
  return out;
}

std::string canonical_target(const RestRequest& request) {
  const bool namespace_object = request.group.empty() && request.resource == "namespaces";
  std::string out = request.group.empty() ? "/api/" + request.version : "/apis/" + request.group + "/" + request.version;
  if (!request.ns.empty() && !namespace_object) out += "/namespaces/" + request.ns;
  out += "/" + request.resource;
  if (!request.name.empty()) out += "/" + percent_encode(request.name);
  if (!request.subresource.empty()) out += "/" + percent_encode(request.subresource);
  char separator = '?';
  if (request.verb == Verb::kWatch) {
    out += "?watch=true";
    separator = '&';
  }
  for (const auto& [key, value] : request.options) {
    out += separator + key + "=" + percent_encode(value);
    separator = '&';
  }
  return out;
}

}  // namespace gs::gateway
