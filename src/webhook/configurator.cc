#include "webhook/configurator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace gs::webhook {
namespace {

using json::Value;

std::string reason_of(const Error& error) {
  switch (error.code) {
    case Code::kForbidden: return "Forbidden";
    case Code::kUnauthorized: return "Unauthorized";
    case Code::kNotFound: return "NotFound";
    case Code::kConflict: return "Conflict";
    case Code::kInvalid: return "ConfigurationInvalid";
    case Code::kUnavailable:
    case Code::kDeadlineExceeded: return "Unreachable";
    default: return "WriteFailed";
  }
}

bool older(std::string_view version, const std::string& than) {
  if (than.empty()) return false;
  const kube::VersionOrder order = kube::compare_versions(version, than);
  return order.comparable && order.order < 0;
}

}  // namespace

// What one look over all configurations finds.
struct Configurator::Pass {
  ConfiguratorState state;
  bool in_step = true;  // all carry what they should
  std::optional<MonoTime> again;

  void trouble(std::string reason, std::string message) {
    if (!state.reason.empty()) return;
    state.reason = std::move(reason);
    state.message = std::move(message);
  }
  void retry_at(MonoTime time) { again = again ? std::min(*again, time) : time; }
};

Configurator::Configurator(Deps deps, ConfiguratorOptions options, Observer& observer)
    : deps_(deps), options_(std::move(options)), observer_(observer), wake_(deps.loop), scope_(deps.loop) {
  if (options_.user.empty()) options_.user = options_.webhook;
  cache::InformerKey key;
  key.resource = resource_of(options_.ref.kind);
  key.label_selector = options_.ref.label_selector;
  if (!options_.ref.name.empty()) key.field_selector = "metadata.name=" + options_.ref.name;
  state_.reason = "Syncing";
  state_.message = "the configurations are not read yet";
  handle_ = deps_.informers.acquire(key, *this);
  scope_.spawn(run());
}

Configurator::~Configurator() {
  scope_.cancel();
  deps_.services.forget(options_.user);
}

void Configurator::adopt(std::shared_ptr<const Material> material, bool write) {
  if (material == material_ && write == write_) return;
  material_ = std::move(material);
  write_ = write;
  wake_.set();
}

void Configurator::release(OnDelete how) {
  if (releasing_ && how == how_) return;
  releasing_ = true;
  how_ = how;
  wake_.set();
}

void Configurator::on_deleted(const kube::ObjectRef& last, bool) {
  // With a selector it may only have left the selection.
  if (!options_.ref.label_selector.empty()) strays_.emplace(last->name());
  wake_.set();
}

std::vector<kube::ObjectRef> Configurator::objects() const {
  std::vector<kube::ObjectRef> out;
  handle_->store().for_each({}, [&](const kube::ObjectRef& object) { out.push_back(object); });
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a->name() < b->name(); });
  return out;
}

Task<void> Configurator::run() {
  co_await yield_turn(deps_.loop);
  while (true) {
    wake_.clear();
    Pass pass;
    auto looking = releasing_ ? release_all(pass) : configure_all(pass);
    co_await looking;
    const bool changed = !(pass.state == state_);
    state_ = std::move(pass.state);
    if (changed) observer_.configurator_changed();
    const MonoTime until = pass.again.value_or(kNoDeadline);
    co_await wake_.wait(until);
  }
}

// True: the configurations are not known, which is said.
bool Configurator::not_synced(Pass& pass) {
  const cache::Health health = handle_->health();
  const std::string resource = handle_->key().resource.to_string();
  if (health == cache::Health::kForbidden || health == cache::Health::kMissing) {
    pass.trouble(health == cache::Health::kForbidden ? "Forbidden" : "ResourceMissing", resource + ": " + handle_->reason());
    pass.retry_at(saturating_add(deps_.loop.now(), deps_.loop.random().jitter(kRetry, 1.0)));
    handle_->kick();
  } else if (!handle_->synced()) {
    const bool down = health == cache::Health::kRetrying;
    pass.trouble(down ? "Unreachable" : "Syncing", resource + ": " + (handle_->reason().empty() ? "is not read yet" : handle_->reason()));
  }
  pass.state.synced = handle_->synced();
  return !pass.state.synced;
}

