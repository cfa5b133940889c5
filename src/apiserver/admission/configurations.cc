#include "apiserver/admission/configurations.h"

namespace gs::apiserver::admission {
namespace {

const std::string kConfigurationGroup = "admissionregistration.k8s.io";

}  // namespace

const std::vector<WebhookPtr>& Configurations::of(Phase phase) {
  if (!current_) {
    mutating_ = read("mutatingwebhookconfigurations");
    validating_ = read("validatingwebhookconfigurations");
    current_ = true;
  }
  return phase == Phase::kMutating ? mutating_ : validating_;
}

std::vector<WebhookPtr> Configurations::read(const std::string& resource) const {
  std::vector<WebhookPtr> out;
  const ResourceTypePtr type = table_.find(kConfigurationGroup, resource);
  for (const StoredPtr& stored : store_.list(*type, "")) {
    for (WebhookPtr& hook : read_webhooks(stored->value())) out.push_back(std::move(hook));
  }
  return out;
}

void Configurations::changed(const ResourceType& type, const StoredPtr&, const StoredPtr&) {
  if (type.group == kConfigurationGroup) current_ = false;
}

}  // namespace gs::apiserver::admission
