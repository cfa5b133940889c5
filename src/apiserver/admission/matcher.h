// Which webhooks a write concerns, and as what: rules, selectors and matchPolicy
// (k8s.io/apiserver/pkg/admission/plugin/webhook/generic/webhook.go and its predicates).
#pragma once

#include <optional>

#include "apiserver/admission/accessor.h"
#include "apiserver/admission/attributes.h"

namespace gs::apiserver::admission {

struct Invocation {
  Invocation(WebhookPtr w, ResourceTypePtr t, GroupVersionKind k) : webhook(std::move(w)), type(std::move(t)), kind(std::move(k)) {}
  WebhookPtr webhook;
  ResourceTypePtr type;   // as the webhook's rules name it
  GroupVersionKind kind;  // what its objects are sent as
};

class Matcher {
 public:
  Matcher(const ResourceTable& table, const Store& store) : table_(table), store_(store) {}
  // nullopt: it is not called. Errors: a selector that cannot be read, a namespace that is not there.
  Checked<std::optional<Invocation>> match(const WebhookPtr& webhook, const Attributes& attributes) const;

 private:
  Checked<bool> match_namespace(const WebhookAccessor& webhook, const Attributes& attributes) const;
  std::optional<Invocation> match_rules(const WebhookPtr& webhook, const Attributes& attributes) const;
  std::vector<ResourceTypePtr> equivalents(const ResourceType& type) const;

  const ResourceTable& table_;
  const Store& store_;
};

// Of webhooks and policies themselves webhooks are never asked: nobody could mend what refuses everything.
bool is_exempt(const ResourceType& type);
// 500 InternalError, with the message as its cause.
Answer internal_error(const std::string& message);

}  // namespace gs::apiserver::admission
