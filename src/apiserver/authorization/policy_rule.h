// The rules of roles: what they allow, and which of them others cover (k8s.io/kubernetes/pkg/apis/rbac/v1 and
// k8s.io/component-helpers/auth/rbac/validation). Pure.
#pragma once

#include <string>
#include <vector>

#include "apiserver/authorization/attributes.h"
#include "json/value.h"

namespace gs::apiserver {

inline constexpr const char* kRbacGroup = "rbac.authorization.k8s.io";

struct PolicyRule {
  std::vector<std::string> verbs;
  std::vector<std::string> api_groups;
  std::vector<std::string> resources;
  std::vector<std::string> resource_names;
  std::vector<std::string> non_resource_urls;

  bool allows(const Attributes& attributes) const;
  // {APIGroups:[""], Resources:["pods"], Verbs:["get"]}, as messages have it.
  std::string to_string() const;
  bool operator==(const PolicyRule&) const = default;
};
using PolicyRules = std::vector<PolicyRule>;

// Of a Role or ClusterRole.
PolicyRules rules_of(const json::Value& role);
// The smallest rules that `wanted` is made of and `owned` does not cover.
PolicyRules uncovered(const PolicyRules& owned, const PolicyRules& wanted);
// Everything: what cluster-admin has.
PolicyRules full_authority();
// Rules that differ by verb only become one.
PolicyRules compacted(const PolicyRules& rules);

}  // namespace gs::apiserver
