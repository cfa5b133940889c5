// --events-sink on one loop: decisions of webhooks, told to whoever wants to know. Made and used on its loop.
#pragma once

#include <memory>

#include "daemon/flags.h"
#include "delegate/dial.h"
#include "webhook/events_sink.h"

namespace gs::daemon {

// kInvalid names the flags that do not go together.
Status check_events_flags(const McpFlags& flags);

class WebhookEvents final : private net::Connector {
 public:
  // What is not told this long after the work has ended is not told.
  static constexpr Duration kFarewell = std::chrono::seconds(3);

  // The flags were checked. `deps`: how delegates are dialled; here with the trust for the sink.
  WebhookEvents(const delegate::DialerDeps& deps, Metrics& metrics, const McpFlags& flags);

  webhook::EventsSink& sink() { return *sink_; }
  // For kFarewell, and no longer than the deadline. Says what was left.
  Task<void> drain(MonoTime deadline);

 private:
  Task<Result<std::unique_ptr<net::ByteStream>>> connect(net::Endpoint endpoint, MonoTime deadline) override;

  delegate::DialerDeps deps_;
  kube::ServerUrl url_;
  std::unique_ptr<webhook::EventsSink> sink_;
};

}  // namespace gs::daemon