Endpoint Configurator::endpoint() const {
  Endpoint out;
  out.webhook = options_.webhook;
  out.base = options_.plane.base;
  out.host = options_.plane.host;
  out.port = options_.plane.port;
  out.path = path_of(options_.ref.kind, options_.webhook);
  if (options_.plane.prefixes) out.path = "/" + material_->issued_prefix(options_.cluster_uid) + out.path;
  out.ca_bundle = material_->bundle;
  out.keep_service_port = options_.plane.services == ServiceMode::kEndpointSlice;
  out.timeout_seconds = options_.timeout_seconds;
  return out;
}

Task<void> Configurator::configure_all(Pass& pass) {
  const bool unknown = not_synced(pass);
  if (unknown) co_return;
  if (!material_) {
    pass.trouble("CertificateNotReady", "there are no certificates yet");
    co_return;
  }
  const std::vector<kube::ObjectRef> all = objects();
  const uint64_t revision = material_->revision;
  pass.state.configurations = all.size();
  for (const kube::ObjectRef& object : all) {
    auto configuring = configure(pass, object);
    co_await configuring;
  }
  auto releasing = release_strays(pass);
  co_await releasing;
  if (all.empty()) {
    const std::string what = options_.ref.name.empty() ? "with the labels " + options_.ref.label_selector : "\"" + options_.ref.name + "\"";
    pass.trouble("ConfigurationMissing", fmt::format("there is no {} {}", kind_name(options_.ref.kind), what));
  }
  std::erase_if(known_, [&](const auto& entry) { return std::none_of(all.begin(), all.end(), [&](const auto& o) { return o->name() == entry.first; }); });
  if (pass.in_step && material_ && material_->revision == revision) pass.state.carried = revision;
  // Written a moment ago and not seen yet, or not by us.
  if (!pass.in_step && pass.state.reason.empty()) pass.trouble("Configuring", "not every configuration leads to the plane yet");
}

// Whether somebody who keeps changing it is given time.
bool Configurator::mending_waits(Pass& pass, Known& known) {
  const MonoTime now = deps_.loop.now();
  if (known.material != material_->revision) return false;  // it is we who changed
  if (now - known.mended_at > kPeace) known.patience = kFirstPatience;
  if (now >= known.not_before) return false;
  pass.trouble("Contended", fmt::format("somebody keeps changing it back; it is mended again within {}", format_go_duration(kLastPatience)));
  pass.retry_at(known.not_before);
  return true;
}

Task<void> Configurator::configure(Pass& pass, kube::ObjectRef object) {
  const std::string name(object->name());
  pass.state.identity += fmt::format("{}:{};", object->uid(), object->generation());
  const auto value = json::parse(object->json());
  if (!value) co_return pass.trouble("ConfigurationInvalid", value.error().message);
  auto plan = plan_configuration(options_.ref.kind, *value, endpoint());
  if (!plan) {
    pass.trouble(plan.error().code == Code::kForbidden ? "Refused" : reason_of(plan.error()), fmt::format("{} {}: {}", kind_name(options_.ref.kind), name, plan.error().message));
    co_return;
  }
  if (plan->timeout_seconds) pass.state.timeout_seconds = std::min(*plan->timeout_seconds, pass.state.timeout_seconds.value_or(*plan->timeout_seconds));
  Known& known = known_[name];
  const bool stale = older(object->resource_version(), known.written_version) || object->resource_version() == known.failed_version;
  auto leading = lead_services(pass, plan->services);
  const Status led = co_await leading;
  if (plan->patch.is_null()) {
    known.material = material_->revision;
    co_return;
  }
  pass.in_step = false;
  if (!write_ || object->deleting() || stale || !led) co_return;
  const bool drift = plan->drift && known.material == material_->revision;
  const bool waits = mending_waits(pass, known);
  if (waits) co_return;
  const std::string changes = join(plan->changes, ", ");
  const uint64_t revision = material_->revision;
  auto patching = patch(name, std::move(plan->patch));
  const Status patched = co_await patching;
  Known& after = known_[name];
  if (!patched) {
    // Somebody was quicker: what it made of it comes by the watch.
    if (patched.error().code == Code::kConflict) after.failed_version = object->resource_version();
    if (patched.error().code != Code::kConflict) pass.trouble(reason_of(patched.error()), fmt::format("{} {}: {}", kind_name(options_.ref.kind), name, patched.error().message));
    pass.retry_at(saturating_add(deps_.loop.now(), deps_.loop.random().jitter(kRetry, 1.0)));
    if (patched.error().code != Code::kConflict) after.failed_version.clear();
    co_return;
  }
  after.material = revision;
  log::info("a configuration leads to the plane", {{"webhook", options_.webhook}, {"kind", kind_name(options_.ref.kind)}, {"name", name}, {"changed", changes}});
  if (!drift) co_return;
  ++drifts_;
  after.mended_at = deps_.loop.now();
  after.not_before = saturating_add(deps_.loop.now(), after.patience);
  after.patience = std::min(after.patience * 2, kLastPatience);
  observer_.drift_mended(object, changes);
}

