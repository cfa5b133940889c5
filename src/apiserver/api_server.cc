#include "apiserver/api_server.h"

#include <fmt/format.h>

#include "apiserver/authorization/bootstrap_policy.h"
#include "base/check.h"

namespace gs::apiserver {

ApiServer::ApiServer(Loop& loop, const ApiServerOptions& options, Begun)
    : loop_(loop),
      store_(loop, options.history),
      handler_(loop, table_, store_, options.watches),
      namespaces_(loop, table_, store_, handler_.registry()),
      garbage_(loop, table_, store_, handler_.registry()),
      events_(loop, table_, store_, handler_.registry(), options.event_ttl),
      objects_(loop, table_, store_, handler_.registry(), options.objects),
      crds_(loop, table_, store_, handler_.registry()) {}

ApiServer::ApiServer(Loop& loop, ApiServerOptions options) : ApiServer(loop, options, Begun()) {
  GS_CHECK(!options.persistence);
  begin(options);
}

Result<std::unique_ptr<ApiServer>> ApiServer::open(Loop& loop, ApiServerOptions options) {
  std::unique_ptr<ApiServer> out(new ApiServer(loop, options, Begun()));
  if (options.persistence) {
    GS_TRY(out->journal_, RevisionJournal::open(loop, out->store_, *options.persistence));
  }
  out->begin(options);
  return out;
}

void ApiServer::begin(const ApiServerOptions& options) {
  crds_.start();
  if (options.garbage_period > Duration::zero()) garbage_.start(options.garbage_period);
  namespaces_.start();
  events_.start();
  objects_.start();
  if (options.service_account_keys) {
    service_accounts_ = std::make_unique<ServiceAccountTokens>(loop_, table_, store_, options.service_account_keys);
    handler_.set_service_accounts(*service_accounts_);
  }
  if (allows_everything(options.authorization)) return;
  authorization_ = std::make_unique<Authorization>(loop_, table_, store_, handler_.registry(), options.authorization);
  authorization_->rbac.start();
  ensure_bootstrap_policy(table_, store_, handler_.registry());
  authorization_->aggregation.start();
  handler_.set_authorizer(authorization_->authorizer);
}

void ApiServer::add_namespace(const std::string& name) {
  preload(*table_.find("", "namespaces"), "", fmt::format(R"({{"metadata":{{"name":"{}"}}}})", name));
}

void ApiServer::preload(const ResourceType& type, const std::string& ns, const std::string& json) {
  RestRequest request;
  request.verb = gateway::Verb::kCreate;
  request.group = type.group;
  request.version = type.version;
  request.resource = type.resource;
  request.ns = ns;
  const Answer answer = handler_.registry().create(type, request, json);
  GS_CHECK(answer.status == 201);
}

Answer ApiServer::request(const std::string& method, const std::string& target, const std::string& body, const std::string& content_type) {
  return handler_.ask(method, target, body, content_type);
}

Answer ApiServer::request_as(const UserInfo& user, const std::string& method, const std::string& target, const std::string& body, const std::string& content_type) {
  return handler_.ask(method, target, body, content_type, &user);
}

}  // namespace gs::apiserver
