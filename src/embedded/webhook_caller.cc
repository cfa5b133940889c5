#include "embedded/webhook_caller.h"

namespace gs::embedded {

struct WebhookCaller::Network {
  Network(UvLoop& loop, net::TlsContext& tls, apiserver::ApiServer& api)
      : resolver(loop), tcp(loop, resolver, nullptr), clients(loop, tls, tcp, api.table(), api.store()) {}
  net::CaresResolver resolver;
  net::TcpConnector tcp;
  apiserver::admission::ClientManager clients;
};

Task<Result<std::string>> WebhookCaller::post(apiserver::admission::ClientConfig config, std::string body, MonoTime deadline) {
  if (!network_) network_ = std::make_shared<Network>(loop_, tls_, api_);
  auto posting = network_->clients.post(std::move(config), std::move(body), deadline);
  co_return co_await std::move(posting);
}

}  // namespace gs::embedded
