#include "daemon/webhook_events.h"

#include <algorithm>

#include "base/log.h"
#include "net/cidr.h"

namespace gs::daemon {

Status check_events_flags(const McpFlags& flags) {
  const std::pair<const char*, const std::string&> others[] = {{"--events-token-file", flags.events_token_file}, {"--events-ca-file", flags.events_ca_file}};
  for (const auto& [name, value] : others) {
    if (flags.events_sink.empty() && !value.empty()) return fail(Code::kInvalid, "{}: goes with --events-sink", name);
  }
  if (flags.events_sink.empty()) return ok();
  auto url = kube::parse_server_url(flags.events_sink);
  if (!url) return fail(std::move(url).error().with_context("--events-sink"));
  if (url->tls) return ok();
  for (const auto& [name, value] : others) {
    if (!value.empty()) return fail(Code::kInvalid, "{}: goes with an https:// --events-sink; a token never goes over plain text", name);
  }
  // A name is judged at each dial by what it resolves to.
  const auto address = net::IpAddress::parse(url->host);
  if (!flags.allow_insecure_delegates && address && !address->is_loopback()) {
    return fail(Code::kInvalid, "--events-sink {}: http:// goes to loopback only; use https://, or start the plane with --allow-insecure-delegates", flags.events_sink);
  }
  return ok();
}

WebhookEvents::WebhookEvents(const delegate::DialerDeps& deps, Metrics& metrics, const McpFlags& flags)
    : deps_(deps), url_(kube::parse_server_url(flags.events_sink).value()) {
  webhook::EventsSinkOptions options;
  options.url = url_;
  options.token_file = flags.events_token_file;
  net::Connector& us = *this;
  sink_ = std::make_unique<webhook::EventsSink>(deps_.loop, us, metrics, std::move(options));
}

Task<Result<std::unique_ptr<net::ByteStream>>> WebhookEvents::connect(net::Endpoint, MonoTime deadline) {
  std::vector<std::string> alpn = {"http/1.1"};
  delegate::Credential none;
  return delegate::dial_host(deps_, url_, std::move(alpn), std::move(none), deadline);
}

Task<void> WebhookEvents::drain(MonoTime deadline) {
  const MonoTime until = std::min(deadline, saturating_add(deps_.loop.now(), kFarewell));
  const size_t left = co_await sink_->drain(until);
  if (left > 0) log::warning("events of decisions were not told", {{"sink", url_.authority()}, {"left", left}});
}

}  // namespace gs::daemon
