// What RBAC says to a write once its object is known: nobody grants by a role or a binding what they do not have
// themselves (k8s.io/kubernetes/pkg/registry/rbac), and an update that creates needs the right to create. For one
// request of one user.
#pragma once

#include "apiserver/authorization/authorizer.h"

namespace gs::apiserver {

class WriteGuard final : public Registry::Guard {
 public:
  // Both outlive it.
  WriteGuard(const Authorizer& authorizer, const UserInfo& user) : authorizer_(authorizer), user_(user) {}

  std::optional<Answer> refuses(const ResourceType& type, const RestRequest& request, const json::Value& object, const json::Value* old) const override;

 private:
  bool may(std::string verb, const ResourceType& type, const std::string& ns, const std::string& name) const;
  std::optional<Answer> role(const ResourceType& type, const RestRequest& request, const json::Value& object, const json::Value* old) const;
  std::optional<Answer> binding(const ResourceType& type, const RestRequest& request, const json::Value& object) const;
  // Why the rules are more than the user has; empty: they are not.
  std::string escalation(const std::string& ns, const PolicyRules& rules) const;

  const Authorizer& authorizer_;
  const UserInfo& user_;
};

}  // namespace gs::apiserver
