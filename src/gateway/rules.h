// What a Controller or a Webhook declares, as authority needs it (design: Authority). Plain data, made by
// control/ from the resource and never changed afterwards.
#pragma once

#include <string>
#include <vector>

namespace gs::gateway {

struct WatchedRule {
  std::string group;
  std::string version;
  std::string resource;
  std::string ns;                  // empty: wherever the key may reach
  std::vector<std::string> verbs;  // empty: all of a plain resource
  bool delegate_watch = false;
};

// As an RBAC rule: `resources` may name subresources ("pods/eviction"); "*" means every resource and
// never a subresource.
struct AuthorizedRule {
  std::string group;
  std::vector<std::string> resources;
  std::vector<std::string> verbs;  // empty: all of a plain resource
  bool allow_cross_namespace = false;
};

struct ConfigRule {
  std::string group;
  std::string version;
  std::string resource;
  std::string ns;
  std::string name;
};

// Of a Webhook: `authorized` and `configs` only.
struct Rules {
  WatchedRule primary;
  bool primary_namespaced = true;
  std::vector<WatchedRule> secondary;
  std::vector<AuthorizedRule> authorized;
  std::vector<ConfigRule> configs;  // of the pair's own cluster only
};

// The key of a reconcile; or of a review, the namespace and name of the object under review.
struct KeyScope {
  std::string ns;  // empty for a cluster-scoped primary
  std::string name;
  // A review only reads. `anywhere`: what is under review is cluster-scoped, a Namespace for one.
  bool review = false;
  bool anywhere = false;
};

}  // namespace gs::gateway
