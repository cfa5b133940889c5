// What of webhooks is one for the whole process: certificates and prefix keys, and what hangs on them. Loop 0.
#pragma once

#include <memory>
#include <string>

#include "base/metrics.h"
#include "control/report.h"
#include "daemon/flags.h"
#include "daemon/webhook_listener.h"
#include "webhook/certificate_keeper.h"
#include "webhook/configurator.h"

namespace gs::daemon {

// --webhook-url and --webhook-service, read.
Result<webhook::PlaneEndpoint> plane_endpoint(const McpFlags& flags);
Status check_webhook_flags(const McpFlags& flags);

class WebhookControl {
 public:
  // `hub` null: certificates are kept in --webhook-cert-dir. `changed` gets what is to be served with.
  WebhookControl(Loop& loop, const McpFlags& flags, kube::KubeTransport* hub, const std::string& ns, webhook::CertificateKeeper::Sink changed);

  void lead() { keeper_.lead(); }
  // From all loops. `complete`: everything that is wanted is known and was begun, so that nobody is forgotten.
  void observe(const control::Report& report, bool complete);
  // Puts into each Webhook's report what is known of certificates.
  void annotate(control::Report& report) const;
  // Why nothing can be served yet; empty: it can.
  std::string not_ready() const;
  void show(Metrics& metrics) const;

 private:
  webhook::CertificateKeeper keeper_;
};

}  // namespace gs::daemon
