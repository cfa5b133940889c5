// ApiServer: one embedded cluster: its resources, objects, and HTTP face, put together. Give handler()
// to an HttpServer. Starts with the namespaces that every cluster has. Lives on one loop.
#pragma once

#include <string>

#include "apiserver/authorization/authorizer.h"
#include "apiserver/authorization/role_aggregation.h"
#include "apiserver/cluster_objects.h"
#include "apiserver/custom_resource_definitions.h"
#include "apiserver/event_expiry.h"
#include "apiserver/garbage_collector.h"
#include "apiserver/namespace_controller.h"
#include "apiserver/persistence/revision_journal.h"
#include "apiserver/rest_handler.h"

namespace gs::apiserver {

struct ApiServerOptions {
  HistoryLimits history;
  // Objects are kept in a file; in memory only where it is absent. Needs open().
  std::optional<JournalOptions> persistence;
  WatchOptions watches;
  Duration garbage_period{0};  // how long after a change garbage is collected by owner reference; zero: never
  Duration event_ttl = std::chrono::hours(1);
  ClusterObjectsOptions objects;
  // Empty: everybody may do everything.
  std::vector<AuthorizationMode> authorization;
  // Of service accounts' tokens; null: there are none.
  std::shared_ptr<const ServiceAccountKeys> service_account_keys;
};

class ApiServer {
 public:
  explicit ApiServer(Loop& loop, ApiServerOptions options = {});
  // With what its file holds. Blocks. Errors, in words, of a file that cannot be used: RevisionJournal::open().
  static Result<std::unique_ptr<ApiServer>> open(Loop& loop, ApiServerOptions options);

  RestHandler& handler() { return handler_; }
  ResourceTable& table() { return table_; }
  Store& store() { return store_; }
  // What custom resource definitions ask for is served from here on, without the moment that clients are made to wait.
  void serve_definitions() { crds_.sync(); }
  // Null in memory.
  RevisionJournal* journal() { return journal_.get(); }

  // Requests without HTTP, for preloading and for tests: nobody asks whether they may. `target` as in a URL.
  Answer request(const std::string& method, const std::string& target, const std::string& body = {}, const std::string& content_type = "application/json");
  // The same for a user, as far as they may.
  Answer request_as(const UserInfo& user, const std::string& method, const std::string& target, const std::string& body = {}, const std::string& content_type = "application/json");
  // Creates an object at its place; CHECKs that it could be.
  void preload(const ResourceType& type, const std::string& ns, const std::string& json);
  void add_namespace(const std::string& name);

 private:
  struct Begun {};
  ApiServer(Loop& loop, const ApiServerOptions& options, Begun);
  // Once the store has what there was.
  void begin(const ApiServerOptions& options);

  Loop& loop_;
  ResourceTable table_;
  Store store_;
  std::unique_ptr<RevisionJournal> journal_;
  RestHandler handler_;
  NamespaceController namespaces_;
  GarbageCollector garbage_;
  EventExpiry events_;
  ClusterObjects objects_;
  CustomResourceDefinitions crds_;
  // What there is where not everybody may do everything.
  struct Authorization {
    Authorization(Loop& loop, ResourceTable& table, Store& store, Registry& registry, const std::vector<AuthorizationMode>& modes)
        : rbac(table, store, registry), aggregation(loop, table, store, registry), authorizer(modes, rbac) {}
    Rbac rbac;
    RoleAggregation aggregation;
    Authorizer authorizer;
  };
  std::unique_ptr<Authorization> authorization_;
  std::unique_ptr<ServiceAccountTokens> service_accounts_;
};

}  // namespace gs::apiserver
