#include "apiserver/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "json/writer.h"

namespace gs::apiserver {
namespace {

using gateway::PatchType;
using gateway::Verb;
using schema::FieldError;
using schema::FieldErrors;
using schema::forbidden;
using schema::not_supported;

constexpr std::string_view kBooleans[] = {"watch", "allowWatchBookmarks", "sendInitialEvents", "force", "orphanDependents", "ignoreStoreReadErrorWithClusterBreakingPotential"};
constexpr std::string_view kIntegers[] = {"limit", "timeoutSeconds", "gracePeriodSeconds"};

template <class List>
bool contains(const List& list, std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

// runtime.Convert_Slice_string_To_bool: what is not false is true.
bool go_boolean(std::string_view value) { return value != "0" && !equals_ignore_case(value, "false"); }

Checked<std::map<std::string, std::string>> read_options(std::string_view query) {
  std::map<std::string, std::string> out;
  for (const std::string_view part : split(query, '&')) {
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    const auto key = percent_decode(part.substr(0, equals), true);
    const auto value = percent_decode(equals == std::string_view::npos ? "" : part.substr(equals + 1), true);
    if (!key || !value) continue;  // url.ParseQuery's error is dropped by net/http's URL.Query()
    const auto [at, added] = out.emplace(*key, *value);
    if (!added && *key == "dryRun") at->second += "," + *value;
  }
  for (auto& [key, value] : out) {
    if (contains(kBooleans, key)) value = go_boolean(value) ? "true" : "false";
    if (!contains(kIntegers, key)) continue;
    int64_t number = 0;
    const auto [end, error] = std::from_chars(value.data() + value.starts_with('+'), value.data() + value.size(), number);
    if (error == std::errc::result_out_of_range) return refuse(bad_request(fmt::format("strconv.ParseInt: parsing \"{}\": value out of range", value)));
    if (error != std::errc() || end != value.data() + value.size()) {
      return refuse(bad_request(fmt::format("strconv.ParseInt: parsing \"{}\": invalid syntax", value)));
    }
  }
  return out;
}

std::optional<std::vector<std::string>> segments_of(std::string_view path) {
  std::vector<std::string> out;
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  for (const std::string_view raw : split(path, '/')) {
    auto decoded = percent_decode(raw, false);
    if (!decoded || decoded->empty()) return std::nullopt;
    out.push_back(*std::move(decoded));
  }
  return out;
}

// [namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE]] behind the version; a namespace itself is RESOURCE too.
bool take_resource(const std::vector<std::string>& segments, size_t at, RestRequest& out) {
  const size_t left = segments.size() - at;
  const bool is_namespace = out.group.empty() && segments[at] == "namespaces" &&
                            (left == 2 || (left == 3 && (segments[at + 2] == "status" || segments[at + 2] == "finalize")));
  if (is_namespace) {
    out.ns = segments[at + 1];
  } else if (segments[at] == "namespaces" && left > 1) {
    out.ns = segments[at + 1];
    at += 2;
  }
  if (at >= segments.size()) return false;
  out.resource = segments[at++];
  if (at < segments.size()) out.name = segments[at++];
  if (at < segments.size()) out.subresource = segments[at++];
  for (; at < segments.size(); ++at) out.subresource += "/" + segments[at];
  return true;
}

PatchType patch_type(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (type == "application/json-patch+json") return PatchType::kJson;
  if (type == "application/merge-patch+json") return PatchType::kMerge;
  if (type == "application/strategic-merge-patch+json") return PatchType::kStrategicMerge;
  if (type == "application/apply-patch+yaml") return PatchType::kApply;
  return PatchType::kNone;
}

bool take_verb(std::string_view method, bool watch_path, std::string_view content_type, RestRequest& out) {
  const bool one = !out.name.empty();
  if (method == "GET") {
    out.verb = watch_path || (!one && out.option("watch") == "true") ? Verb::kWatch : one ? Verb::kGet : Verb::kList;
  } else if (watch_path) {
    return false;
  } else if (method == "POST") {
    if (one && out.subresource.empty()) return false;
    out.verb = Verb::kCreate;
  } else if (method == "PUT" || method == "PATCH") {
    if (!one) return false;
    out.verb = method == "PUT" ? Verb::kUpdate : Verb::kPatch;
    if (out.verb == Verb::kPatch) out.patch = patch_type(content_type);
  } else if (method == "DELETE") {
    out.verb = one ? Verb::kDelete : Verb::kDeleteCollection;
  } else {
    return false;
  }
  return true;
}

void check_watch(const RestRequest& request, FieldErrors& errors) {
  std::string_view match = request.option("resourceVersionMatch");
  bool initial = request.options.contains("sendInitialEvents");
  // SetListOptionsDefaults (k8s.io/apimachinery/pkg/apis/meta/internalversion): who watches from anywhere wants to begin with what there is.
  const std::string_view version = request.option("resourceVersion");
  if (!initial && match.empty() && (version.empty() || version == "0")) {
    initial = true;
    match = "NotOlderThan";
  }
  if (initial && match != "NotOlderThan") errors.push_back(forbidden("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
  if (match.empty()) return;
  if (!initial) errors.push_back(forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
  if (match != "NotOlderThan") errors.push_back(not_supported("resourceVersionMatch", match, {"NotOlderThan"}));
  if (!request.option("continue").empty()) errors.push_back(forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
}

void check_list(const RestRequest& request, FieldErrors& errors) {
  const std::string_view match = request.option("resourceVersionMatch"), version = request.option("resourceVersion");
  if (!match.empty()) {
    if (version.empty()) errors.push_back(forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"));
    if (!request.option("continue").empty()) errors.push_back(forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
    if (match != "Exact" && match != "NotOlderThan") {
      errors.push_back(not_supported("resourceVersionMatch", match, {"Exact", "NotOlderThan", ""}));
    }
    if (match == "Exact" && version == "0") errors.push_back(forbidden("resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
  }
  if (request.options.contains("sendInitialEvents")) errors.push_back(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
}

void check_manager(const RestRequest& request, FieldErrors& errors) {
  constexpr int64_t kMost = 128;
  const std::string_view manager = request.option("fieldManager");
  if (manager.size() > kMost) errors.push_back(schema::too_long("fieldManager", kMost));
  for (size_t i = 0; i < manager.size(); ++i) {
    const auto byte = static_cast<unsigned char>(manager[i]);
    if (byte < 0x20 || byte == 0x7f) errors.push_back(schema::invalid("fieldManager", manager, fmt::format("invalid character U+{:04X} (at position {})", byte, i)));
  }
}

}  // namespace

Checked<RestRequest> read_request(std::string_view method, std::string_view path, std::string_view query, std::string_view content_type) {
  const auto segments = segments_of(path);
  if (!segments) return refuse(page_not_found());
  RestRequest out;
  const bool core = segments->front() == "api";
  size_t at = core ? 2 : 3;
  if ((!core && segments->front() != "apis") || segments->size() <= at) return refuse(page_not_found());
  if (!core) out.group = (*segments)[1];
  out.version = (*segments)[at - 1];
  const bool watch_path = (*segments)[at] == "watch";
  if (watch_path && ++at == segments->size()) return refuse(page_not_found());
  if (!take_resource(*segments, at, out)) return refuse(page_not_found());
  auto options = read_options(query);
  if (!options) return refuse(std::move(options).error());
  out.options = *std::move(options);
  if (!take_verb(method, watch_path, content_type, out)) return refuse(method_not_allowed());
  out.options.erase("watch");
  if (out.verb == Verb::kWatch && !out.name.empty()) {
    out.options["fieldSelector"] = "metadata.name=" + out.name;
    out.name.clear();
  }
  return out;
}

Answer invalid_options(std::string_view kind, const schema::FieldErrors& errors) {
  std::string details;
  std::vector<std::string> messages;
  json::Writer writer(details);
  writer.begin_object().key("group").string("meta.k8s.io").key("kind").string(kind).key("causes").begin_array();
  for (const FieldError& error : errors) {
    messages.push_back(error.to_string());
    writer.begin_object().key("reason").string(error.reason()).key("message").string(error.body).key("field").string(error.field).end_object();
  }
  writer.end_array().end_object();
  return failure(422, "Invalid", fmt::format("{}.meta.k8s.io \"\" is invalid: {}", kind, schema::aggregate(messages)), details);
}

std::optional<FieldError> check_dry_run(std::string_view joined) {
  json::Array values;
  bool good = true;
  for (const std::string_view value : split(joined, ',')) {
    good &= value == "All";
    values.emplace_back(value);
  }
  if (good) return std::nullopt;
  return not_supported("dryRun", json::Value(std::move(values)), {"All"});
}

std::optional<Answer> check_list_options(const RestRequest& request) {
  FieldErrors errors;
  request.verb == Verb::kWatch ? check_watch(request, errors) : check_list(request, errors);
  if (errors.empty()) return std::nullopt;
  return invalid_options("ListOptions", errors);
}

std::optional<Answer> check_write_options(const RestRequest& request) {
  FieldErrors errors;
  if (request.verb == Verb::kPatch) {
    const bool apply = request.patch == PatchType::kApply;
    if (apply && request.option("fieldManager").empty()) errors.push_back(schema::required("fieldManager", "is required for apply patch"));
    if (!apply && request.options.contains("force")) errors.push_back(forbidden("force", "may not be specified for non-apply patch"));
  }
  check_manager(request, errors);
  if (request.options.contains("dryRun")) {
    if (auto error = check_dry_run(request.option("dryRun"))) errors.push_back(*std::move(error));
  }
  const std::string_view validation = request.option("fieldValidation");
  if (!validation.empty() && validation != "Ignore" && validation != "Warn" && validation != "Strict") {
    errors.push_back(not_supported("fieldValidation", validation, {"", "Ignore", "Strict", "Warn"}));
  }
  if (errors.empty()) return std::nullopt;
  return invalid_options(request.verb == Verb::kPatch ? "PatchOptions" : request.verb == Verb::kUpdate ? "UpdateOptions" : "CreateOptions", errors);
}

}  // namespace gs::apiserver
