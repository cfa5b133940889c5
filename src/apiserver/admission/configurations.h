// The webhooks of a server's own MutatingWebhookConfigurations and ValidatingWebhookConfigurations, kept current.
#pragma once

#include <vector>

#include "apiserver/admission/accessor.h"
#include "apiserver/admission/attributes.h"
#include "apiserver/registry.h"

namespace gs::apiserver::admission {

class Configurations final : public Registry::Follower {
 public:
  Configurations(const ResourceTable& table, const Store& store) : table_(table), store_(store) {}

  // By name of their configuration, then as they stand there.
  const std::vector<WebhookPtr>& of(Phase phase);
  bool any() { return !of(Phase::kValidating).empty() || !of(Phase::kMutating).empty(); }

  void changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) override;

 private:
  std::vector<WebhookPtr> read(const std::string& resource) const;

  const ResourceTable& table_;
  const Store& store_;
  bool current_ = false;  // they are read when they are first needed
  std::vector<WebhookPtr> mutating_, validating_;
};

}  // namespace gs::apiserver::admission
