#include "apiserver/authorization/attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "gateway/rest_request.h"
#include "json/writer.h"
#include "schema/go_text.h"

namespace gs::apiserver {
namespace {

std::vector<std::string_view> segments_of(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.empty() ? std::vector<std::string_view>() : split(path, '/');
}

std::string verb_of(std::string_view method) {
  if (method == "POST") return "create";
  if (method == "GET" || method == "HEAD") return "get";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return "delete";
  return "";
}

// The first value of a parameter, decoded; nullopt: it is not there.
std::optional<std::string> parameter(std::string_view query, std::string_view name) {
  for (const std::string_view part : split(query, '&')) {
    const size_t equals = part.find('=');
    if (percent_decode(part.substr(0, equals), true) != name) continue;
    return percent_decode(equals == std::string_view::npos ? "" : part.substr(equals + 1), true);
  }
  return std::nullopt;
}

// The one name that a field selector leaves, if any: fields.Selector.RequiresExactMatch("metadata.name").
std::string selected_name(std::string_view selector) {
  for (const std::string_view term : split(selector, ',')) {
    const size_t equals = term.find('=');
    if (equals == std::string_view::npos || trim(term.substr(0, equals)) != "metadata.name") continue;
    std::string_view value = term.substr(equals + 1);
    if (value.starts_with('=')) value.remove_prefix(1);
    if (!value.empty() && gateway::is_path_segment_name(value)) return std::string(value);
  }
  return "";
}

// A get of a collection is a list or a watch; a delete of one is a deletecollection.
void of_collection(std::string_view query, Attributes& out) {
  if (!out.name.empty()) return;
  if (out.verb == "delete") out.verb = "deletecollection";
  if (out.verb != "get") return;
  const std::optional<std::string> watch = parameter(query, "watch");
  const bool watches = watch && *watch != "0" && !equals_ignore_case(*watch, "false");
  out.verb = watches ? "watch" : "list";
  if (const auto selector = parameter(query, "fieldSelector")) out.name = selected_name(*selector);
}

// The groups of a resource's path, from the version on.
void of_resource(const std::vector<std::string_view>& segments, size_t at, std::string_view query, Attributes& out) {
  out.resource_request = true;
  out.version = segments[at++];
  const bool by_path = segments[at] == "watch" || segments[at] == "proxy";
  if (by_path && at + 1 < segments.size()) out.verb = segments[at++];
  if (segments[at] == "namespaces" && at + 1 < segments.size()) {
    out.ns = segments[at + 1];
    const bool inside = at + 2 < segments.size() && segments[at + 2] != "status" && segments[at + 2] != "finalize";
    if (inside) at += 2;
  }
  out.resource = segments[at];
  if (at + 1 < segments.size()) out.name = segments[at + 1];
  if (at + 2 < segments.size() && out.verb != "proxy") out.subresource = segments[at + 2];
  of_collection(query, out);
}

// pkg/endpoints/handlers/responsewriters/errors.go: nothing that a browser might take for HTML.
std::string sanitized(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else out += c;
  }
  return out;
}

std::string what_is_denied(const UserInfo& user, const Attributes& asked) {
  using schema::quoted;
  if (!asked.resource_request) return fmt::format("User {} cannot {} path {}", quoted(user.name), asked.verb, quoted(asked.path));
  const std::string resource = asked.subresource.empty() ? asked.resource : asked.resource + "/" + asked.subresource;
  const std::string where = asked.ns.empty() ? "at the cluster scope" : "in the namespace " + quoted(asked.ns);
  return fmt::format("User {} cannot {} resource {} in API group {} {}", quoted(user.name), asked.verb, quoted(resource), quoted(asked.group), where);
}

}  // namespace

Attributes attributes_of(std::string_view method, std::string_view target) {
  const size_t mark = target.find('?');
  const std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  Attributes out;
  out.path = percent_decode(target.substr(0, mark), false).value_or(std::string(target.substr(0, mark)));
  const std::vector<std::string_view> segments = segments_of(out.path);
  const bool core = !segments.empty() && segments[0] == "api", grouped = !segments.empty() && segments[0] == "apis";
  const size_t version = core ? 1 : 2;
  if ((!core && !grouped) || segments.size() < version + 2) {
    out.verb = to_lower(method);
    return out;
  }
  if (grouped) out.group = segments[1];
  out.verb = verb_of(method);
  of_resource(segments, version, query, out);
  return out;
}

Answer access_denied(const UserInfo& user, const Attributes& attributes, std::string_view reason) {
  const std::string qualified = attributes.group.empty() ? attributes.resource : attributes.resource + "." + attributes.group;
  std::string message = attributes.resource.empty() && attributes.group.empty() ? "forbidden: "
                        : attributes.name.empty()                               ? qualified + " is forbidden: "
                                                                                : fmt::format("{} {} is forbidden: ", qualified, schema::quoted(attributes.name));
  message += sanitized(what_is_denied(user, attributes));
  if (!reason.empty()) message.append(": ").append(reason);
  std::string details;
  json::Writer writer(details);
  writer.begin_object();
  if (!attributes.name.empty()) writer.key("name").string(attributes.name);
  if (!attributes.group.empty()) writer.key("group").string(attributes.group);
  if (!attributes.resource.empty()) writer.key("kind").string(attributes.resource);
  writer.end_object();
  return failure(403, "Forbidden", message, details);
}

}  // namespace gs::apiserver
