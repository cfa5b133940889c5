#include "control/webhook_spec.h"

#include <algorithm>

#include "base/strings.h"
#include "control/spec_reader.h"

namespace gs::control {
namespace {

using json::Value;
using webhook::ConfigurationKind;
using webhook::Enforcement;
using webhook::OnFailure;

struct KnownKind {
  std::string_view kind, group;
  ConfigurationKind value;
};
constexpr KnownKind kKinds[] = {
    {"MutatingWebhookConfiguration", "admissionregistration.k8s.io", ConfigurationKind::kMutating},
    {"ValidatingWebhookConfiguration", "admissionregistration.k8s.io", ConfigurationKind::kValidating},
    {"CustomResourceDefinition", "apiextensions.k8s.io", ConfigurationKind::kConversion},
};

Result<webhook::ConfigurationRef> read_ref(const SpecReader& in) {
  webhook::ConfigurationRef out;
  GS_TRY(const std::string kind, in.text("kind", true));
  GS_TRY(const std::string api_version, in.text("apiVersion", true));
  const auto known = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const KnownKind& k) { return k.kind == kind; });
  if (known == std::end(kKinds)) {
    return invalid(in.path("kind"), fmt::format("\"{}\" is not MutatingWebhookConfiguration, ValidatingWebhookConfiguration or CustomResourceDefinition", kind));
  }
  if (api_version != std::string(known->group) + "/v1") {
    return invalid(in.path("apiVersion"), fmt::format("\"{}\" is not {}/v1, which a {} has", api_version, known->group, kind));
  }
  out.kind = known->value;
  GS_TRY(out.name, in.text("name"));
  const Value* selector = in.find("selector");
  if (out.name.empty() == (selector == nullptr)) return invalid(in.path(), "needs name or selector, and not both");
  if (selector == nullptr) return out;
  GS_TRY(const kube::LabelSelector labels, kube::LabelSelector::from_object(*selector, in.path("selector")));
  // Every configuration of a cluster, those of its own control plane too, is never meant.
  if (labels.empty()) return invalid(in.path("selector"), "must select by something; an empty one would mean every configuration of a cluster");
  out.label_selector = labels.to_string();
  return out;
}

// One of `allowed`, of which the first is the default.
Result<std::string> one_of(const SpecReader& in, std::string_view member, std::initializer_list<const char*> allowed) {
  GS_TRY(std::string value, in.text(member));
  if (value.empty()) return std::string(*allowed.begin());
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  return invalid(in.path(member), fmt::format("\"{}\" is not one of {}", value, fmt::join(allowed, ", ")));
}

Result<std::optional<int64_t>> number(const SpecReader& in, std::string_view member, int64_t least, int64_t most) {
  const Value* value = in.find(member);
  if (value == nullptr) return std::optional<int64_t>();
  const auto number = value->integer();
  if (!number || *number < least || *number > most) return invalid(in.path(member), fmt::format("must be a whole number from {} to {}", least, most));
  return number;
}

Result<webhook::ConversionRules> read_conversion(const SpecReader& spec) {
  std::vector<webhook::ConversionRule> rules;
  GS_TRY_STATUS(spec.each("conversion", [&](const SpecReader& in) -> Status {
    webhook::ConversionRule rule;
    GS_TRY(rule.from, in.text("from", true));
    GS_TRY(rule.to, in.text("to", true));
    GS_TRY_STATUS(in.each("moves", [&](const SpecReader& move) -> Status {
      GS_TRY(std::string from, move.text("from", true));
      GS_TRY(std::string to, move.text("to", true));
      rule.moves.emplace_back(std::move(from), std::move(to));
      return ok();
    }));
    rules.push_back(std::move(rule));
    return ok();
  }));
  auto out = webhook::ConversionRules::make(std::move(rules));
  if (!out) return fail(Code::kInvalid, "{}{}", spec.path("conversion"), out.error().message);
  return out;
}

Status read_metadata(const Value& resource, WebhookSpec& out) {
  out.name = resource.text("metadata.name");
  if (out.name.empty()) return fail(Code::kInvalid, "metadata.name: is required");
  out.uid = resource.text("metadata.uid");
  const Value* generation = resource.at("metadata.generation");
  out.generation = generation != nullptr ? generation->integer().value_or(0) : 0;
  out.deleting = !resource.text("metadata.deletionTimestamp").empty();
  if (const Value* finalizers = resource.at("metadata.finalizers"); finalizers != nullptr && finalizers->is_array()) {
    const auto ours = [](const Value& f) { return f.string() != nullptr && *f.string() == kWebhookFinalizer; };
    out.finalizer = std::any_of(finalizers->array()->begin(), finalizers->array()->end(), ours);
  }
  const Value* annotations = resource.at("metadata.annotations");
  const Value* asked = annotations != nullptr ? annotations->find(kOnDeleteAnnotation) : nullptr;
  if (asked == nullptr) return ok();
  const std::string what = asked->string() != nullptr ? *asked->string() : "";
  if (what != "Restore" && what != "RemoveWebhook") {
    return invalid(fmt::format("metadata.annotations[{}]", kOnDeleteAnnotation), fmt::format("\"{}\" is not Restore or RemoveWebhook", what));
  }
  out.on_delete = what == "Restore" ? webhook::OnDelete::kRestore : webhook::OnDelete::kRemoveWebhook;
  return ok();
}

}  // namespace

