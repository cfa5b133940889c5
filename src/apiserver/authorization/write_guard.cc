#include "apiserver/authorization/write_guard.h"

#include <fmt/format.h>

#include <set>

#include "apiserver/authorization/policy_rule.h"
#include "schema/go_text.h"

namespace gs::apiserver {
namespace {

bool aggregates(const json::Value* role) { return role != nullptr && has_entries(*role, "aggregationRule.clusterRoleSelectors"); }

// What the garbage collector changes is no grant.
bool only_for_garbage_collection(json::Value object, json::Value old) {
  for (json::Value* one : {&object, &old}) {
    json::Object& metadata = (*one)["metadata"].make_object();
    for (const char* field : {"ownerReferences", "finalizers", "managedFields", "resourceVersion"}) metadata.erase(field);
    one->make_object().erase("kind");
    one->make_object().erase("apiVersion");
  }
  return object == old;
}

}  // namespace

bool WriteGuard::may(std::string verb, const ResourceType& type, const std::string& ns, const std::string& name) const {
  Attributes asked;
  asked.resource_request = true;
  asked.verb = std::move(verb);
  asked.group = type.group;
  asked.version = "*";
  asked.resource = type.resource;
  asked.ns = ns;
  asked.name = name;
  return authorizer_.authorize(user_, asked).allowed;
}

std::optional<Answer> WriteGuard::refuses(const ResourceType& type, const RestRequest& request, const json::Value& object, const json::Value* old) const {
  if (old == nullptr && request.verb != gateway::Verb::kCreate) {
    Attributes asked;
    asked.resource_request = true;
    asked.verb = "create";
    asked.group = type.named_group();
    asked.version = type.version;
    asked.resource = type.resource;
    asked.ns = request.ns;
    asked.name = request.name;
    const Decision decision = authorizer_.authorize(user_, asked);
    if (!decision.allowed) return access_denied(user_, asked, decision.reason);
  }
  if (type.group != kRbacGroup || !request.subresource.empty() || user_.in_group(kMasters)) return std::nullopt;
  if (old != nullptr && only_for_garbage_collection(object, *old)) return std::nullopt;
  return type.resource.ends_with("bindings") ? binding(type, request, object) : role(type, request, object, old);
}

std::optional<Answer> WriteGuard::role(const ResourceType& type, const RestRequest& request, const json::Value& object, const json::Value* old) const {
  if (may("escalate", type, request.ns, request.name)) return std::nullopt;
  const std::string_view name = object.text("metadata.name");
  if (const std::string why = escalation(request.ns, rules_of(object)); !why.empty()) return forbidden(type, name, why);
  // It may gather anything.
  const bool gathers = aggregates(&object) || aggregates(old);
  if (gathers && !escalation(request.ns, full_authority()).empty()) return forbidden(type, name, "must have cluster-admin privileges to use the aggregationRule");
  return std::nullopt;
}

std::optional<Answer> WriteGuard::binding(const ResourceType& type, const RestRequest& request, const json::Value& object) const {
  const RoleRef ref{std::string(object.text("roleRef.kind")), std::string(object.text("roleRef.name"))};
  const bool cluster = ref.kind == "ClusterRole";
  // Validation will say what is wrong with it.
  if (!cluster && ref.kind != "Role") return std::nullopt;
  const ResourceType roles(std::string(object.text("roleRef.apiGroup")), "v1", cluster ? "clusterroles" : "roles", ref.kind, !cluster);
  if (may("bind", roles, request.ns, ref.name)) return std::nullopt;
  if (!cluster && !type.namespaced) return bad_request("Namespace parameter required.");
  const PolicyRules* rules = authorizer_.rbac().role(ref, request.ns);
  // Kubernetes names the resource of the request.
  if (rules == nullptr) return not_found(type, ref.name);
  if (const std::string why = escalation(request.ns, *rules); !why.empty()) return forbidden(type, object.text("metadata.name"), why);
  return std::nullopt;
}

std::string WriteGuard::escalation(const std::string& ns, const PolicyRules& rules) const {
  std::vector<RoleRef> missing;
  const PolicyRules over = compacted(uncovered(authorizer_.rbac().rules_for(user_, ns, missing), rules));
  if (over.empty()) return "";
  std::set<std::string> told;
  for (const PolicyRule& rule : over) told.insert(rule.to_string());
  std::string out = fmt::format("user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}", schema::quoted(user_.name), schema::quoted_list(user_.groups),
                                fmt::join(told, "\n"));
  if (missing.empty()) return out;
  std::vector<std::string> words;
  words.reserve(missing.size());
  for (const RoleRef& ref : missing) words.push_back(fmt::format("{}.{} {} not found", ref.kind == "ClusterRole" ? "clusterroles" : "roles", kRbacGroup, schema::quoted(ref.name)));
  const std::string all = words.size() == 1 ? words.front() : fmt::format("[{}]", fmt::join(words, ", "));
  return out + fmt::format("; resolution errors: [{}]", all);
}

}  // namespace gs::apiserver
