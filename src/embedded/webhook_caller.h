// How a served cluster calls its webhooks: over real connections, which are set up when there is first something to call.
#pragma once

#include <memory>

#include "apiserver/admission/client_manager.h"
#include "apiserver/api_server.h"
#include "net/dns.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace gs::embedded {

class WebhookCaller final : public apiserver::admission::WebhookClients {
 public:
  WebhookCaller(UvLoop& loop, net::TlsContext& tls, apiserver::ApiServer& api) : loop_(loop), tls_(tls), api_(api) {}
  Task<Result<std::string>> post(apiserver::admission::ClientConfig config, std::string body, MonoTime deadline) override;

 private:
  struct Network;
  UvLoop& loop_;
  net::TlsContext& tls_;
  apiserver::ApiServer& api_;
  std::shared_ptr<Network> network_;
};

}  // namespace gs::embedded
