#include "gateway/authority.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace gs::gateway {
namespace {

bool listed(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool verb_granted(const std::vector<std::string>& verbs, Verb verb) {
  return verbs.empty() || listed(verbs, verb_name(verb)) || listed(verbs, "*");
}

bool same_resource(const WatchedRule& rule, const RestRequest& request) {
  // Any version: it is the same object.
  return rule.group == request.group && rule.resource == request.resource;
}

// Kinds that an update creates where there is none: AllowCreateOnUpdate() in
// kubernetes/pkg/registry/*/*/strategy.go, v1.36. Custom resources are never.
bool created_by_update(const RestRequest& request) {
  struct Kind {
    std::string_view group, resource;
  };
  constexpr Kind kKinds[] = {{"", "endpoints"},
                             {"", "events"},
                             {"", "limitranges"},
                             {"", "services"},
                             {"coordination.k8s.io", "leases"},
                             {"coordination.k8s.io", "leasecandidates"},
                             {"events.k8s.io", "events"},
                             {"node.k8s.io", "runtimeclasses"},
                             {"rbac.authorization.k8s.io", "roles"},
                             {"rbac.authorization.k8s.io", "rolebindings"},
                             {"rbac.authorization.k8s.io", "clusterroles"},
                             {"rbac.authorization.k8s.io", "clusterrolebindings"}};
  return std::any_of(std::begin(kKinds), std::end(kKinds), [&](const Kind& kind) {
    return kind.group == request.group && kind.resource == request.resource;
  });
}

// The request may create the object although its verb is another.
bool may_create(const RestRequest& request) {
  if (!request.subresource.empty()) return false;
  if (request.verb == Verb::kPatch) return request.patch == PatchType::kApply;
  return request.verb == Verb::kUpdate && created_by_update(request);
}

}  // namespace

// The key's own namespace; for a cluster-scoped primary, or object under review, everywhere.
bool Authority::in_reach(const RestRequest& request, const KeyScope& key) const {
  if (key.review ? key.anywhere : !rules_.primary_namespaced) return true;
  const std::string scope = scope_of(request);
  return !scope.empty() && scope == key.ns;
}

// An `authorized` rule with allowCrossNamespace covers it.
bool Authority::crosses_freely(const RestRequest& request, Verb verb) const {
  return std::any_of(rules_.authorized.begin(), rules_.authorized.end(), [&](const AuthorizedRule& rule) {
    if (!rule.allow_cross_namespace || rule.group != request.group || !verb_granted(rule.verbs, verb)) return false;
    return listed(rule.resources, request.resource) || listed(rule.resources, "*");
  });
}

bool Authority::by_primary(Verb verb, const RestRequest& request, const KeyScope& key) const {
  const WatchedRule& primary = rules_.primary;
  if (!same_resource(primary, request)) return false;
  const std::string scope = scope_of(request);
  const bool read = verb == Verb::kGet || verb == Verb::kList || verb == Verb::kWatch;
  if (read) {
    if (!request.subresource.empty() && request.subresource != "status") return false;
    if (!primary.ns.empty() && scope != primary.ns) return false;
    return in_reach(request, key);
  }
  // Writes: the key's own object, its status and finalizers.
  if (verb != Verb::kUpdate && verb != Verb::kPatch && verb != Verb::kDelete) return false;
  const bool own = request.name == key.name && (!rules_.primary_namespaced || scope == key.ns);
  if (!own) return false;
  if (request.subresource == "status" || request.subresource == "finalizers") return verb != Verb::kDelete;
  return request.subresource.empty();
}

bool Authority::by_secondary(Verb verb, const RestRequest& request, const KeyScope& key) const {
  return std::any_of(rules_.secondary.begin(), rules_.secondary.end(), [&](const WatchedRule& rule) {
    if (!same_resource(rule, request) || !verb_granted(rule.verbs, verb)) return false;
    if (!request.subresource.empty() && request.subresource != "status") return false;
    if (!rule.ns.empty() && scope_of(request) != rule.ns) return false;
    return in_reach(request, key) || crosses_freely(request, verb);
  });
}

bool Authority::by_authorized(Verb verb, const RestRequest& request, const KeyScope& key) const {
  return std::any_of(rules_.authorized.begin(), rules_.authorized.end(), [&](const AuthorizedRule& rule) {
    if (rule.group != request.group || !verb_granted(rule.verbs, verb)) return false;
    const bool named = listed(rule.resources, request.resource_path());
    const bool wildcard = request.subresource.empty() && listed(rule.resources, "*");
    return (named || wildcard) && (rule.allow_cross_namespace || in_reach(request, key));
  });
}

bool Authority::by_config(Verb verb, const RestRequest& request) const {
  if (verb != Verb::kGet || !request.subresource.empty()) return false;
  return std::any_of(rules_.configs.begin(), rules_.configs.end(), [&](const ConfigRule& rule) {
    return rule.group == request.group && rule.resource == request.resource && rule.ns == scope_of(request) &&
           rule.name == request.name;
  });
}

bool Authority::granted(Verb verb, const RestRequest& request, const KeyScope& key) const {
  return by_primary(verb, request, key) || by_secondary(verb, request, key) || by_authorized(verb, request, key) ||
         by_config(verb, request);
}

std::string Authority::explain(Verb verb, const RestRequest& request, const KeyScope& key) const {
  const std::string group = request.group.empty() ? "\"\"" : request.group;
  const std::string wanted = fmt::format("{{group: {}, resources: [{}], verbs: [{}]{}}}", group, request.resource_path(),
                                         verb_name(verb), in_reach(request, key) ? "" : ", allowCrossNamespace: true");
  const std::string where = scope_of(request).empty() ? "over all namespaces or cluster-scoped"
                                                      : fmt::format("in namespace {}", scope_of(request));
  return fmt::format("{} {} {} is not granted to this {} {}{}{}; add {} to spec.authorized", verb_name(verb), request.resource_path(), where,
                     key.review ? "Webhook for a review of" : "Controller for key", key.ns, key.ns.empty() ? "" : "/", key.name, wanted);
}

Decision Authority::check_review(const RestRequest& request, const KeyScope& review) const {
  Decision decision;
  if (request.verb != Verb::kGet && request.verb != Verb::kList) {
    decision.missing = fmt::format("{} {} is refused: a review reads, by get and list, and never {}, whatever spec.authorized grants{}",
                                   verb_name(request.verb), request.resource_path(), request.is_write() ? "writes" : "watches",
                                   request.is_write() ? "; write in the reconcile of a Controller" : "");
    return decision;
  }
  decision.allowed = by_authorized(request.verb, request, review) || by_config(request.verb, request);
  if (!decision.allowed) decision.missing = explain(request.verb, request, review);
  return decision;
}

Decision Authority::check(const RestRequest& request, const KeyScope& key) const {
  if (key.review) return check_review(request, key);
  std::vector<Verb> needed = {request.verb};
  if (may_create(request)) needed.push_back(Verb::kCreate);
  Decision decision;
  for (const Verb verb : needed) {
    if (granted(verb, request, key)) continue;
    decision.missing = explain(verb, request, key);
    decision.only_create_missing = verb != request.verb;
    return decision;
  }
  decision.allowed = true;
  return decision;
}

Decision Authority::check_pair_wide(const RestRequest& request) const {
  Decision decision;
  const auto covers = [&](const WatchedRule& rule) {
    return same_resource(rule, request) && (rule.ns.empty() || rule.ns == scope_of(request));
  };
  const bool read = request.verb == Verb::kList || request.verb == Verb::kWatch;
  const bool watched = std::any_of(rules_.secondary.begin(), rules_.secondary.end(), [&](const WatchedRule& rule) {
    return rule.delegate_watch && covers(rule) && verb_granted(rule.verbs, request.verb);
  });
  decision.allowed = read && request.subresource.empty() && (watched || covers(rules_.primary));
  if (!decision.allowed) {
    decision.missing = fmt::format("{} of {} for the whole pair is not granted; set delegateWatch: true on its entry of spec.secondary",
                                   verb_name(request.verb), request.resource_path());
  }
  return decision;
}

}  // namespace gs::gateway
