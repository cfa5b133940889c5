#include "webhook/configuration.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "kube/server_url.h"

namespace gs::webhook {
namespace {

using json::Value;

constexpr const char* kOwnGroup = "gulfstream.dev";
constexpr const char* kLeaseGroup = "coordination.k8s.io";
constexpr const char* kAnnotationPointer = "/metadata/annotations/gulfstream.dev~1previous-endpoint";

// One entry of a configuration: where its clientConfig is, and how it is spoken of.
struct Entry {
  std::string name;
  std::string pointer;  // of the entry, which has clientConfig
  std::string spoken;
  const Value* value = nullptr;

  const Value* client_config() const { return value->find("clientConfig"); }
};

std::vector<Entry> entries_of(ConfigurationKind kind, const Value& configuration) {
  std::vector<Entry> out;
  if (kind == ConfigurationKind::kConversion) {
    const Value* webhook = configuration.at("spec.conversion.webhook");
    if (webhook != nullptr && webhook->is_object()) out.push_back({kConversionEntry, "/spec/conversion/webhook", "spec.conversion.webhook", webhook});
    return out;
  }
  const Value* webhooks = configuration.find("webhooks");
  if (webhooks == nullptr || !webhooks->is_array()) return out;
  for (size_t i = 0; i < webhooks->array()->size(); ++i) {
    const Value& value = (*webhooks->array())[i];
    out.push_back({std::string(value.text("name")), fmt::format("/webhooks/{}", i), fmt::format("webhooks[{}]", i), &value});
  }
  return out;
}

bool has(const Value* list, std::initializer_list<std::string_view> any_of) {
  if (list == nullptr || !list->is_array()) return false;
  return std::any_of(list->array()->begin(), list->array()->end(), [&](const Value& item) {
    return item.string() != nullptr && std::find(any_of.begin(), any_of.end(), *item.string()) != any_of.end();
  });
}

// Rules that name what the plane itself needs to write. Wildcards are fine: the plane answers those without asking anyone.
Status check_rules(const Entry& entry) {
  const Value* rules = entry.value->find("rules");
  if (rules == nullptr || !rules->is_array()) return ok();
  for (size_t i = 0; i < rules->array()->size(); ++i) {
    const Value& rule = (*rules->array())[i];
    const Value* groups = rule.find("apiGroups");
    const std::string at = fmt::format("{}.rules[{}]", entry.spoken, i);
    if (has(groups, {kOwnGroup})) return fail(Code::kForbidden, "{}: names the group {}, where the plane would lock itself out; leave it out", at, kOwnGroup);
    if (has(groups, {kLeaseGroup}) && has(rule.find("resources"), {"leases", "leases/*", "*", "*/*"})) {
      return fail(Code::kForbidden, "{}: names leases of {}, without which nothing can lead; leave them out", at, kLeaseGroup);
    }
  }
  return ok();
}

std::string present_bundle(const Value& client_config) { return std::string(client_config.text("caBundle")); }

ServiceRef service_of(const Value& service) {
  ServiceRef out;
  out.ns = service.text("namespace");
  out.name = service.text("name");
  const Value* port = service.find("port");
  if (port != nullptr) out.port = port->integer().value_or(kDefaultServicePort);
  return out;
}

const Value* service_in(const Value& client_config) {
  const Value* service = client_config.find("service");
  return service != nullptr && service->is_object() ? service : nullptr;
}

// Whether an endpoint is one that a plane wrote for this Webhook, be it with an older prefix.
bool is_ours(const Value& client_config, std::string_view path_suffix) {
  const Value* service = service_in(client_config);
  return service != nullptr ? service->text("path").ends_with(path_suffix) : client_config.text("url").ends_with(path_suffix);
}

Value read_annotation(const Value& configuration) {
  const Value* annotations = configuration.at("metadata.annotations");
  const Value* text = annotations != nullptr ? annotations->find(kPreviousAnnotation) : nullptr;
  if (text == nullptr || text->string() == nullptr) return {};
  auto parsed = json::parse(*text->string());
  // One that cannot be read still says that it is ours; what was before is then not known.
  return parsed && parsed->is_object() ? *std::move(parsed) : Value();
}

class Patch {
 public:
  explicit Patch(const Value& configuration) {
    add("replace", "/metadata/resourceVersion", std::string(configuration.text("metadata.resourceVersion")));
  }
  void add(const char* op, std::string path, Value value) {
    Value operation;
    operation["op"] = op;
    operation["path"] = std::move(path);
    operation["value"] = std::move(value);
    operations_.push_back(std::move(operation));
  }
  void remove(std::string path) {
    Value operation;
    operation["op"] = "remove";
    operation["path"] = std::move(path);
    operations_.push_back(std::move(operation));
  }
  // Null where nothing but the guard is in it.
  Value take() { return operations_.size() > 1 ? Value(std::move(operations_)) : Value(); }

