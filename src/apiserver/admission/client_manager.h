// Webhooks called over HTTPS: connections by client config, kept while they are in use
// (k8s.io/apiserver/pkg/util/webhook/client.go). The seam is WebhookClients: a test or a simulation has its own.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>

#include "apiserver/admission/accessor.h"
#include "apiserver/store.h"
#include "kube/transport.h"
#include "net/byte_stream.h"
#include "net/tls.h"
#include "runtime/task.h"

namespace gs::apiserver::admission {

class WebhookClients {
 public:
  virtual ~WebhookClients() = default;
  // A POST with ?timeout=. The body of a 2xx answer; errors are the reason of "failed calling webhook". May be destroyed at
  // any await.
  virtual Task<Result<std::string>> post(ClientConfig config, std::string body, MonoTime deadline) = 0;
};

// Where a Service's port leads: an ExternalName's name, a ready endpoint, or else its cluster IP. There is no kube-proxy
// behind an embedded server, so endpoints come before the address that only one would serve.
Result<net::Endpoint> resolve_service(const ResourceTable& table, const Store& store, const std::string& ns, const std::string& name, int64_t port);

class ClientManager final : public WebhookClients {
 public:
  static constexpr size_t kMaxClients = 200;  // as many kube-apiserver keeps
  static constexpr size_t kMaxAnswer = 16 * 1024 * 1024;

  // What it refers to outlives it.
  ClientManager(Loop& loop, net::TlsContext& tls, net::Connector& tcp, const ResourceTable& table, const Store& store)
      : loop_(loop), tls_(tls), tcp_(tcp), table_(table), store_(store) {}
  ~ClientManager() override;

  Task<Result<std::string>> post(ClientConfig config, std::string body, MonoTime deadline) override;

 private:
  class Client;
  Result<std::shared_ptr<Client>> client_of(const ClientConfig& config);

  Loop& loop_;
  net::TlsContext& tls_;
  net::Connector& tcp_;
  const ResourceTable& table_;
  const Store& store_;
  std::list<std::string> used_;  // the last used first
  std::map<std::string, std::shared_ptr<Client>> clients_;
};

}  // namespace gs::apiserver::admission
