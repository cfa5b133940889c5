#include "apiserver/authorization/bootstrap_policy.h"

#include <algorithm>

#include "apiserver/authorization/policy_rule.h"
#include "base/check.h"

namespace gs::apiserver {
namespace {

constexpr std::string_view kObjects[] = {
#include "apiserver/authorization/bootstrap_policy.inc"
};

std::string resource_of(std::string_view kind) {
  if (kind == "ClusterRole") return "clusterroles";
  if (kind == "ClusterRoleBinding") return "clusterrolebindings";
  return kind == "Role" ? "roles" : "rolebindings";
}

RestRequest creating(const ResourceType& type, std::string_view ns) {
  RestRequest out;
  out.verb = gateway::Verb::kCreate;
  out.group = type.group;
  out.version = type.version;
  out.resource = type.resource;
  out.ns = ns;
  return out;
}

// Elements of `wanted` that `have` lacks are put behind it.
bool extend(json::Value& have, const json::Value& wanted) {
  bool changed = false;
  for (const json::Value& one : *wanted.array()) {
    json::Array& all = have.make_array();
    if (std::find(all.begin(), all.end(), one) != all.end()) continue;
    all.push_back(one);
    changed = true;
  }
  return changed;
}

// Rules are compared by what they allow: what somebody wrote another way is not missing.
bool extend_rules(json::Value& have, const json::Value& wanted) {
  bool changed = false;
  for (const json::Value& one : *wanted.find("rules")->array()) {
    json::Value alone;
    alone["rules"].make_array().push_back(one);
    if (uncovered(rules_of(have), rules_of(alone)).empty()) continue;
    changed = true;
    json::Value& rules = have["rules"];
    if (!rules.is_array()) rules.make_array();
    rules.array()->push_back(one);
  }
  return changed;
}

// What `have` lacks of a bootstrap object of the same name.
bool reconcile(json::Value& have, const json::Value& wanted) {
  bool changed = false;
  for (const char* field : {"labels", "annotations"}) {
    const json::Value* all = wanted.find("metadata")->find(field);
    if (all == nullptr || all->object() == nullptr) continue;
    for (const auto& [key, value] : *all->object()) {
      if (const json::Value* there = have["metadata"][field].find(key); there != nullptr && *there == value) continue;
      have["metadata"][field][key] = value;
      changed = true;
    }
  }
  if (const json::Value* subjects = wanted.find("subjects"); subjects != nullptr && subjects->is_array()) changed |= extend(have["subjects"], *subjects);
  if (const json::Value* selectors = wanted.at("aggregationRule.clusterRoleSelectors")) changed |= extend(have["aggregationRule"]["clusterRoleSelectors"], *selectors);
  else if (wanted.find("rules") != nullptr) changed |= extend_rules(have, wanted);
  return changed;
}

}  // namespace

void ensure_bootstrap_policy(ResourceTable& table, Store& store, Registry& registry) {
  for (const std::string_view text : kObjects) {
    const auto wanted = json::parse(text);
    GS_CHECK(wanted.has_value());
    const ResourceTypePtr type = table.find(kRbacGroup, resource_of(wanted->text("kind")));
    const std::string ns(wanted->text("metadata.namespace")), name(wanted->text("metadata.name"));
    StoredPtr current = store.get(*type, ns, name);
    json::Value value = current ? current->value(*type) : json::Value();
    const json::Value* annotations = value.at("metadata.annotations");
    if (annotations != nullptr && annotations->find("rbac.authorization.kubernetes.io/autoupdate") != nullptr &&
        *annotations->find("rbac.authorization.kubernetes.io/autoupdate") == json::Value("false")) {
      continue;
    }
    // What it binds cannot be changed: it is made anew.
    if (current && wanted->find("roleRef") != nullptr && !(*wanted->find("roleRef") == value["roleRef"])) {
      registry.remove_object(*type, current, DeleteOptions());
      current = nullptr;
    }
    if (!current) registry.create(*type, creating(*type, ns), text);
    else if (reconcile(value, *wanted)) registry.change(*type, current, std::move(value));
  }
}

}  // namespace gs::apiserver
