// Services that webhook configurations of one cluster name, made to lead to the plane: of type ExternalName, or without a
// selector and with an EndpointSlice. A Service with a selector is somebody else's and is not touched. Shared by the
// Webhooks of the cluster; given back when the last of them leaves. Lives on the cluster's loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "cache/informer.h"
#include "json/value.h"
#include "kube/transport.h"
#include "webhook/configuration.h"

namespace gs::webhook {

enum class ServiceMode { kExternalName, kEndpointSlice };

// Where Services lead to: --webhook-url's host and port.
struct ServiceEndpoint {
  ServiceMode mode = ServiceMode::kExternalName;
  std::string host;
  int64_t port = 443;
};

// On a Service that we made ("created"), or that was there without a selector: its former spec as JSON.
inline constexpr const char* kServiceAnnotation = "gulfstream.dev/webhook-service";

// Pure. What is to be written for a Service as it is (null: there is none).
struct ServicePlan {
  json::Value create;  // a body to POST, or
  json::Value patch;   // a merge patch; both null: it is as it should be
};
// kForbidden: it has a selector.
Result<ServicePlan> plan_service(const ServiceRef& service, const json::Value& present, const ServiceEndpoint& endpoint);
// The slice of a Service. `present` null: there is none.
ServicePlan plan_slice(const ServiceRef& service, const json::Value& present, const ServiceEndpoint& endpoint);
std::string slice_name(const ServiceRef& service);
// What gives it back: null and false where it is not ours; a merge patch, or true where it is to be deleted.
std::pair<json::Value, bool> release_service(const json::Value& present);

class Services {
 public:
  static constexpr Duration kTimeout = std::chrono::seconds(30);

  Services(Loop& loop, kube::KubeTransport& transport, cache::InformerSet& informers, ServiceEndpoint endpoint);
  ~Services();

  // `changed` is called when a Service of this user may have changed; until leave_all(). Makes it lead to the plane, where
  // `write`. kUnavailable: it is not known yet; kForbidden: somebody else's, or no right to it; kNotFound: no such namespace.
  Task<Status> lead(std::string user, ServiceRef service, bool write, std::function<void()> changed);
  // The user has no more to do with Services; those of nobody are given back.
  Task<Status> leave(std::string user);
  // The same without writing anything.
  void forget(const std::string& user);

 private:
  class Watched;
  struct Led;
  Task<Status> write(cache::GroupVersionResource resource, ServiceRef service, std::string name, ServicePlan plan);
  Task<Status> remove(cache::GroupVersionResource resource, std::string ns, std::string name, std::string uid);
  Task<Status> give_back(Led& led);
  Task<Status> send(kube::Request request);

  Loop& loop_;
  kube::KubeTransport& transport_;
  cache::InformerSet& informers_;
  ServiceEndpoint endpoint_;
  std::map<std::string, std::unique_ptr<Led>> led_;  // by namespace/name
};

}  // namespace gs::webhook