// Services must lead to the plane, and the certificate have their names, before a configuration is written.
Task<Status> Configurator::lead_services(Pass& pass, std::vector<ServiceRef> services) {
  for (const ServiceRef& service : services) {
    pass.state.services.insert(service.host());
    std::function<void()> changed = [this] { wake_.set(); };
    auto leading = deps_.services.lead(options_.user, service, write_, std::move(changed));
    const Status led = co_await leading;
    if (!led) {
      const bool soon = led.error().code == Code::kUnavailable || led.error().code == Code::kConflict;
      pass.trouble(soon ? "Syncing" : led.error().code == Code::kForbidden ? "ServiceRefused" : "ServiceFailed", led.error().message);
      pass.retry_at(saturating_add(deps_.loop.now(), deps_.loop.random().jitter(kRetry, 1.0)));
      co_return led;
    }
    if (!covers(material_->names, service.host())) {
      pass.trouble("CertificateNotReady", fmt::format("the serving certificate is not for {} yet", service.host()));
      co_return fail(Code::kUnavailable, "certificate");
    }
  }
  // By url it is the host itself.
  if (services.empty() && !covers(material_->names, options_.plane.host)) {
    pass.trouble("CertificateNotReady", fmt::format("the serving certificate is not for {}, the host of --webhook-url", options_.plane.host));
    co_return fail(Code::kUnavailable, "certificate");
  }
  co_return ok();
}

Task<Status> Configurator::patch(std::string name, Value patch) {
  kube::Request request("PATCH", resource_of(options_.ref.kind).collection_path("") + "/" + name + "?fieldManager=gulfstream");
  request.content_type = "application/json-patch+json";
  request.body = patch.dump();
  request.deadline = saturating_add(deps_.loop.now(), kTimeout);
  request.repeatable = false;
  auto sending = deps_.transport.send(std::move(request));
  auto response = co_await sending;
  if (!response) co_return fail(std::move(response).error());
  if (response->status / 100 != 2) co_return fail(kube::status_error(response->status, response->body, response->retry_after, deps_.loop.wall_now()));
  ++writes_;
  auto written = kube::Object::parse(response->body);
  if (written) known_[name].written_version = (*written)->resource_version();
  co_return ok();
}

Task<void> Configurator::release_all(Pass& pass) {
  const bool unknown = not_synced(pass);
  if (unknown) co_return;
  const std::vector<kube::ObjectRef> all = objects();
  pass.state.released = true;
  for (const kube::ObjectRef& object : all) {
    auto value = json::parse(object->json());
    if (!value || object->deleting()) continue;
    const bool stale = older(object->resource_version(), known_[std::string(object->name())].written_version);
    if (stale) {
      pass.state.released = false;
      continue;
    }
    auto releasing = release_one(pass, std::string(object->name()), *std::move(value));
    co_await releasing;
  }
  auto strays = release_strays(pass);
  co_await strays;
  if (!pass.state.released) co_return;
  auto leaving = deps_.services.leave(options_.user);
  const Status left = co_await leaving;
  if (left) co_return;
  pass.state.released = false;
  pass.trouble("ServiceFailed", left.error().message);
  pass.retry_at(saturating_add(deps_.loop.now(), deps_.loop.random().jitter(kRetry, 1.0)));
}

