#include "control/webhook_finalizers.h"

#include <algorithm>

#include "base/log.h"
#include "json/value.h"

namespace gs::control {

json::Value finalizer_patch(const kube::Object& webhook, const WebhookReport& report) {
  // Of another of its name, or of one that this plane does not serve.
  if (!report.uid.empty() && report.uid != webhook.uid()) return {};
  auto present = json::parse(webhook.finalizers().empty() ? "[]" : webhook.finalizers());
  if (!present || !present->is_array()) return {};
  json::Array& all = *present->array();
  const auto ours = std::find_if(all.begin(), all.end(), [](const json::Value& f) { return f.string() != nullptr && *f.string() == kWebhookFinalizer; });
  if (webhook.deleting()) {
    // A plane that serves none cannot say what others have configured.
    const bool done = report.deleting && report.held == 0 && report.not_served.empty();
    if (ours == all.end() || !done) return {};
    all.erase(ours);
  } else {
    if (ours != all.end() || !report.not_served.empty() || report.uid.empty()) return {};
    all.emplace_back(kWebhookFinalizer);
  }
  json::Value out;
  out["metadata"]["resourceVersion"] = std::string(webhook.resource_version());
  out["metadata"]["finalizers"] = *std::move(present);
  return out;
}

void WebhookFinalizers::update(const Report& report) {
  pending_ = !writing_.empty();
  source_.for_each_webhook([&](const kube::ObjectRef& webhook) {
    const std::string name(webhook->name());
    const auto found = report.webhooks.find(name);
    if (found == report.webhooks.end() || writing_.contains(name)) return;
    const json::Value patch = finalizer_patch(*webhook, found->second);
    if (patch.is_null()) return;
    pending_ = true;
    writing_.insert(name);
    scope_.spawn(write(name, patch.dump()));
  });
}

Task<void> WebhookFinalizers::write(std::string name, std::string body) {
  kube::Request request("PATCH", fmt::format("/apis/{}/{}/webhooks/{}?fieldManager=gulfstream", kGroup, kVersion, name));
  request.content_type = "application/merge-patch+json";
  request.body = std::move(body);
  request.deadline = saturating_add(loop_.now(), kTimeout);
  request.repeatable = false;
  auto sending = hub_.send(std::move(request));
  auto response = co_await sending;
  writing_.erase(name);
  // Status is written beside it, so conflicts are common. What is there now comes by the watch, and update() looks at it.
  if (response && (response->status / 100 == 2 || response->status == 404 || response->status == 409)) co_return;
  const Error why = response ? kube::status_error(response->status, response->body, response->retry_after, loop_.wall_now()) : std::move(response).error();
  log::warning("a Webhook's finalizer cannot be written", {{"webhook", name}, {"err", why}});
}

}  // namespace gs::control
