// RBAC over the store's own roles and bindings: the authorizer of k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac. A
// request looks up the bindings of its user and groups; each write of a role or binding brings the index up to date
// within that write. Lives on the store's loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "apiserver/authorization/policy_rule.h"
#include "apiserver/registry.h"
#include "base/strings.h"

namespace gs::apiserver {

struct RoleRef {
  std::string kind;  // Role or ClusterRole
  std::string name;
  // clusterrole.rbac.authorization.k8s.io "x" not found
  std::string not_found() const;
};

class Rbac final : public Registry::Follower {
 public:
  Rbac(ResourceTable& table, Store& store, Registry& registry);
  // With the roles and bindings that there are.
  void start();
  void changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) override;

  // Why it is allowed: "RBAC: allowed by ..."; nullopt: nothing allows it. Then `reason` says which roles are missing, if any.
  std::optional<std::string> allowed_by(const UserInfo& user, const Attributes& attributes, std::string& reason) const;
  // All rules that apply to the user in a namespace ("": in the whole cluster). `missing`: roles that bindings name and
  // nobody has, as "clusterroles" or "roles" and the name.
  PolicyRules rules_for(const UserInfo& user, const std::string& ns, std::vector<RoleRef>& missing) const;
  // Null where there is no such role; `ns` of a Role.
  const PolicyRules* role(const RoleRef& ref, const std::string& ns) const;

 private:
  struct Binding {
    std::string ns, name;  // ns is empty for a ClusterRoleBinding
    RoleRef ref;
    std::vector<std::string> subjects;      // as subject_key()
    std::vector<std::string> descriptions;  // of the subjects, as reasons have them
    std::string describe(size_t subject) const;
  };
  using BindingPtr = std::shared_ptr<const Binding>;
  struct Grant {
    BindingPtr binding;
    size_t subject = 0;
  };
  using Grants = std::vector<Grant>;

  static BindingPtr read_binding(const json::Value& object, bool namespaced);
  void index(const BindingPtr& binding, bool add);
  void collect(const std::string& ns, const UserInfo& user, Grants& out) const;
  // Of the user in the whole cluster and in a namespace: by name, each binding once.
  Grants grants(const UserInfo& user, const std::string& ns) const;

  ResourceTable& table_;
  Store& store_;
  // By Store::key().
  std::unordered_map<std::string, PolicyRules, StringHash, std::equal_to<>> roles_;
  std::unordered_map<std::string, BindingPtr, StringHash, std::equal_to<>> bindings_;
  std::unordered_map<std::string, Grants, StringHash, std::equal_to<>> by_subject_;
};

}  // namespace gs::apiserver
