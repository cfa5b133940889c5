#include "apiserver/admission/client_manager.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/admission/review.h"
#include "base/strings.h"
#include "kube/cluster_connector.h"

namespace gs::apiserver::admission {
namespace {

using json::Value;

// What the transport says before the reason, since it thinks of writes.
constexpr std::string_view kOutcomeUnknown = "the outcome of the write is unknown: ";

// Whole seconds, rounded up, as the real one tells them.
std::string timeout_of(Duration left) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(left).count();
  return fmt::format("?timeout={}s", std::max<int64_t>(seconds, 1));
}

// The address of a Service, looked up at each dial.
class ServiceConnector final : public net::Connector {
 public:
  ServiceConnector(const ResourceTable& table, const Store& store, net::Connector& tcp, const ClientConfig& config) : table_(table), store_(store), tcp_(tcp), config_(config) {}

  Task<Result<std::unique_ptr<net::ByteStream>>> connect(net::Endpoint, MonoTime deadline) override {
    GS_CO_TRY(net::Endpoint endpoint, resolve_service(table_, store_, config_.ns, config_.name, config_.port));
    auto dialling = tcp_.connect(std::move(endpoint), deadline);
    co_return co_await std::move(dialling);
  }

 private:
  const ResourceTable& table_;
  const Store& store_;
  net::Connector& tcp_;
  ClientConfig config_;
};

// "https://host:443/a/b" without what comes before the path.
std::string path_of(const std::string& url) {
  const size_t host = url.find("//"), path = host == std::string::npos ? host : url.find('/', host + 2);
  return path == std::string::npos ? "/" : url.substr(path);
}

const Value* port_named(const Value& slice, std::string_view name) {
  const Value* ports = slice.find("ports");
  if (ports == nullptr || ports->array() == nullptr) return nullptr;
  for (const Value& port : *ports->array()) {
    if (port.text("name") == name && port.find("port") != nullptr && port.find("port")->integer()) return port.find("port");
  }
  return nullptr;
}

// The first address of a slice that is ready.
std::string ready_address(const Value& slice) {
  const Value* endpoints = slice.find("endpoints");
  if (endpoints == nullptr || endpoints->array() == nullptr) return "";
  for (const Value& endpoint : *endpoints->array()) {
    const Value* ready = endpoint.at("conditions.ready");
    const Value* address = endpoint.pointer("/addresses/0");
    if ((ready == nullptr || ready->boolean().value_or(true)) && address != nullptr && address->string() != nullptr) return *address->string();
  }
  return "";
}

std::optional<net::Endpoint> endpoint_of(const ResourceTable& table, const Store& store, const std::string& ns, const std::string& service, std::string_view port_name) {
  for (const StoredPtr& stored : store.list(*table.find("discovery.k8s.io", "endpointslices"), ns)) {
    const Value slice = stored->value();
    const Value* labels = slice.at("metadata.labels");
    const Value* of = labels != nullptr ? labels->find("kubernetes.io/service-name") : nullptr;
    if (of == nullptr || of->string() == nullptr || *of->string() != service) continue;
    const Value* port = port_named(slice, port_name);
    std::string address = ready_address(slice);
    if (port != nullptr && !address.empty()) return net::Endpoint(std::move(address), static_cast<uint16_t>(*port->integer()));
  }
  return std::nullopt;
}

}  // namespace

Result<net::Endpoint> resolve_service(const ResourceTable& table, const Store& store, const std::string& ns, const std::string& name, int64_t port) {
  const StoredPtr stored = store.get(*table.find("", "services"), ns, name);
  if (!stored) return fail(Code::kUnavailable, "service \"{}\" not found", name);
  const Value service = stored->value();
  const std::string type(service.text("spec.type"));
  if (type == "ExternalName") return net::Endpoint(std::string(service.text("spec.externalName")), static_cast<uint16_t>(port));
  const Value* ports = service.at("spec.ports");
  const Value* found = nullptr;
  for (size_t i = 0; ports != nullptr && ports->array() != nullptr && i < ports->array()->size(); ++i) {
    const Value& one = (*ports->array())[i];
    if (const Value* number = one.find("port"); number != nullptr && number->integer() == port) found = &one;
  }
  if (found == nullptr) return fail(Code::kUnavailable, "no service port {} found for service \"{}\"", port, name);
  if (auto endpoint = endpoint_of(table, store, ns, name, found->text("name"))) return *std::move(endpoint);
  const std::string ip(service.text("spec.clusterIP"));
  if (ip == "None") return fail(Code::kUnavailable, "cannot route to service with ClusterIP \"None\"");
  return net::Endpoint(ip, static_cast<uint16_t>(port));
}

