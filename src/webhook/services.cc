#include "webhook/services.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "net/cidr.h"

namespace gs::webhook {
namespace {

using json::Value;

const cache::GroupVersionResource kServices("", "v1", "services");
const cache::GroupVersionResource kSlices("discovery.k8s.io", "v1", "endpointslices");
constexpr const char* kCreated = "created";
// What of a Service's spec is ours, and is given back.
constexpr const char* kSpecMembers[] = {"type", "externalName", "ports"};

std::string_view annotation_of(const Value& object) {
  const Value* annotations = object.at("metadata.annotations");
  const Value* ours = annotations != nullptr ? annotations->find(kServiceAnnotation) : nullptr;
  return ours != nullptr && ours->string() != nullptr ? std::string_view(*ours->string()) : std::string_view();
}

bool has_selector(const Value& service) {
  const Value* selector = service.at("spec.selector");
  return selector != nullptr && selector->is_object() && !selector->object()->empty();
}

Value ports_of(const ServiceRef& service, const ServiceEndpoint& endpoint) {
  Value port;
  port["port"] = service.port;
  port["protocol"] = "TCP";
  if (endpoint.mode == ServiceMode::kEndpointSlice) port["targetPort"] = endpoint.port;
  return json::Array{port};
}

// Whether one of its ports is the wanted one; others may be there.
bool has_port(const Value& present, const ServiceRef& service) {
  const Value* ports = present.at("spec.ports");
  if (ports == nullptr || !ports->is_array()) return false;
  return std::any_of(ports->array()->begin(), ports->array()->end(), [&](const Value& port) {
    const Value* number = port.find("port");
    return number != nullptr && number->integer() == service.port;
  });
}

Value former_spec(const Value& present) {
  Value out;
  out.make_object();
  for (const char* member : kSpecMembers) {
    const Value* value = present.at(std::string("spec.") + member);
    if (value != nullptr) out[member] = *value;
  }
  return out;
}

Value new_object(const char* api_version, const char* kind, const std::string& ns, const std::string& name) {
  Value out;
  out["apiVersion"] = api_version;
  out["kind"] = kind;
  out["metadata"]["namespace"] = ns;
  out["metadata"]["name"] = name;
  out["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "gulfstream";
  out["metadata"]["annotations"][kServiceAnnotation] = kCreated;
  return out;
}

Value value_of(const kube::ObjectRef& object) {
  if (!object) return {};
  auto value = json::parse(object->json());
  return value ? *std::move(value) : Value();
}

}  // namespace

Result<ServicePlan> plan_service(const ServiceRef& service, const Value& present, const ServiceEndpoint& endpoint) {
  ServicePlan out;
  const bool external = endpoint.mode == ServiceMode::kExternalName;
  Value spec;
  spec["ports"] = ports_of(service, endpoint);
  if (external) {
    spec["type"] = "ExternalName";
    spec["externalName"] = endpoint.host;
  }
  if (present.is_null()) {
    out.create = new_object("v1", "Service", service.ns, service.name);
    out.create["spec"] = std::move(spec);
    return out;
  }
  if (has_selector(present)) {
    return fail(Code::kForbidden, "Service {}: has a selector, so it is somebody else's; delete it, name another one in the configuration, or use a url", service.key());
  }
  const bool is_external = present.text("spec.type") == "ExternalName";
  const bool good = external ? is_external && present.text("spec.externalName") == endpoint.host : !is_external;
  if (good && has_port(present, service)) return out;
  if (!external) {
    spec["type"] = "ClusterIP";
    spec["externalName"] = Value();
  } else if (!is_external) {
    for (const char* allocated : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"}) spec[allocated] = Value();
  }
  out.patch["metadata"]["resourceVersion"] = std::string(present.text("metadata.resourceVersion"));
  if (annotation_of(present).empty()) out.patch["metadata"]["annotations"][kServiceAnnotation] = former_spec(present).dump();
  out.patch["spec"] = std::move(spec);
  return out;
}

std::string slice_name(const ServiceRef& service) { return service.name + "-gulfstream"; }

ServicePlan plan_slice(const ServiceRef& service, const Value& present, const ServiceEndpoint& endpoint) {
  ServicePlan out;
  Value wanted = new_object("discovery.k8s.io/v1", "EndpointSlice", service.ns, slice_name(service));
  wanted["metadata"]["labels"]["kubernetes.io/service-name"] = service.name;
  wanted["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "gulfstream.dev";
  wanted["addressType"] = endpoint.host.find(':') == std::string::npos ? "IPv4" : "IPv6";
  Value port;
  port["port"] = endpoint.port;
  port["protocol"] = "TCP";
  port["name"] = "";
  wanted["ports"] = json::Array{port};
  Value one;
  one["addresses"] = json::Array{endpoint.host};
  one["conditions"]["ready"] = true;
  wanted["endpoints"] = json::Array{one};
  if (present.is_null()) {
    out.create = std::move(wanted);
    return out;
  }
  const Value* address = present.pointer("/endpoints/0/addresses/0");
  const Value* number = present.pointer("/ports/0/port");
  const bool good = address != nullptr && address->string() != nullptr && *address->string() == endpoint.host && number != nullptr &&
                    number->integer() == endpoint.port && present.at("metadata.labels") != nullptr &&
                    present.at("metadata.labels")->find("kubernetes.io/service-name") != nullptr;
  if (good) return out;
  out.patch["metadata"]["resourceVersion"] = std::string(present.text("metadata.resourceVersion"));
  out.patch["metadata"]["labels"] = wanted["metadata"]["labels"];
  out.patch["ports"] = wanted["ports"];
  out.patch["endpoints"] = wanted["endpoints"];
  return out;
}

std::pair<Value, bool> release_service(const Value& present) {
  const std::string_view ours = annotation_of(present);
  if (ours.empty()) return {Value(), false};
  if (ours == kCreated) return {Value(), true};
  auto former = json::parse(ours);
  if (!former || !former->is_object()) return {Value(), true};
  Value patch;
  patch["metadata"]["resourceVersion"] = std::string(present.text("metadata.resourceVersion"));
  patch["metadata"]["annotations"][kServiceAnnotation] = Value();
  for (const char* member : kSpecMembers) {
    const Value* value = former->find(member);
    patch["spec"][member] = value != nullptr ? *value : Value();
  }
  return {std::move(patch), false};
}

// One object that we look after; tells its users of changes.
class Services::Watched final : public cache::InformerHandler {
 public:
  Watched(cache::InformerSet& informers, const cache::GroupVersionResource& resource, std::string ns, std::string name, std::function<void()> changed)
      : ns_(std::move(ns)), name_(std::move(name)), changed_(std::move(changed)) {
    cache::InformerKey key;
    key.resource = resource;
    key.ns = ns_;
    key.field_selector = "metadata.name=" + name_;
    handle_ = informers.acquire(key, *this);
  }
  void on_added(const kube::ObjectRef&, bool) override { changed_(); }
  void on_updated(const kube::ObjectRef&, const kube::ObjectRef&) override { changed_(); }
  void on_deleted(const kube::ObjectRef&, bool) override { changed_(); }
  void on_synced() override { changed_(); }
  void on_health(cache::Health, const std::string&) override { changed_(); }

  // kUnavailable or kForbidden: it is not known.
  Result<Value> present() {
    if (handle_->synced()) return value_of(handle_->store().get(ns_, name_));
    const bool parked = handle_->health() == cache::Health::kForbidden || handle_->health() == cache::Health::kMissing;
    if (parked) handle_->kick();
    const std::string reason = handle_->reason().empty() ? "is not read yet" : handle_->reason();
    return fail(parked ? Code::kForbidden : Code::kUnavailable, "{} {}/{}: {}", handle_->key().resource.resource, ns_, name_, reason);
  }

 private:
  std::string ns_, name_;
  std::function<void()> changed_;
  cache::InformerHandle handle_;
};

struct Services::Led {
  ServiceRef service;
  std::map<std::string, std::function<void()>> users;
  bool busy = false;  // is being given back
  struct Busy {
    explicit Busy(Led& l) : led(l) { led.busy = true; }
    ~Busy() { led.busy = false; }
    Led& led;
  };
  std::unique_ptr<Watched> object, slice;
  void tell() const {
    for (const auto& [name, changed] : users) changed();
  }
};

Services::Services(Loop& loop, kube::KubeTransport& transport, cache::InformerSet& informers, ServiceEndpoint endpoint)
    : loop_(loop), transport_(transport), informers_(informers), endpoint_(std::move(endpoint)) {}

Services::~Services() = default;

Task<Status> Services::lead(std::string user, ServiceRef service, bool write_it, std::function<void()> changed) {
  // The plane's own: an agent's, with a selector of its Pods.
  if (service.host() == endpoint_.host) co_return ok();
  std::unique_ptr<Led>& led = led_[service.key()];
  if (!led) {
    led = std::make_unique<Led>();
    const auto tell = [raw = led.get()] { raw->tell(); };
    led->object = std::make_unique<Watched>(informers_, kServices, service.ns, service.name, tell);
    if (endpoint_.mode == ServiceMode::kEndpointSlice) led->slice = std::make_unique<Watched>(informers_, kSlices, service.ns, slice_name(service), tell);
  }
  led->service = service;
  led->users[user] = std::move(changed);
  if (!write_it) co_return ok();
  auto present = led->object->present();
  if (!present) co_return fail(std::move(present).error());
  auto plan = plan_service(service, *present, endpoint_);
  if (!plan) co_return fail(std::move(plan).error());
  auto writing = write(kServices, service, service.name, *std::move(plan));
  const Status written = co_await writing;
  if (!written) co_return written;
  const auto still = led_.find(service.key());
  if (still == led_.end() || !still->second->slice) co_return ok();
  auto slice = still->second->slice->present();
  if (!slice) co_return fail(std::move(slice).error());
  auto writing_slice = write(kSlices, service, slice_name(service), plan_slice(service, *slice, endpoint_));
  co_return co_await writing_slice;
}

Task<Status> Services::write(cache::GroupVersionResource resource, ServiceRef service, std::string name, ServicePlan plan) {
  if (plan.create.is_null() && plan.patch.is_null()) co_return ok();
  const bool create = !plan.create.is_null();
  const std::string collection = resource.collection_path(service.ns);
  kube::Request request(create ? "POST" : "PATCH", (create ? collection : collection + "/" + name) + "?fieldManager=gulfstream");
  request.content_type = create ? "application/json" : "application/merge-patch+json";
  request.body = create ? plan.create.dump() : plan.patch.dump();
  auto sending = send(std::move(request));
  const Status sent = co_await sending;
  if (sent) {
    log::info("a Service leads to the plane", {{"service", service.key()}, {"written", resource.resource}});
    co_return ok();
  }
  // What is there now comes by the watch.
  if (sent.error().code == Code::kAlreadyExists || sent.error().code == Code::kConflict) co_return fail(Code::kConflict, "Service {}: {}", service.key(), sent.error().message);
  co_return fail(Error(sent.error()).with_context(fmt::format("Service {}", service.key())));
}

Task<Status> Services::send(kube::Request request) {
  request.deadline = saturating_add(loop_.now(), kTimeout);
  request.repeatable = false;
  auto sending = transport_.send(std::move(request));
  auto response = co_await sending;
  if (!response) co_return fail(std::move(response).error());
  if (response->status / 100 != 2) co_return fail(kube::status_error(response->status, response->body, response->retry_after, loop_.wall_now()));
  co_return ok();
}

void Services::forget(const std::string& user) {
  for (auto& [key, led] : led_) led->users.erase(user);
  std::erase_if(led_, [](const auto& entry) { return entry.second->users.empty() && !entry.second->busy; });
}

Task<Status> Services::leave(std::string user) {
  while (true) {
    const auto mine = std::find_if(led_.begin(), led_.end(), [&](const auto& entry) { return entry.second->users.contains(user); });
    if (mine == led_.end()) co_return ok();
    Led& led = *mine->second;
    if (led.users.size() > 1 || led.busy) {
      led.users.erase(user);
      continue;
    }
    const std::string key = led.service.key();
    {
      const Led::Busy busy(led);
      auto giving = give_back(led);
      const Status given = co_await giving;
      if (!given) co_return given;
    }
    led.users.erase(user);
    if (led.users.empty()) led_.erase(key);
  }
}

Task<Status> Services::give_back(Led& led) {
  const ServiceRef service = led.service;
  if (led.slice) {
    auto slice = led.slice->present();
    if (slice && !slice->is_null()) {
      auto removing = remove(kSlices, service.ns, slice_name(service), std::string(slice->text("metadata.uid")));
      const Status removed = co_await removing;
      if (!removed) co_return removed;
    }
  }
  auto present = led.object->present();
  if (!present) co_return fail(std::move(present).error());
  if (present->is_null()) co_return ok();
  auto [patch, gone] = release_service(*present);
  if (gone) {
    auto removing = remove(kServices, service.ns, service.name, std::string(present->text("metadata.uid")));
    co_return co_await removing;
  }
  if (patch.is_null()) co_return ok();
  kube::Request request("PATCH", kServices.collection_path(service.ns) + "/" + service.name + "?fieldManager=gulfstream");
  request.content_type = "application/merge-patch+json";
  request.body = patch.dump();
  auto sending = send(std::move(request));
  co_return co_await sending;
}

Task<Status> Services::remove(cache::GroupVersionResource resource, std::string ns, std::string name, std::string uid) {
  kube::Request request("DELETE", resource.collection_path(ns) + "/" + name);
  Value options;
  options["apiVersion"] = "v1";
  options["kind"] = "DeleteOptions";
  options["preconditions"]["uid"] = uid;
  request.content_type = "application/json";
  request.body = options.dump();
  auto sending = send(std::move(request));
  const Status sent = co_await sending;
  if (!sent && sent.error().code != Code::kNotFound) co_return sent;
  co_return ok();
}

}  // namespace gs::webhook