 private:
  json::Array operations_;
};

// Plans one configuration, entry by entry.
class Planner {
 public:
  Planner(ConfigurationKind kind, const Value& configuration, const Endpoint& endpoint)
      : kind_(kind), configuration_(configuration), endpoint_(endpoint), patch_(configuration), suffix_(path_of(kind, endpoint.webhook)) {
    previous_ = read_annotation(configuration);
    known_ = !previous_.is_null();
    previous_["webhook"] = endpoint.webhook;
    entries_.make_object();
    if (const Value* before = previous_.find("entries"); before != nullptr && before->is_object()) before_ = *before;
  }

  Result<ConfigurationPlan> run() {
    const std::string owner = owner_of(configuration_);
    if (known_ && owner != endpoint_.webhook && !owner.empty()) {
      return fail(Code::kConflict, "is configured by the Webhook \"{}\"; one configuration belongs to one Webhook", owner);
    }
    if (kind_ == ConfigurationKind::kConversion) GS_TRY_STATUS(check_crd());
    const std::vector<Entry> entries = entries_of(kind_, configuration_);
    if (kind_ != ConfigurationKind::kConversion) {
      for (const Entry& entry : entries) GS_TRY_STATUS(check_rules(entry));
    }
    for (const Entry& entry : entries) plan(entry);
    finish_annotation();
    out_.drift = known_ && !out_.changes.empty();
    out_.patch = patch_.take();
    return std::move(out_);
  }

 private:
  Status check_crd() const {
    if (configuration_.text("spec.group") == kOwnGroup) return fail(Code::kForbidden, "spec.group: is {}, which the plane itself reads", kOwnGroup);
    if (configuration_.text("spec.conversion.strategy") != "Webhook") {
      return fail(Code::kInvalid, "spec.conversion.strategy: must be Webhook, which is its author's to say");
    }
    return ok();
  }

  void change(const Entry& entry, std::string_view member, const char* op, Value value) {
    patch_.add(op, fmt::format("{}/{}", entry.pointer, member), std::move(value));
    std::string spoken = fmt::format("{}.{}", entry.spoken, member);
    std::replace(spoken.begin(), spoken.end(), '/', '.');
    out_.changes.push_back(std::move(spoken));
  }

  void plan(const Entry& entry) {
    const Value* present = entry.client_config();
    Value config = present != nullptr && present->is_object() ? *present : Value();
    remember(entry, config);
    if (present == nullptr) {
      config.make_object();
      patch_.add("add", entry.pointer + "/clientConfig", config);
    }
    const std::string bundle = base64_encode(endpoint_.ca_bundle);
    if (present_bundle(config) != bundle) {
      change(entry, "clientConfig/caBundle", "add", endpoint_.ca_bundle.empty() ? Value() : Value(bundle));
    }
    if (const Value* service = service_in(config)) {
      plan_service(entry, *service);
    } else if (config.text("url") != endpoint_.base + endpoint_.path) {
      change(entry, "clientConfig/url", "add", endpoint_.base + endpoint_.path);
    }
    plan_timeout(entry);
  }

  void plan_service(const Entry& entry, const Value& present) {
    ServiceRef service = service_of(present);
    const bool keep_port = endpoint_.keep_service_port || service.host() == endpoint_.host;
    if (!keep_port && service.port != endpoint_.port) {
      service.port = endpoint_.port;
      change(entry, "clientConfig/service/port", "add", service.port);
    }
    if (present.text("path") != endpoint_.path) change(entry, "clientConfig/service/path", "add", endpoint_.path);
    if (std::find(out_.services.begin(), out_.services.end(), service) == out_.services.end()) out_.services.push_back(std::move(service));
  }

  void plan_timeout(const Entry& entry) {
    const Value* value = entry.value->find("timeoutSeconds");
    std::optional<int64_t> seconds = value != nullptr ? value->integer() : std::nullopt;
    if (kind_ != ConfigurationKind::kConversion && endpoint_.timeout_seconds && seconds != endpoint_.timeout_seconds) {
      seconds = endpoint_.timeout_seconds;
      change(entry, "timeoutSeconds", "add", *seconds);
    }
    if (seconds && (!out_.timeout_seconds || *seconds < *out_.timeout_seconds)) out_.timeout_seconds = seconds;
  }

  // What the entry has is kept if it is not ours. An author who applies a manifest again may leave our bundle in it.
  void remember(const Entry& entry, const Value& config) {
    const Value* before = before_.find(entry.name);
    Value kept = before != nullptr ? *before : Value();
    kept.make_object();
    if (!is_ours(config, suffix_)) {
      Value author = config;
      const Value* former = before != nullptr ? before->at("clientConfig.caBundle") : nullptr;
      if (!endpoint_.ca_bundle.empty() && present_bundle(config) == base64_encode(endpoint_.ca_bundle)) {
        author.make_object().erase("caBundle");
        if (former != nullptr) author["caBundle"] = *former;
      }
      kept["clientConfig"] = std::move(author);
    }
    const Value* timeout = entry.value->find("timeoutSeconds");
    if (before == nullptr && endpoint_.timeout_seconds && timeout != nullptr) kept["timeoutSeconds"] = *timeout;
    entries_[entry.name] = std::move(kept);
  }

