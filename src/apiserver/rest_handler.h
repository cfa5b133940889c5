// The HTTP face: reads a request as an API server does, checks who asks, and lets the registry, the
// lists or the watches answer. An HttpHandler for any HttpServer, real or simulated.
#pragma once

#include <set>
#include <string>

#include "apiserver/admission/admission.h"
#include "apiserver/authenticator.h"
#include "apiserver/conversion/conversion_memo.h"
#include "apiserver/authorization/authorizer.h"
#include "apiserver/faults.h"
#include "apiserver/lister.h"
#include "apiserver/registry.h"
#include "apiserver/service_account/tokens.h"
#include "apiserver/watch_hub.h"
#include "net/http.h"

namespace gs::apiserver {

struct RestStats {
  uint64_t requests = 0;
  uint64_t unauthorized = 0;
  uint64_t lists = 0;
  uint64_t watches = 0;
  uint64_t writes = 0;  // that were served, whatever came of them
};

class RestHandler final : public net::HttpHandler {
 public:
  // Told of each write that was served: what a simulation checks by. `answer` may never have reached
  // the client.
  class Observer {
   public:
    virtual void served(const RestRequest& request, const Answer& answer) = 0;

   protected:
    ~Observer() = default;
  };

  RestHandler(Loop& loop, ResourceTable& table, Store& store, WatchOptions watches);

  Task<void> handle(net::HttpExchange& exchange) override;
  // A request without HTTP, in one step; watches are refused. `user`: who asks; null: the server itself, who may everything.
  Answer ask(std::string_view method, std::string_view target, const std::string& body, std::string_view content_type, const UserInfo* user = nullptr);

  // Bearer tokens that are taken; empty: everybody may come. Changing them rotates.
  void set_tokens(std::set<std::string> tokens) { tokens_ = std::move(tokens); }
  // Who may come, in place of the tokens above. Outlives the handler.
  void set_authenticator(const Authenticator& authenticator) { authenticator_ = &authenticator; }
  // Who may do what; without it everybody may do everything. Outlives the handler.
  void set_authorizer(const Authorizer& authorizer) { authorizer_ = &authorizer; }
  // Tokens of service accounts; without them none are made or taken. Outlives the handler.
  void set_service_accounts(const ServiceAccountTokens& tokens) { service_accounts_ = &tokens; }
  // Who asks, on whose behalf, and that they may; else 401 or 403.
  Checked<UserInfo> admit(net::HttpExchange& exchange) const;
  // Outlives the handler.
  void set_faults(Faults& faults) { faults_ = &faults; }
  void set_observer(Observer* observer) { observer_ = observer; }
  // Webhooks are called by these from here on. Outlives the handler.
  void set_webhook_clients(admission::WebhookClients& clients);
  Registry& registry() { return registry_; }
  const RestStats& stats() const { return stats_; }
  size_t open_watches() const { return watches_.open(); }

 private:
  // What a request is about: it was read, and its type serves it.
  struct Route {
    RestRequest request;
    ResourceTypePtr type;
    UserInfo user;  // who asks
  };

  Checked<UserInfo> authenticate(net::HttpExchange& exchange) const;
  // 403 where the user may not; nullopt where they may.
  std::optional<Answer> refuses(const UserInfo& user, std::string_view method, std::string_view target) const;
  Checked<Route> route(std::string_view method, std::string_view target, std::string_view content_type) const;
  // 200, or why the type does not serve that.
  Answer check_served(const ResourceType& type, const RestRequest& request) const;
  Task<void> serve(net::HttpExchange& exchange, Route route, Representation as, RequestFault fault);
  // `memo` null: nothing of it takes a webhook to say.
  Task<void> send_parts(net::HttpExchange& exchange, Answer answer, conversion::ConverterPtr converter, conversion::Memo* memo);
  // Everything but watches, in one step. The body is JSON, but an apply's.
  Answer serve_now(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault);
  // The same as far as the user may.
  Answer serve_user(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault);
  // The two parts of it: what is done, and how the answer to it is shown.
  Answer act_as_user(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault);
  Answer act(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault);
  Answer present(const Route& route, const Representation& as, Answer answer);
  // The same where webhooks may be asked: about a write, or for other versions of custom resources.
  Task<Answer> serve_in_steps(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault, conversion::Memo* memo);
  Task<Answer> act_in_steps(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault, conversion::Memo* memo);
  Answer write(const Route& route, std::string_view body);
  Answer ask_review(const Route& route, std::string_view body) const;

  Loop& loop_;
  ResourceTable& table_;
  Store& store_;
  Registry registry_;
  Lister lister_;
  WatchHub watches_;
  std::set<std::string> tokens_;
  const Authenticator* authenticator_ = nullptr;  // null: tokens_
  const Authorizer* authorizer_ = nullptr;
  const ServiceAccountTokens* service_accounts_ = nullptr;
  NoFaults no_faults_;
  Faults* faults_ = &no_faults_;
  Observer* observer_ = nullptr;
  admission::WebhookClients* clients_ = nullptr;     // null: no webhook is ever called
  std::unique_ptr<admission::Admission> admission_;  // with clients_
  RestStats stats_;
};

}  // namespace gs::apiserver
