// The finalizer of Webhooks in a hub: put there before anything of theirs is configured, taken away when all of it was
// given back. By the plane that leads; guarded by resource version. Lives on loop 0.
#pragma once

#include <set>
#include <string>

#include "control/hub_source.h"
#include "control/report.h"
#include "kube/transport.h"
#include "runtime/task_scope.h"

namespace gs::control {

class WebhookFinalizers {
 public:
  static constexpr Duration kTimeout = std::chrono::seconds(10);

  // `source` and `hub` outlive this.
  WebhookFinalizers(Loop& loop, const HubSource& source, kube::KubeTransport& hub) : loop_(loop), source_(source), hub_(hub), scope_(loop) {}
  // Looks at all Webhooks, each time; `report` is of all loops.
  void update(const Report& report);
  // Something was written, or could not be: look again soon.
  bool pending() const { return pending_; }

 private:
  Task<void> write(std::string name, std::string body);

  Loop& loop_;
  const HubSource& source_;
  kube::KubeTransport& hub_;
  std::set<std::string> writing_;  // names
  bool pending_ = false;
  TaskScope scope_;
};

// The finalizers as they should be, as the body of a merge patch; null: they are. Pure.
json::Value finalizer_patch(const kube::Object& webhook, const WebhookReport& report);

}  // namespace gs::control
