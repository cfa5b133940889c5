#include "apiserver/authorization/rbac.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/go_text.h"

namespace gs::apiserver {
namespace {

constexpr const char* kResources[] = {"roles", "clusterroles", "rolebindings", "clusterrolebindings"};

// Users and groups have separate names; a ServiceAccount is a user.
std::string subject_key(std::string_view ns, char kind, std::string_view name) { return fmt::format("{}\n{}{}", ns, kind, name); }

// The key of a subject in a binding of this namespace; empty: it is nobody.
std::string key_of(const json::Value& subject, const std::string& ns) {
  const std::string_view kind = subject.text("kind"), name = subject.text("name");
  if (kind == "User") return subject_key(ns, 'u', name);
  if (kind == "Group") return subject_key(ns, 'g', name);
  const std::string_view own = subject.text("namespace");
  const std::string_view account_ns = own.empty() ? std::string_view(ns) : own;
  if (kind != "ServiceAccount" || account_ns.empty()) return "";
  return subject_key(ns, 'u', fmt::format("system:serviceaccount:{}:{}", account_ns, name));
}

std::string description_of(const json::Value& subject, const std::string& ns) {
  const std::string_view kind = subject.text("kind"), name = subject.text("name"), own = subject.text("namespace");
  if (kind != "ServiceAccount") return fmt::format("{} {}", kind, schema::quoted(name));
  return fmt::format("{} {}", kind, schema::quoted(fmt::format("{}/{}", name, own.empty() ? std::string_view(ns) : own)));
}

}  // namespace

std::string RoleRef::not_found() const { return fmt::format("{}.{} {} not found", to_lower(kind), kRbacGroup, schema::quoted(name)); }

std::string Rbac::Binding::describe(size_t subject) const {
  const bool namespaced = !ns.empty();
  return fmt::format("{} {} of {} {} to {}", namespaced ? "RoleBinding" : "ClusterRoleBinding", schema::quoted(namespaced ? name + "/" + ns : name), ref.kind,
                     schema::quoted(ref.name), descriptions[subject]);
}

Rbac::Rbac(ResourceTable& table, Store& store, Registry& registry) : table_(table), store_(store) { registry.add_follower(*this); }

void Rbac::start() {
  for (const char* resource : kResources) {
    const ResourceTypePtr type = table_.find(kRbacGroup, resource);
    for (const StoredPtr& object : store_.list(*type, "")) changed(*type, nullptr, object);
  }
}

void Rbac::changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) {
  if (type.group != kRbacGroup) return;
  const std::string key((after ? after : before)->key());
  if (type.resource == "roles" || type.resource == "clusterroles") {
    if (after) roles_.insert_or_assign(key, rules_of(after->value()));
    else roles_.erase(key);
    return;
  }
  if (const auto old = bindings_.find(key); old != bindings_.end()) {
    index(old->second, false);
    bindings_.erase(old);
  }
  if (!after) return;
  const BindingPtr binding = read_binding(after->value(), type.namespaced);
  bindings_.emplace(key, binding);
  index(binding, true);
}

Rbac::BindingPtr Rbac::read_binding(const json::Value& object, bool namespaced) {
  auto out = std::make_shared<Binding>();
  out->name = object.text("metadata.name");
  if (namespaced) out->ns = object.text("metadata.namespace");
  out->ref = {std::string(object.text("roleRef.kind")), std::string(object.text("roleRef.name"))};
  const json::Value* subjects = object.find("subjects");
  if (subjects == nullptr || subjects->array() == nullptr) return out;
  for (const json::Value& subject : *subjects->array()) {
    out->subjects.push_back(key_of(subject, out->ns));
    out->descriptions.push_back(description_of(subject, out->ns));
  }
  return out;
}

void Rbac::index(const BindingPtr& binding, bool add) {
  for (size_t i = 0; i < binding->subjects.size(); ++i) {
    const std::string& key = binding->subjects[i];
    if (key.empty()) continue;
    if (add) {
      by_subject_[key].push_back({binding, i});
      continue;
    }
    const auto found = by_subject_.find(key);
    if (found == by_subject_.end()) continue;
    std::erase_if(found->second, [&](const Grant& grant) { return grant.binding == binding; });
    if (found->second.empty()) by_subject_.erase(found);
  }
}

void Rbac::collect(const std::string& ns, const UserInfo& user, Grants& out) const {
  Grants found;
  const auto add = [&](char kind, const std::string& name) {
    const auto grants = by_subject_.find(subject_key(ns, kind, name));
    if (grants != by_subject_.end()) found.insert(found.end(), grants->second.begin(), grants->second.end());
  };
  add('u', user.name);
  for (const std::string& group : user.groups) add('g', group);
  std::sort(found.begin(), found.end(), [](const Grant& a, const Grant& b) { return std::tie(a.binding->name, a.subject) < std::tie(b.binding->name, b.subject); });
  const auto same = [](const Grant& a, const Grant& b) { return a.binding == b.binding; };
  found.erase(std::unique(found.begin(), found.end(), same), found.end());
  out.insert(out.end(), found.begin(), found.end());
}

Rbac::Grants Rbac::grants(const UserInfo& user, const std::string& ns) const {
  Grants out;
  collect("", user, out);
  if (!ns.empty()) collect(ns, user, out);
  return out;
}

const PolicyRules* Rbac::role(const RoleRef& ref, const std::string& ns) const {
  const auto found = roles_.find(Store::key(ref.kind == "ClusterRole" ? "" : ns, ref.name));
  return found == roles_.end() ? nullptr : &found->second;
}

std::optional<std::string> Rbac::allowed_by(const UserInfo& user, const Attributes& attributes, std::string& reason) const {
  std::vector<std::string> missing;
  for (const Grant& grant : grants(user, attributes.ns)) {
    const PolicyRules* rules = role(grant.binding->ref, grant.binding->ns);
    if (rules == nullptr) {
      std::string words = grant.binding->ref.not_found();
      if (std::find(missing.begin(), missing.end(), words) == missing.end()) missing.push_back(std::move(words));
      continue;
    }
    const bool allowed = std::any_of(rules->begin(), rules->end(), [&](const PolicyRule& rule) { return rule.allows(attributes); });
    if (allowed) return "RBAC: allowed by " + grant.binding->describe(grant.subject);
  }
  if (missing.size() == 1) reason = "RBAC: " + missing.front();
  if (missing.size() > 1) reason = fmt::format("RBAC: [{}]", fmt::join(missing, ", "));
  return std::nullopt;
}

PolicyRules Rbac::rules_for(const UserInfo& user, const std::string& ns, std::vector<RoleRef>& missing) const {
  PolicyRules out;
  for (const Grant& grant : grants(user, ns)) {
    const PolicyRules* rules = role(grant.binding->ref, grant.binding->ns);
    if (rules == nullptr) missing.push_back(grant.binding->ref);
    else out.insert(out.end(), rules->begin(), rules->end());
  }
  return out;
}

}  // namespace gs::apiserver