Result<WebhookSpec> parse_webhook(const Value& resource) {
  WebhookSpec out;
  GS_TRY_STATUS(read_metadata(resource, out));
  const Value* spec_value = resource.find("spec");
  if (spec_value == nullptr || !spec_value->is_object()) return fail(Code::kInvalid, "spec: is required");
  const SpecReader spec(*spec_value, "spec");
  const Value* ref = spec.find("ref");
  if (ref == nullptr || !ref->is_object()) return fail(Code::kInvalid, "spec.ref: is required");
  GS_TRY(out.ref, read_ref(SpecReader(*ref, "spec.ref")));
  GS_TRY(out.authorized, read_authorized(spec));
  GS_TRY(out.configs, read_configs(spec));
  GS_TRY(out.delegate, read_delegate(spec));
  GS_TRY(out.cluster_selector, read_cluster_selector(spec));
  GS_TRY(const std::string isolation, one_of(spec, "sessionIsolation", {"Tenant", "Shared"}));
  out.shared_sessions = isolation == "Shared";
  GS_TRY(const std::string protocol, one_of(spec, "protocol", {"Session", "Review"}));
  out.review = protocol == "Review";
  GS_TRY(const std::string enforcement, one_of(spec, "enforcement", {"Enforce", "Warn", "Audit"}));
  out.enforcement = enforcement == "Warn" ? Enforcement::kWarn : enforcement == "Audit" ? Enforcement::kAudit : Enforcement::kEnforce;
  GS_TRY(const std::string on_failure, one_of(spec, "onFailure", {"Refuse", "Allow", "AllowWithWarning"}));
  out.on_failure = on_failure == "Allow" ? OnFailure::kAllow : on_failure == "AllowWithWarning" ? OnFailure::kAllowWithWarning : OnFailure::kRefuse;
  const bool conversion = out.ref.kind == ConfigurationKind::kConversion;
  GS_TRY(out.timeout_seconds, number(spec, "timeoutSeconds", 1, kLongestWebhookTimeout));
  if (conversion && out.timeout_seconds) return invalid(spec.path("timeoutSeconds"), "is for admission; conversion has 30 seconds, which cannot be set");
  if (conversion && out.enforcement != Enforcement::kEnforce) return invalid(spec.path("enforcement"), "is for admission; conversion cannot be tried");
  GS_TRY(out.conversion, read_conversion(spec));
  if (!conversion && !out.conversion.empty()) return invalid(spec.path("conversion"), "is for a CustomResourceDefinition");
  if (out.review && (!out.configs.empty() || !out.authorized.empty())) {
    return invalid(spec.path(out.configs.empty() ? "authorized" : "configs"), "goes with protocol Session; a Review delegate gets the review and nothing else");
  }
  GS_TRY(const std::optional<int64_t> most, number(spec, "maxConcurrent", 1, kMostConcurrent));
  out.max_concurrent = static_cast<size_t>(most.value_or(100));
  return out;
}

gateway::Rules webhook_rules_of(const WebhookSpec& spec, const std::vector<std::string>& config_resources) {
  ControllerSpec like;
  like.name = spec.name;
  like.authorized = spec.authorized;
  like.configs = spec.configs;
  gateway::Rules rules = rules_of(like, true, config_resources);
  rules.primary = {};
  return rules;
}

std::string namespace_of_service(std::string_view host) {
  std::string name = to_lower(host);
  if (name.ends_with('.')) name.pop_back();
  for (const std::string_view suffix : {".svc", ".svc.cluster.local"}) {
    if (!name.ends_with(suffix)) continue;
    const std::string_view rest = std::string_view(name).substr(0, name.size() - suffix.size());
    const size_t dot = rest.rfind('.');  // before it a Service, or a Pod of a headless one
    return dot == std::string_view::npos || dot == 0 ? "" : std::string(rest.substr(dot + 1));
  }
  return "";
}

}  // namespace gs::control
