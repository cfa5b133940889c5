#include "apiserver/admission/accessor.h"

#include <fmt/format.h>

#include <map>

namespace gs::apiserver::admission {
namespace {

using json::Value;

std::vector<std::string> strings(const Value* list) {
  std::vector<std::string> out;
  if (list == nullptr || list->array() == nullptr) return out;
  for (const Value& item : *list->array()) {
    if (item.string() != nullptr) out.push_back(*item.string());
  }
  return out;
}

Result<kube::LabelSelector> selector(const Value& hook, const char* field) {
  const Value* found = hook.find(field);
  if (found == nullptr || found->is_null()) return kube::LabelSelector();
  return kube::LabelSelector::from_object(*found, field);
}

Rule read_rule(const Value& rule) {
  Rule out;
  out.operations = strings(rule.find("operations"));
  out.groups = strings(rule.find("apiGroups"));
  out.versions = strings(rule.find("apiVersions"));
  out.resources = strings(rule.find("resources"));
  out.scope = rule.text("scope").empty() ? "*" : std::string(rule.text("scope"));
  return out;
}

std::shared_ptr<WebhookAccessor> read_webhook(const Value& hook) {
  auto out = std::make_shared<WebhookAccessor>();
  out->name = hook.text("name");
  if (const Value* rules = hook.find("rules"); rules != nullptr && rules->array() != nullptr) {
    for (const Value& rule : *rules->array()) out->rules.push_back(read_rule(rule));
  }
  out->equivalent = hook.text("matchPolicy") != "Exact";
  out->ignore_failures = hook.text("failurePolicy") == "Ignore";
  out->reinvocable = hook.text("reinvocationPolicy") == "IfNeeded";
  out->dry_runnable = hook.text("sideEffects") == "None" || hook.text("sideEffects") == "NoneOnDryRun";
  if (const Value* seconds = hook.find("timeoutSeconds"); seconds != nullptr && seconds->integer()) out->timeout = std::chrono::seconds(*seconds->integer());
  out->review_versions = strings(hook.find("admissionReviewVersions"));
  if (const Value* client = hook.find("clientConfig")) out->client = read_client_config(*client);
  out->namespace_selector = selector(hook, "namespaceSelector");
  out->object_selector = selector(hook, "objectSelector");
  return out;
}

}  // namespace

std::string ClientConfig::address() const { return is_service() ? fmt::format("https://{}.{}.svc:{}{}", name, ns, port, path) : url; }

ClientConfig read_client_config(const Value& client_config) {
  ClientConfig out;
  out.url = client_config.text("url");
  out.ca_bundle = client_config.text("caBundle");
  const Value* service = client_config.find("service");
  if (service == nullptr) return out;
  out.ns = service->text("namespace");
  out.name = service->text("name");
  out.path = service->text("path");
  if (const Value* port = service->find("port"); port != nullptr && port->integer().value_or(0) > 0) out.port = *port->integer();
  return out;
}

std::vector<WebhookPtr> read_webhooks(const Value& configuration) {
  std::vector<WebhookPtr> out;
  const Value* hooks = configuration.find("webhooks");
  if (hooks == nullptr || hooks->array() == nullptr) return out;
  const std::string named(configuration.text("metadata.name"));
  std::map<std::string, int> seen;
  for (const Value& hook : *hooks->array()) {
    const auto made = read_webhook(hook);
    made->configuration = named;
    made->uid = fmt::format("{}/{}/{}", named, made->name, seen[made->name]++);
    out.push_back(made);
  }
  return out;
}

}  // namespace gs::apiserver::admission