  void finish_annotation() {
    previous_["entries"] = entries_;
    if (known_ && entries_ == before_) return;
    const Value* annotations = configuration_.at("metadata.annotations");
    if (annotations == nullptr || !annotations->is_object()) patch_.add("add", "/metadata/annotations", json::Object());
    patch_.add("add", kAnnotationPointer, previous_.dump());
  }

  ConfigurationKind kind_;
  const Value& configuration_;
  const Endpoint& endpoint_;
  Patch patch_;
  std::string suffix_;
  Value previous_;  // the annotation
  Value before_;    // its entries as they were
  Value entries_;   // and as they should be
  bool known_ = false;
  ConfigurationPlan out_;
};

std::string decoded_bundle(const Value& client_config) { return base64_decode(present_bundle(client_config)).value_or(""); }

}  // namespace

const cache::GroupVersionResource& resource_of(ConfigurationKind kind) {
  static const cache::GroupVersionResource kMutating("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations");
  static const cache::GroupVersionResource kValidating("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
  static const cache::GroupVersionResource kCrds("apiextensions.k8s.io", "v1", "customresourcedefinitions");
  return kind == ConfigurationKind::kMutating ? kMutating : kind == ConfigurationKind::kValidating ? kValidating : kCrds;
}

const char* kind_name(ConfigurationKind kind) {
  return kind == ConfigurationKind::kMutating     ? "MutatingWebhookConfiguration"
         : kind == ConfigurationKind::kValidating ? "ValidatingWebhookConfiguration"
                                                  : "CustomResourceDefinition";
}

std::string path_of(ConfigurationKind kind, const std::string& webhook) {
  return (kind == ConfigurationKind::kConversion ? "/conversionwebhooks/" : "/admissionwebhooks/") + webhook;
}

Result<ConfigurationPlan> plan_configuration(ConfigurationKind kind, const Value& configuration, const Endpoint& endpoint) {
  return Planner(kind, configuration, endpoint).run();
}

std::string owner_of(const Value& configuration) { return std::string(read_annotation(configuration).text("webhook")); }

std::vector<PreviousEndpoint> previous_endpoints(ConfigurationKind kind, const Value& configuration) {
  std::vector<PreviousEndpoint> out;
  const Value annotation = read_annotation(configuration);
  const Value* before = annotation.find("entries");
  for (const Entry& entry : entries_of(kind, configuration)) {
    const Value* kept = before != nullptr ? before->find(entry.name) : nullptr;
    if (kept == nullptr) continue;
    PreviousEndpoint one;
    one.entry = entry.name;
    const Value* config = kept->find("clientConfig");
    if (config != nullptr && config->is_object()) {
      one.ca_bundle = decoded_bundle(*config);
      if (const Value* service = service_in(*config)) {
        const ServiceRef ref = service_of(*service);
        one.host = one.server_name = ref.host();
        one.port = ref.port;
        one.known = true;
      } else if (auto url = kube::parse_server_url(config->text("url"))) {
        one.host = one.server_name = url->host;
        one.port = url->port;
        one.known = true;
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

Value release_patch(ConfigurationKind kind, const Value& configuration, const std::string& webhook, OnDelete how) {
  if (owner_of(configuration) != webhook) return {};
  const Value annotation = read_annotation(configuration);
  const Value* before = annotation.find("entries");
  Patch patch(configuration);
  const std::vector<Entry> entries = entries_of(kind, configuration);
  const std::string suffix = path_of(kind, webhook);
  // From the last, so that indexes hold.
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    const Value* present = entry->client_config();
    if (present == nullptr || !is_ours(*present, suffix)) continue;
    const Value* kept = before != nullptr ? before->find(entry->name) : nullptr;
    const Value* former = kept != nullptr ? kept->find("clientConfig") : nullptr;
    if (how == OnDelete::kRemoveWebhook) {
      if (kind == ConfigurationKind::kConversion) {
        Value none;
        none["strategy"] = "None";
        patch.add("replace", "/spec/conversion", std::move(none));
      } else {
        patch.remove(entry->pointer);
      }
    } else if (former != nullptr) {
      patch.add("replace", entry->pointer + "/clientConfig", *former);
      if (const Value* timeout = kept->find("timeoutSeconds")) patch.add("add", entry->pointer + "/timeoutSeconds", *timeout);
    }
  }
  patch.remove(kAnnotationPointer);
  return patch.take();
}

}  // namespace gs::webhook
