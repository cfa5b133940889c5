#include "daemon/webhook_control.h"

#include <limits>

#include "daemon/webhook_events.h"
#include "kube/server_url.h"
#include "net/cidr.h"

namespace gs::daemon {
namespace {

std::unique_ptr<webhook::CertificateStore> make_store(Loop& loop, const McpFlags& flags, kube::KubeTransport* hub, const std::string& ns) {
  if (hub == nullptr || !flags.webhook_cert_dir.empty()) return std::make_unique<webhook::DirectoryStore>(loop, flags.webhook_cert_dir);
  return std::make_unique<webhook::SecretStore>(loop, *hub, ns);
}

webhook::KeeperOptions keeper_options(const McpFlags& flags) {
  webhook::KeeperOptions out;
  // The flags were checked at the start.
  out.host = plane_endpoint(flags).value().host;
  out.files.certificate = flags.tls_cert_file;
  out.files.key = flags.tls_private_key_file;
  out.files.ca = flags.webhook_ca_file;
  return out;
}

}  // namespace

Result<webhook::PlaneEndpoint> plane_endpoint(const McpFlags& flags) {
  auto url = kube::parse_server_url(flags.webhook_url);
  if (!url) return fail(std::move(url).error().with_context("--webhook-url"));
  if (!url->tls) return fail(Code::kInvalid, "--webhook-url {}: API servers call webhooks by https:// only", flags.webhook_url);
  if (!url->path_prefix.empty()) return fail(Code::kInvalid, "--webhook-url {}: must be https://HOST:PORT, without a path", flags.webhook_url);
  webhook::PlaneEndpoint out;
  out.base = "https://" + url->authority();
  out.host = url->host;
  out.port = url->port;
  out.services = flags.webhook_service == "EndpointSlice" ? webhook::ServiceMode::kEndpointSlice : webhook::ServiceMode::kExternalName;
  // A plane with one cluster by construction needs none to tell clusters apart.
  out.prefixes = flags.is_hub() || !flags.config.empty();
  if (out.services == webhook::ServiceMode::kEndpointSlice && !net::IpAddress::parse(out.host)) {
    return fail(Code::kInvalid, "--webhook-service EndpointSlice: --webhook-url must have a numeric host, as slices have addresses");
  }
  if (out.services == webhook::ServiceMode::kExternalName && out.host.find(':') != std::string::npos) {
    return fail(Code::kInvalid, "--webhook-url {}: an ExternalName cannot be an IPv6 address; use a host name, or --webhook-service EndpointSlice", flags.webhook_url);
  }
  return out;
}

Status check_webhook_flags(const McpFlags& flags) {
  const std::pair<const char*, const std::string&> others[] = {{"--webhook-url", flags.webhook_url},
                                                               {"--webhook-cert-dir", flags.webhook_cert_dir},
                                                               {"--tls-cert-file", flags.tls_cert_file},
                                                               {"--tls-private-key-file", flags.tls_private_key_file},
                                                               {"--webhook-ca-file", flags.webhook_ca_file},
                                                               {"--events-sink", flags.events_sink},
                                                               {"--events-token-file", flags.events_token_file},
                                                               {"--events-ca-file", flags.events_ca_file},
                                                               {"--webhook-client-ca-file", flags.webhook_client_ca_file}};
  for (const auto& [name, value] : others) {
    if (flags.listen.empty() && !value.empty()) return fail(Code::kInvalid, "{}: goes with --listen, without which no webhooks are served", name);
  }
  if (flags.listen.empty()) return ok();
  GS_TRY_STATUS(ListenAddress::parse("--listen", flags.listen).map([](const ListenAddress&) {}));
  if (flags.webhook_url.empty()) return fail(Code::kInvalid, "--listen: needs --webhook-url https://HOST:PORT, by which API servers reach the plane");
  GS_TRY_STATUS(plane_endpoint(flags).map([](const webhook::PlaneEndpoint&) {}));
  GS_TRY_STATUS(check_events_flags(flags));
  if (flags.tls_cert_file.empty() != flags.tls_private_key_file.empty()) return fail(Code::kInvalid, "--tls-cert-file and --tls-private-key-file: go together");
  if (flags.tls_cert_file.empty() && !flags.webhook_ca_file.empty()) {
    return fail(Code::kInvalid, "--webhook-ca-file: goes with --tls-cert-file; the plane's own certificates have their own authority");
  }
  if (!flags.config.empty() && flags.webhook_cert_dir.empty()) {
    return fail(Code::kInvalid, "--listen: with --config it needs --webhook-cert-dir DIR, where certificates and the keys of paths are kept");
  }
  return ok();
}

WebhookControl::WebhookControl(Loop& loop, const McpFlags& flags, kube::KubeTransport* hub, const std::string& ns, webhook::CertificateKeeper::Sink changed)
    : keeper_(loop, make_store(loop, flags, hub, ns), keeper_options(flags), std::move(changed)) {}

void WebhookControl::observe(const control::Report& report, bool complete) {
  std::optional<uint64_t> carried;
  // Where there are no configurations nobody lags behind.
  if (complete && report.certificates.unknown == 0) carried = report.certificates.carried.value_or(std::numeric_limits<uint64_t>::max());
  keeper_.observe(report.certificates.services, carried);
}

void WebhookControl::annotate(control::Report& report) const {
  for (auto& [name, webhook] : report.webhooks) {
    if (keeper_.problem().empty()) continue;
    webhook.certificate_reason = keeper_.material() == nullptr ? "CertificateNotReady" : "CertificateProblem";
    webhook.certificate_error = keeper_.problem();
  }
}

std::string WebhookControl::not_ready() const { return keeper_.material() != nullptr ? "" : "webhooks: " + keeper_.problem(); }

void WebhookControl::show(Metrics& metrics) const {
  const webhook::Material* material = keeper_.material();
  const double expires = material == nullptr ? 0 : to_seconds(material->serving_not_after.time_since_epoch());
  metrics.gauge("gulfstream_webhook_certificate_expiry_timestamp_seconds", "When the serving certificate ends; 0: there is none.").set(expires);
  metrics.gauge("gulfstream_webhook_certificate_revision", "Of certificates and keys of paths; it grows with each change.").set(material == nullptr ? 0 : double(material->revision));
  metrics.gauge("gulfstream_webhook_certificate_problem", "1 while certificates cannot be read, made or stored.").set(keeper_.problem().empty() ? 0 : 1);
  metrics.gauge("gulfstream_webhook_rotation_waits", "1 while a rotation waits for configurations or replicas.").set(keeper_.waiting().empty() ? 0 : 1);
}

}  // namespace gs::daemon