// The former endpoint is given back where it answers: a dead one under failurePolicy Fail would lock the cluster.
Task<void> Configurator::release_one(Pass& pass, std::string name, Value configuration) {
  if (owner_of(configuration) != options_.webhook) co_return;
  OnDelete how = how_;
  if (how == OnDelete::kAsk) {
    how = OnDelete::kRestore;
    for (const PreviousEndpoint& endpoint : previous_endpoints(options_.ref.kind, configuration)) {
      auto probing = probe(endpoint);
      const Status answers = co_await probing;
      if (answers) continue;
      pass.state.released = false;
      pass.trouble("FormerEndpointDead",
                   fmt::format("{} {}: the former endpoint of {} does not answer ({}); annotate the Webhook with gulfstream.dev/on-delete: Restore to give it back all "
                               "the same, or RemoveWebhook to take the webhook out of the configuration",
                               kind_name(options_.ref.kind), name, endpoint.entry, answers.error().message));
      pass.retry_at(saturating_add(deps_.loop.now(), deps_.loop.random().jitter(kRetry * 3, 1.0)));
      co_return;
    }
  }
  auto patching = patch(name, release_patch(options_.ref.kind, configuration, options_.webhook, how));
  const Status patched = co_await patching;
  if (patched) {
    log::info("a configuration is given back", {{"webhook", options_.webhook}, {"kind", kind_name(options_.ref.kind)}, {"name", name}});
    co_return;
  }
  if (patched.error().code == Code::kNotFound) co_return;
  pass.state.released = false;
  pass.retry_at(saturating_add(deps_.loop.now(), patched.error().code == Code::kConflict ? kFirstPatience : deps_.loop.random().jitter(kRetry, 1.0)));
  if (patched.error().code != Code::kConflict) pass.trouble(reason_of(patched.error()), fmt::format("{} {}: {}", kind_name(options_.ref.kind), name, patched.error().message));
}

// Those that were meant and are not any more, though they are there.
Task<void> Configurator::release_strays(Pass& pass) {
  if (!write_) co_return;
  const std::set<std::string> strays = strays_;
  for (const std::string& name : strays) {
    kube::Request request("GET", resource_of(options_.ref.kind).collection_path("") + "/" + name);
    request.deadline = saturating_add(deps_.loop.now(), kTimeout);
    auto sending = deps_.transport.send(std::move(request));
    auto response = co_await sending;
    const bool gone = response && response->status == 404;
    auto value = response && response->status == 200 ? json::parse(response->body) : Result<Value>(fail(Code::kUnavailable, "not read"));
    const bool back = handle_->store().get("", name).get() != nullptr;
    if (gone || back || (value && owner_of(*value) != options_.webhook)) {
      strays_.erase(name);
      continue;
    }
    pass.retry_at(saturating_add(deps_.loop.now(), deps_.loop.random().jitter(kRetry, 1.0)));
    if (!value) {
      pass.state.released = false;
      continue;
    }
    auto releasing = release_one(pass, name, *std::move(value));
    co_await releasing;
  }
}

Task<Status> Configurator::probe(PreviousEndpoint endpoint) {
  if (!endpoint.known) co_return fail(Code::kNotFound, "what it was is not known");
  net::TlsOptions options;
  options.server_name = endpoint.server_name;
  if (!endpoint.ca_bundle.empty()) {
    auto trust = deps_.tls.trust(endpoint.ca_bundle);
    if (!trust) co_return fail(std::move(trust).error());
    options.trust = *std::move(trust);
  }
  net::TlsConnector connector(deps_.loop, deps_.tls, deps_.tcp, std::move(options));
  const MonoTime deadline = saturating_add(deps_.loop.now(), kProbeTimeout);
  auto dialling = connector.connect(net::Endpoint(endpoint.host, static_cast<uint16_t>(endpoint.port)), deadline);
  auto stream = co_await dialling;
  if (!stream) co_return fail(std::move(stream).error());
  co_return ok();
}

}  // namespace gs::webhook
