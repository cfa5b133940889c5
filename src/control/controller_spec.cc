#include "control/controller_spec.h"

#include <algorithm>

#include "control/spec_reader.h"
#include "json/scan.h"

namespace gs::control {
namespace {

using json::Value;

Result<cache::GroupVersionResource> read_resource(const SpecReader& in) {
  cache::GroupVersionResource out;
  GS_TRY(out.group, in.text("group"));
  GS_TRY(out.version, in.text("version", true));
  GS_TRY(out.resource, in.text("resource", true));
  if (out.resource.find_first_of("/ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string::npos) {
    return invalid(in.path("resource"), fmt::format("\"{}\" must be the plural in lower case, without a subresource", out.resource));
  }
  return out;
}

// Members joined by dots, or in brackets and quotes. Keys of labels and annotations have dots themselves:
// what follows metadata.labels. is one key.
std::optional<std::vector<std::string>> split_field_path(std::string_view text) {
  std::vector<std::string> out;
  while (true) {
    const bool map = out.size() == 2 && out[0] == "metadata" && (out[1] == "labels" || out[1] == "annotations");
    if (text.starts_with("['") || text.starts_with("[\"")) {
      const size_t close = text.find(std::string{text[1], ']'}, 2);
      if (close == std::string_view::npos) return std::nullopt;
      out.emplace_back(text.substr(2, close - 2));
      text.remove_prefix(close + 2);
    } else {
      const size_t end = map ? text.size() : std::min(text.find_first_of(".["), text.size());
      out.emplace_back(text.substr(0, end));
      text.remove_prefix(end);
    }
    if (out.back().empty()) return std::nullopt;
    if (text.empty()) return out;
    if (text[0] == '.') {
      text.remove_prefix(1);
    } else if (text[0] != '[') {
      return std::nullopt;
    }
  }
}

Result<std::vector<FieldMatch>> read_match(const SpecReader& in) {
  std::vector<FieldMatch> out;
  GS_TRY_STATUS(in.each("match", [&](const SpecReader& entry) -> Status {
    GS_TRY(std::string path, entry.text("fieldPath", true));
    GS_TRY(std::string value, entry.text("value"));
    auto match = FieldMatch::make(std::move(path), std::move(value));
    if (!match) return invalid(entry.path("fieldPath"), match.error().message);
    out.push_back(*std::move(match));
    return ok();
  }));
  return out;
}

Result<PrimarySpec> read_primary(const SpecReader& in) {
  PrimarySpec out;
  GS_TRY(out.resource, read_resource(in));
  GS_TRY(out.ns, in.text("namespace"));
  GS_TRY(out.match, read_match(in));
  GS_TRY(const std::string period, in.text("resyncPeriod"));
  if (!period.empty()) {
    const auto parsed = parse_go_duration(period);
    if (!parsed) return invalid(in.path("resyncPeriod"), fmt::format("\"{}\" is not a duration such as 30s or 10h", period));
    if (*parsed != Duration::zero() && *parsed < kShortestResync) {
      return invalid(in.path("resyncPeriod"), fmt::format("\"{}\" is shorter than a second; 0 is for never", period));
    }
    out.resync_period = *parsed;
  }
  return out;
}

Result<SecondarySpec> read_secondary(const SpecReader& in) {
  SecondarySpec out;
  GS_TRY(out.resource, read_resource(in));
  GS_TRY(out.ns, in.text("namespace"));
  GS_TRY(out.match, read_match(in));
  GS_TRY(out.verbs, read_verbs(in));
  GS_TRY(out.delegate_watch, in.flag("delegateWatch"));
  GS_TRY(const std::string relationship, in.text("relationship"));
  if (relationship == "Reference") {
    out.relationship = Relationship::kReference;
  } else if (!relationship.empty()) {
    return invalid(in.path("relationship"), fmt::format("\"{}\" is not Reference or empty", relationship));
  }
  return out;
}

}  // namespace

Result<FieldMatch> FieldMatch::make(std::string field_path, std::string value) {
  FieldMatch out;
  if (field_path.starts_with('.')) field_path.erase(0, 1);
  auto path = split_field_path(field_path);
  if (!path) return fail(Code::kInvalid, "\"{}\" is not members joined by dots, such as spec.type", field_path);
  out.path = *std::move(path);
  out.field_path = std::move(field_path);
  out.value = std::move(value);
  return out;
}

Result<ControllerSpec> parse_controller(const Value& resource) {
  ControllerSpec out;
  out.name = resource.text("metadata.name");
  out.uid = resource.text("metadata.uid");
  const Value* generation = resource.at("metadata.generation");
  out.generation = generation != nullptr ? generation->integer().value_or(0) : 0;
  if (out.name.empty()) return fail(Code::kInvalid, "metadata.name: is required");
  const Value* spec_value = resource.find("spec");
  if (spec_value == nullptr || !spec_value->is_object()) return fail(Code::kInvalid, "spec: is required");
  const SpecReader spec(*spec_value, "spec");
  const Value* primary = spec.find("primary");
  if (primary == nullptr || !primary->is_object()) return fail(Code::kInvalid, "spec.primary: is required");
  GS_TRY(out.primary, read_primary(SpecReader(*primary, "spec.primary")));
  GS_TRY_STATUS(spec.each("secondary", [&](const SpecReader& in) -> Status {
    GS_TRY(SecondarySpec entry, read_secondary(in));
    out.secondary.push_back(std::move(entry));
    return ok();
  }));
  GS_TRY(out.authorized, read_authorized(spec));
  GS_TRY(out.configs, read_configs(spec));
  GS_TRY(out.delegate, read_delegate(spec));
  GS_TRY(out.cluster_selector, read_cluster_selector(spec));
  GS_TRY(const std::string isolation, spec.text("sessionIsolation"));
  out.shared_sessions = isolation == "Shared";
  if (!isolation.empty() && isolation != "Tenant" && !out.shared_sessions) {
    return invalid("spec.sessionIsolation", fmt::format("\"{}\" is not Shared or Tenant", isolation));
  }
  return out;
}

gateway::Rules rules_of(const ControllerSpec& spec, bool primary_namespaced, const std::vector<std::string>& config_resources) {
  gateway::Rules rules;
  const PrimarySpec& primary = spec.primary;
  rules.primary = {primary.resource.group, primary.resource.version, primary.resource.resource, primary.ns, {}, false};
  rules.primary_namespaced = primary_namespaced;
  for (const SecondarySpec& s : spec.secondary) {
    rules.secondary.push_back({s.resource.group, s.resource.version, s.resource.resource, s.ns, s.verbs, s.delegate_watch});
  }
  for (const AuthorizedSpec& a : spec.authorized) {
    rules.authorized.push_back({a.group, a.resources, a.verbs, a.allow_cross_namespace});
  }
  for (size_t i = 0; i < spec.configs.size(); ++i) {
    const ConfigSpec& config = spec.configs[i];
    if (config.from_hub) continue;
    const size_t slash = config.api_version.find('/');
    const bool core = slash == std::string::npos;
    rules.configs.push_back({core ? "" : config.api_version.substr(0, slash), core ? config.api_version : config.api_version.substr(slash + 1),
                             config_resources[i], config.ns, config.name});
  }
  return rules;
}

Pushed pushed_to_server(const std::string& ns, const std::vector<FieldMatch>& match) {
  Pushed out;
  out.ns = ns;
  std::string name;
  for (const FieldMatch& entry : match) {
    std::string* one = entry.field_path == "metadata.namespace" ? &out.ns : entry.field_path == "metadata.name" ? &name : nullptr;
    if (one == nullptr || entry.value.empty()) continue;
    *one = entry.value;  // where two contradict each other matches() finds nothing
  }
  if (!name.empty()) out.field_selector = "metadata.name=" + name;
  return out;
}

Result<std::optional<Duration>> resync_annotation(const kube::Object& object) {
  std::optional<std::string> text;
  json::for_each_string(object.annotations(), [&](std::string_view name, std::string_view value) {
    if (name == kResyncAnnotation) text = std::string(value);
  });
  if (!text) return std::optional<Duration>();
  const auto period = parse_go_duration(*text);
  if (!period || *period < Duration::zero()) {
    return fail(Code::kInvalid, "annotation {}: \"{}\" is not a duration such as 30s or 10h, or 0 for never", kResyncAnnotation, *text);
  }
  if (*period == Duration::zero()) return std::optional<Duration>(Duration::zero());
  return std::optional<Duration>(std::max(*period, kShortestResync));
}

bool matches(const std::vector<FieldMatch>& match, std::string_view object) {
  return std::all_of(match.begin(), match.end(), [&](const FieldMatch& entry) {
    const std::vector<std::string_view> path(entry.path.begin(), entry.path.end());
    const auto found = json::get_path(object, std::span(path));
    const bool absent = !found || found->type == json::Lookup::Type::kNull;
    return (absent ? std::string() : found->text()) == entry.value;
  });
}

}  // namespace gs::control
