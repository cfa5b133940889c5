// Who may do what: the authorizers of --authorization-mode, in their order (kube-apiserver's flag and words). Members of
// system:masters may do everything before any is asked. Lives on the store's loop; one step, without a wait.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authorization/rbac.h"

namespace gs::apiserver {

enum class AuthorizationMode { kAlwaysAllow, kAlwaysDeny, kRbac };

// "RBAC" or "AlwaysDeny,RBAC". kInvalid in kube-apiserver's words.
Result<std::vector<AuthorizationMode>> parse_authorization_modes(std::string_view text);
// Nobody is ever refused by the first of them.
inline bool allows_everything(const std::vector<AuthorizationMode>& modes) { return modes.empty() || modes == std::vector{AuthorizationMode::kAlwaysAllow}; }

struct Decision {
  bool allowed = false;
  std::string reason;
};

class Authorizer {
 public:
  // `rbac` outlives it.
  Authorizer(std::vector<AuthorizationMode> modes, const Rbac& rbac) : modes_(std::move(modes)), rbac_(rbac) {}

  Decision authorize(const UserInfo& user, const Attributes& attributes) const;
  // What SelfSubjectRulesReview tells; `error`: what could not be told, or empty.
  PolicyRules rules_for(const UserInfo& user, const std::string& ns, std::string& error) const;
  const Rbac& rbac() const { return rbac_; }

 private:
  std::vector<AuthorizationMode> modes_;
  const Rbac& rbac_;
};

}  // namespace gs::apiserver
