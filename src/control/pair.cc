// From what the cluster serves to synced caches. What a change means is in pair_keys.cc, one item's work in
// pair_work.cc.
#include "control/pair.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "control/pair_internal.h"

namespace gs::control {
namespace {

// How a failed look at the cluster is shown.
std::string reason_of(const Error& error) {
  switch (error.code) {
    case Code::kNotFound: return "ResourceMissing";
    case Code::kForbidden: return "Forbidden";
    case Code::kUnauthorized: return "Unauthorized";
    case Code::kInvalid: return "InvalidScope";
    default: return "Unreachable";
  }
}

tl::unexpected<Error> wrong_scope(const std::string& field, const std::string& what, const std::string& how) {
  return fail(Code::kInvalid, "{}: {} {}", field, what, how);
}

}  // namespace

Pair::Pair(PairContext context, delegate::PairDescription description, PairId id, std::shared_ptr<const ControllerSpec> spec,
           delegate::Client& client, Observer& observer)
    : context_(context),
      spec_(std::move(spec)),
      client_(client),
      observer_(observer),
      events_(context.loop, context.transport, gateway::field_manager_of(spec_->name)),
      scope_(context.loop) {
  view_.id = id;
  view_.description = std::move(description);
  pair_digest_ = digest_of_pair(*spec_, view_.configs);
  if (context_.state != nullptr) checkpoint_ = std::make_unique<Checkpoint>(context_.loop, *context_.state, context_.state_name);
}

Pair::~Pair() = default;

void Pair::start() {
  running_ = true;
  state_.reason = "Syncing";
  state_.message = "asking the cluster what it serves";
  scope_.spawn(prepare());
}

void Pair::stop() {
  running_ = false;
  scope_.cancel();
  if (checkpoint_) checkpoint_->stop_restoring();
  // Ends the calls that read the informers.
  client_.close_pair(view_.id);
  pair_reads_.reset();
  watches_.clear();
}

void Pair::set_state(PairState state) {
  if (state == state_) return;
  state_ = std::move(state);
  observer_.pair_state_changed(view_.id);
}

// Until the cluster serves all that the Controller names. Nothing is guessed: a primary's scope decides what
// its reconciles may reach.
Task<void> Pair::prepare() {
  Duration wait = kFirstRetry;
  while (true) {
    auto asking = ask_cluster();
    auto served = co_await asking;
    if (served) {
      begin_watching(*std::move(served));
      co_return;
    }
    PairState state;
    state.reason = reason_of(served.error());
    state.message = served.error().message;
    set_state(std::move(state));
    const bool parked = served.error().code == Code::kNotFound || served.error().code == Code::kInvalid;
    const Duration pause = context_.loop.random().jitter(parked ? kLastRetry / 2 : wait, 1.0);
    wait = std::min(wait * 2, kLastRetry);
    co_await sleep_for(context_.loop, pause);
  }
}

Task<Result<Pair::Served>> Pair::ask_cluster() {
  Served out;
  const PrimarySpec& primary = spec_->primary;
  auto asking = context_.discovery.resource(primary.resource);
  auto first = co_await asking;
  if (!first) co_return fail(std::move(first).error().with_context(primary.resource.to_string()));
  out.primary_namespaced = first->namespaced;
  out.kinds[primary.resource] = first->kind;
  const Pushed pushed = pushed_to_server(primary.ns, primary.match);
  if (!first->namespaced && !pushed.ns.empty()) {
    co_return wrong_scope("spec.primary.namespace", primary.resource.to_string(), "is cluster-scoped here; leave the namespace out");
  }
  for (const SecondarySpec& secondary : spec_->secondary) {
    auto one_more = context_.discovery.resource(secondary.resource);
    auto served = co_await one_more;
    if (!served) co_return fail(std::move(served).error().with_context(secondary.resource.to_string()));
    out.kinds[secondary.resource] = served->kind;
    if (!served->namespaced && !pushed_to_server(secondary.ns, secondary.match).ns.empty()) {
      co_return wrong_scope("spec.secondary", secondary.resource.to_string(), "is cluster-scoped here; leave the namespace out");
    }
  }
  for (const ConfigSpec& config : spec_->configs) {
    ConfigSpec copy = config;
    auto resolving = config_resource(std::move(copy));
    auto resource = co_await resolving;
    if (!resource) co_return fail(std::move(resource).error());
    out.config_resources.push_back(*std::move(resource));
  }
  co_return out;
}

// The plural of a config's kind; empty for those from the hub.
Task<Result<std::string>> Pair::config_resource(ConfigSpec config) {
  if (config.from_hub) co_return std::string();
  if (config.kind == "ConfigMap" && config.api_version == "v1") co_return std::string("configmaps");
  auto asking = context_.discovery.kind(config.api_version, config.kind);
  auto served = co_await asking;
  if (!served) co_return fail(std::move(served).error().with_context(fmt::format("spec.configs {}", config.name)));
  if (served->namespaced == config.ns.empty()) {
    const std::string how = served->namespaced ? "has namespaces here; name one" : "is cluster-scoped here; leave the namespace out";
    co_return wrong_scope(fmt::format("spec.configs {}", config.name), config.kind, how);
  }
  co_return served->resource;
}

void Pair::begin_watching(Served served) {
  served_ = std::move(served);
  gateway_ = std::make_shared<gateway::Gateway>(context_.loop, context_.transport, context_.informers,
                                                rules_of(*spec_, served_.primary_namespaced, served_.config_resources), served_.kinds,
                                                spec_->name, view_.description.cluster);
  pair_reads_ = std::make_unique<gateway::PairReads>(context_.loop, *gateway_);
  watch_all();
  check_state();
}

void Pair::watch_all() {
  std::vector<cache::InformerKey> known;
  const auto watch = [&](Watch::Role role, const SecondarySpec* secondary, const cache::InformerKey& key) {
    watches_.push_back(std::make_unique<Watch>(*this, role, secondary));
    Watch& made = *watches_.back();
    made.take(key);
    if (role == Watch::Role::kConfig || std::find(known.begin(), known.end(), key) != known.end()) return;
    known.push_back(key);
    made.tell_readers();
    pair_reads_->add(made.informer());
  };
  const auto pushed_key = [](const cache::GroupVersionResource& resource, const std::string& ns, const std::vector<FieldMatch>& match) {
    const Pushed pushed = pushed_to_server(ns, match);
    cache::InformerKey key;
    key.resource = resource;
    key.ns = pushed.ns;
    key.field_selector = pushed.field_selector;
    return key;
  };
  watch(Watch::Role::kPrimary, nullptr, pushed_key(spec_->primary.resource, spec_->primary.ns, spec_->primary.match));
  for (const SecondarySpec& secondary : spec_->secondary) {
    watch(Watch::Role::kSecondary, &secondary, pushed_key(secondary.resource, secondary.ns, secondary.match));
  }
  for (const gateway::ConfigRule& config : gateway_->authority().rules().configs) {
    cache::InformerKey key;
    key.resource = cache::GroupVersionResource(config.group, config.version, config.resource);
    key.ns = config.ns;
    key.field_selector = "metadata.name=" + config.name;
    watch(Watch::Role::kConfig, nullptr, key);
  }
}

PairState Pair::compute_state() const {
  PairState out;
  out.synced = true;
  for (const auto& watch : watches_) {
    const cache::Informer& informer = watch->informer();
    const std::string resource = informer.key().resource.to_string();
    if (!informer.synced()) out.synced = false;
    if (!out.reason.empty() || (informer.synced() && informer.health() == cache::Health::kLive)) continue;
    switch (informer.health()) {
      case cache::Health::kMissing: out.reason = "ResourceMissing"; break;
      case cache::Health::kForbidden: out.reason = "Forbidden"; break;
      case cache::Health::kRetrying: out.reason = "Unreachable"; break;
      default: out.reason = "Syncing";
    }
    out.message = resource + ": " + (informer.reason().empty() ? "the first list is not complete" : informer.reason());
  }
  return out;
}

// Once all caches are complete, every primary is a key; nothing is reconciled before.
void Pair::check_state() {
  if (!running_ || watches_.empty() || rechecking_) return;
  PairState now = compute_state();
  if (now.reason == "ResourceMissing") {
    missing_ = true;
    for (const auto& watch : watches_) {
      const cache::Informer& informer = watch->informer();
      if (informer.health() == cache::Health::kMissing) {
        context_.discovery.forget(informer.key().resource.group, informer.key().resource.version);
      }
    }
  } else if (missing_ && now.reason.empty()) {
    // It is served again: perhaps as something else.
    missing_ = false;
    rechecking_ = true;
    scope_.spawn(recheck());
    return;
  }
  const bool first = now.synced && !state_.synced;
  if (!first) return set_state(std::move(now));
  load_configs();
  begin_keys();
  set_state(std::move(now));
}

// A resource came back. Where it has another scope or kind, all begins anew: rules, informers, keys.
Task<void> Pair::recheck() {
  // Not from inside an informer's call: what follows may release it.
  co_await yield_turn(context_.loop);
  auto asking = ask_cluster();
  auto served = co_await asking;
  rechecking_ = false;
  if (served && !(*served == served_)) {
    log::warning("the cluster serves something else under the same name; the pair begins anew",
                 {{"controller", spec_->name}, {"cluster", view_.description.cluster}});
    client_.close_pair(view_.id);
    pair_reads_.reset();
    watches_.clear();
    PairState state;
    state.reason = "Syncing";
    state.message = "what the cluster serves has changed";
    set_state(std::move(state));
    begin_watching(*std::move(served));
    co_return;
  }
  // Not asked with success: the next change of health asks again.
  missing_ = !served;
  check_state();
}

void Pair::load_configs() {
  if (spec_->configs.empty()) return;
  std::vector<delegate::ConfigObject> objects;
  size_t watch = 1 + spec_->secondary.size();
  for (const ConfigSpec& config : spec_->configs) {
    kube::ObjectRef object;
    if (config.from_hub) {
      object = context_.hub.hub_config(config.name);
    } else {
      object = watches_[watch++]->informer().store().get(config.ns, config.name);
    }
    objects.push_back({config.api_version, config.kind, config.ns, config.name, object});
  }
  view_.configs.objects = std::move(objects);
  pair_digest_ = digest_of_pair(*spec_, view_.configs);
  ++view_.configs.revision;
}

void Pair::configs_changed() {
  if (!running_ || !state_.synced || mutated(Mutation::kConfigChangeIgnored)) return;
  load_configs();
  const bool resync = std::any_of(spec_->configs.begin(), spec_->configs.end(), [](const ConfigSpec& c) { return c.resync_on_change; });
  if (resync) resync_all();
}

void Pair::hub_configs_changed() {
  const bool uses = std::any_of(spec_->configs.begin(), spec_->configs.end(), [](const ConfigSpec& c) { return c.from_hub; });
  if (uses) configs_changed();
}

}  // namespace gs::control