class ClientManager::Client {
 public:
  std::unique_ptr<ServiceConnector> service;  // null: a URL
  std::unique_ptr<kube::HttpTransport> transport;
  std::string path;
  bool tells_timeout = true;
  Task<Result<std::string>> post(std::shared_ptr<Client> self, std::string address, std::string body, MonoTime now, MonoTime deadline);
};

// `self` keeps the connections until it has ended.
Task<Result<std::string>> ClientManager::Client::post(std::shared_ptr<Client>, std::string address, std::string body, MonoTime now, MonoTime deadline) {
  const std::string timeout = tells_timeout ? timeout_of(deadline - now) : "";
  kube::Request request("POST", path + timeout);
  request.accept = "application/json, */*";
  request.content_type = "application/json";
  request.body = std::move(body);
  request.deadline = deadline;
  request.repeatable = false;
  auto sending = transport->send(std::move(request));
  auto response = co_await std::move(sending);
  if (!response) {
    std::string_view why = response.error().message;
    if (why.starts_with(kOutcomeUnknown)) why.remove_prefix(kOutcomeUnknown.size());
    if (response.error().code == Code::kDeadlineExceeded) why = "context deadline exceeded";
    co_return fail(response.error().code, "Post \"{}{}\": {}", address, timeout, why);
  }
  if (response->status < 200 || response->status > 206) {
    const std::string said = server_error(response->status, response->content_type, response->body);
    co_return fail(Code::kUnavailable, "{}", said);
  }
  co_return std::move(response->body);
}

ClientManager::~ClientManager() = default;

Result<std::shared_ptr<ClientManager::Client>> ClientManager::client_of(const ClientConfig& config) {
  const std::string key = config.address() + "\n" + config.ca_bundle + (config.is_service() ? "\nservice" : "") + (config.tells_timeout ? "" : "\nconversion");
  if (const auto known = clients_.find(key); known != clients_.end()) {
    used_.splice(used_.begin(), used_, std::find(used_.begin(), used_.end(), key));
    return known->second;
  }
  kube::ConnectionConfig connection;
  GS_TRY(connection.server, kube::parse_server_url(config.address()));
  connection.server.path_prefix.clear();
  auto ca = base64_decode(config.ca_bundle);
  if (!ca) return fail(Code::kInvalid, "caBundle: illegal base64 data");
  if (!trim(*ca).empty()) connection.ca_pem = *std::move(ca);
  auto made = std::make_shared<Client>();
  made->path = path_of(config.address());
  made->tells_timeout = config.tells_timeout;
  net::Connector* below = &tcp_;
  if (config.is_service()) {
    made->service = std::make_unique<ServiceConnector>(table_, store_, tcp_, config);
    below = made->service.get();
  }
  kube::HttpTransportOptions options;
  options.dial_timeout = std::chrono::seconds(10);
  options.last_backoff = std::chrono::seconds(1);
  options.max_response = kMaxAnswer;
  options.max_http1_requests = 256;
  options.user_agent = "kube-apiserver-admission";
  const kube::ConnectorDeps deps(loop_, tls_, *below);
  GS_TRY(made->transport, kube::make_transport(deps, connection, nullptr, std::move(options)));
  if (clients_.size() >= kMaxClients) {
    clients_.erase(used_.back());
    used_.pop_back();
  }
  used_.push_front(key);
  clients_[key] = made;
  return made;
}

Task<Result<std::string>> ClientManager::post(ClientConfig config, std::string body, MonoTime deadline) {
  auto client = client_of(config);
  if (!client) co_return fail(std::move(client).error().with_context("could not get REST client"));
  auto posting = (*client)->post(*client, config.address(), std::move(body), loop_.now(), deadline);
  co_return co_await std::move(posting);
}

}  // namespace gs::apiserver::admission
