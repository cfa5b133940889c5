#include "apiserver/admission/matcher.h"

#include <fmt/format.h>

#include <algorithm>

namespace gs::apiserver::admission {
namespace {

using json::Value;

bool has(const std::vector<std::string>& items, std::string_view wanted) {
  return std::any_of(items.begin(), items.end(), [&](const std::string& item) { return item == "*" || item == wanted; });
}

bool names_resource(const std::vector<std::string>& resources, std::string_view resource, std::string_view subresource) {
  return std::any_of(resources.begin(), resources.end(), [&](std::string_view item) {
    const size_t slash = item.find('/');
    const std::string_view left = item.substr(0, slash), right = slash == std::string_view::npos ? "" : item.substr(slash + 1);
    return (left == "*" || left == resource) && (right == "*" || right == subresource);
  });
}

bool is_namespaces(const ResourceType& type) { return type.group.empty() && type.resource == "namespaces"; }

// A Namespace is of the cluster, though it is said to be in itself.
bool in_scope(const std::string& scope, const ResourceType& type, const Attributes& attributes) {
  if (scope == "*") return true;
  const bool of_cluster = is_namespaces(type) || attributes.ns.empty();
  return scope == "Namespaced" ? !of_cluster : scope == "Cluster" && of_cluster;
}

bool matches(const Rule& rule, const ResourceType& type, const Attributes& attributes) {
  return in_scope(rule.scope, type, attributes) && has(rule.operations, attributes.operation) && has(rule.groups, type.named_group()) &&
         has(rule.versions, type.version) && names_resource(rule.resources, type.resource, attributes.subresource);
}

bool matches(const kube::LabelSelector& selector, const Value& object) {
  if (!object.is_object()) return false;
  const Value* labels = object.at("metadata.labels");
  return selector.matches(labels != nullptr && labels->is_object() ? labels->dump() : "{}");
}

}  // namespace

bool is_exempt(const ResourceType& type) { return type.group == "admissionregistration.k8s.io"; }

Answer internal_error(const std::string& message) {
  std::string causes = R"({"causes":[{"message":)";
  json::append_string(causes, message);
  return failure(500, "InternalError", "Internal error occurred: " + message, causes + "}]}");
}

Checked<bool> Matcher::match_namespace(const WebhookAccessor& webhook, const Attributes& attributes) const {
  const bool about_namespaces = is_namespaces(*attributes.type);
  if (attributes.ns.empty() && !about_namespaces) return true;
  if (!webhook.namespace_selector) return refuse(internal_error(webhook.namespace_selector.error().message));
  const kube::LabelSelector& selector = *webhook.namespace_selector;
  if (selector.empty()) return true;
  if (about_namespaces && attributes.subresource.empty() && attributes.operation != "DELETE") return matches(selector, attributes.object);
  const ResourceTypePtr namespaces = table_.find("", "namespaces");
  const StoredPtr found = store_.get(*namespaces, "", attributes.ns);
  if (!found) return refuse(not_found(*namespaces, attributes.ns));
  return selector.matches(found->labels.empty() ? std::string_view("{}") : found->labels);
}

// Other versions of the same resource, and what is stored as the same thing in another group.
std::vector<ResourceTypePtr> Matcher::equivalents(const ResourceType& type) const {
  const ResourceType& stored = type.storage_type();
  std::vector<ResourceTypePtr> out;
  table_.for_each([&](const ResourceType& other) {
    const ResourceType& as = other.storage_type();
    if (as.resource != stored.resource || as.group != stored.group) return;
    if (other.version == type.version && other.named_group() == type.named_group()) return;
    out.push_back(table_.find(other.named_group(), other.version, other.resource));
  });
  std::erase(out, nullptr);
  return out;
}

std::optional<Invocation> Matcher::match_rules(const WebhookPtr& webhook, const Attributes& attributes) const {
  for (const Rule& rule : webhook->rules) {
    if (matches(rule, *attributes.type, attributes)) return Invocation(webhook, attributes.type, attributes.kind);
  }
  if (!webhook->equivalent) return std::nullopt;
  const std::vector<ResourceTypePtr> others = equivalents(*attributes.type);
  for (const Rule& rule : webhook->rules) {
    for (const ResourceTypePtr& other : others) {
      if (!matches(rule, *other, attributes)) continue;
      // Bodies of a subresource's own are the same in each version.
      const bool own = attributes.kind.kind != attributes.type->kind;
      return Invocation(webhook, other, own ? attributes.kind : GroupVersionKind(other->named_group(), other->version, other->kind));
    }
  }
  return std::nullopt;
}

// A problem with a selector is one only of a webhook whose rules match.
Checked<std::optional<Invocation>> Matcher::match(const WebhookPtr& webhook, const Attributes& attributes) const {
  const Checked<bool> in_namespace = match_namespace(*webhook, attributes);
  if (in_namespace && !*in_namespace) return std::nullopt;
  const Result<kube::LabelSelector>& selector = webhook->object_selector;
  if (selector && !selector->empty() && !matches(*selector, attributes.object) && !matches(*selector, attributes.old_object)) return std::nullopt;
  std::optional<Invocation> out = match_rules(webhook, attributes);
  if (!out) return std::nullopt;
  if (!in_namespace) return refuse(in_namespace.error());
  if (!selector) return refuse(internal_error(selector.error().message));
  return out;
}

}  // namespace gs::apiserver::admission
