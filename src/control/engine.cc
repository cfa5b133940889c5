#include "control/engine_internal.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "control/cluster_selector.h"
#include "delegate/grpc_dialer.h"

namespace gs::control {
namespace {

delegate::ClientOptions client_options(const std::string& identity) {
  delegate::ClientOptions options;
  options.identity = identity;
  return options;
}

}  // namespace

Engine::Engine(Loop& loop, EngineDeps deps)
    : loop_(loop),
      deps_(std::move(deps)),
      queue_(deps_.queue),
      clients_(loop, [this](const kube::ServerUrl& url) { return make_dialer(url); }, client_options(deps_.identity), *this),
      progress_(loop),
      pump_(loop, [this] { pump(); }),
      sweep_(loop, [this] { sweep(); }),
      scope_(loop) {
  make_webhooks();
}

Engine::~Engine() {
  scope_.cancel();
  webhooks_.reset();
  for (auto& [id, slot] : pairs_) slot->pair->stop();  // ends the calls that the pairs serve
  pairs_.clear();
}

void Engine::apply(Desired desired) {
  ++changes_;
  std::vector<Desired::Controller> controllers = std::move(desired.controllers);
  std::vector<fleet::ClusterSpec> clusters = std::move(desired.clusters);
  const bool hub_configs_changed = adopt_hub_configs(desired.hub_configs);
  desired_ = std::move(desired);
  apply_clusters(std::move(clusters));
  apply_controllers(std::move(controllers));
  apply_pairs();
  webhooks_->apply(desired_.webhooks, webhook_views(), desired_);
  if (hub_configs_changed) webhooks_->hub_configs_changed();
  for (auto& [id, slot] : pairs_) {
    if (hub_configs_changed && slot->started && !slot->retired) slot->pair->hub_configs_changed();
  }
  sweep();
}

// Whether any of them changed.
bool Engine::adopt_hub_configs(const std::map<std::string, std::string>& wanted) {
  bool changed = std::erase_if(hub_configs_, [&](const auto& entry) { return !wanted.contains(entry.first); }) > 0;
  for (const auto& [name, json] : wanted) {
    HubConfig& present = hub_configs_[name];
    if (present.json == json) continue;
    auto object = kube::Object::parse(json);
    if (!object) log::warning("a hub's ConfigMap cannot be read", {{"name", name}, {"err", object.error()}});
    present.json = json;
    present.object = object ? *std::move(object) : kube::ObjectRef();
    changed = true;
  }
  return changed;
}

// A changed connection is a new cluster: its pairs are retired, and begin again on the new one.
void Engine::apply_clusters(std::vector<fleet::ClusterSpec> wanted) {
  std::map<std::string, fleet::ClusterSpec> missing;
  paused_.clear();
  for (fleet::ClusterSpec& spec : wanted) {
    if (spec.paused) {
      paused_.push_back(std::move(spec));
    } else {
      missing[spec.key()] = std::move(spec);
    }
  }
  for (auto& slot : clusters_) {
    if (slot->going) continue;
    const auto found = missing.find(slot->spec.key());
    const bool same = found != missing.end() && found->second.digest == slot->spec.digest &&
                      (slot->cluster || found->second.files_digest == slot->spec.files_digest);
    if (same) {
      slot->spec = found->second;
      missing.erase(found);
      continue;
    }
    slot->going = true;
    slot->for_good = found == missing.end();
    const bool paused = std::any_of(paused_.begin(), paused_.end(), [&](const auto& spec) { return spec.key() == slot->spec.key(); });
    for (auto& [id, pair] : pairs_) {
      if (pair->cluster == slot.get()) retire_pair(id, found == missing.end() && !paused);
    }
  }
  for (auto& [key, spec] : missing) attach(std::move(spec));
}

void Engine::attach(fleet::ClusterSpec spec) {
  auto slot = std::make_unique<ClusterSlot>();
  slot->spec = spec;
  slot->error = spec.error;
  if (slot->error.empty()) {
    auto cluster = fleet::Cluster::connect(deps_.clusters, std::move(spec), ClusterId(next_id_++), *this);
    if (cluster) {
      slot->cluster = *std::move(cluster);
    } else {
      slot->error = cluster.error().message;
    }
  }
  if (!slot->error.empty()) log::warning("cluster cannot be attached", {{"cluster", slot->spec.key()}, {"err", slot->error}});
  clusters_.push_back(std::move(slot));
}

void Engine::apply_controllers(std::vector<Desired::Controller> wanted) {
  std::map<std::string, Desired::Controller> missing;
  for (Desired::Controller& c : wanted) missing[c.name] = std::move(c);
  for (auto& controller : controllers_) {
    if (controller->going) continue;
    const auto found = missing.find(controller->name);
    const bool same = found != missing.end() && found->second.spec && controller->spec &&
                      found->second.spec->generation == controller->spec->generation && found->second.spec->uid == controller->spec->uid;
    if (same) {
      missing.erase(found);
      continue;
    }
    controller->going = true;
    for (auto& [id, pair] : pairs_) {
      if (pair->controller == controller.get()) retire_pair(id, found == missing.end());
    }
  }
  for (auto& [name, c] : missing) {
    auto controller = std::make_unique<Controller>();
    controller->name = name;
    controller->id = ControllerId(next_id_++);
    controller->spec = c.spec;
    controller->error = c.error;
    if (c.spec) {
      auto url = delegate_url(c.spec->delegate);
      if (url) {
        controller->delegate = *std::move(url);
      } else {
        controller->error = url.error().message;
      }
    }
    if (!controller->error.empty()) log::warning("Controller is not valid", {{"controller", name}, {"err", controller->error}});
    controllers_.push_back(std::move(controller));
  }
}

// Plain text goes to loopback only, unless allowed. Names are judged at each dial by what they resolve to.
Result<kube::ServerUrl> Engine::delegate_url(const std::string& text) const {
  auto url = kube::parse_server_url(text);
  if (!url) return fail(std::move(url).error().with_context("spec.delegate"));
  const auto address = net::IpAddress::parse(url->host);
  if (!url->tls && !deps_.allow_insecure_delegates && address && !address->is_loopback()) {
    return fail(Code::kForbidden, "spec.delegate: http:// goes to loopback only; use https://, or start the plane with --allow-insecure-delegates");
  }
  return url;
}

delegate::DialerDeps Engine::dialer_deps() const {
  delegate::DialerDeps deps(loop_, deps_.delegates, deps_.resolver, deps_.clusters.tls);
  deps.trust = deps_.delegate_trust;
  deps.credentials = deps_.delegate_credentials;
  deps.allow_insecure = deps_.allow_insecure_delegates;
  deps.user_agent = deps_.identity;
  return deps;
}

std::unique_ptr<delegate::Dialer> Engine::make_dialer(const kube::ServerUrl& url) const {
  return std::make_unique<delegate::GrpcDialer>(dialer_deps(), url);
}

void Engine::make_webhooks() {
  review_services_ = std::make_unique<webhook::ReviewServices>(dialer_deps());
  WebhookDeps shared(loop_, deps_.clusters, clients_, *this);
  shared.services = review_services_.get();
  if (deps_.webhooks) shared.plane = *deps_.webhooks;
  shared.events = deps_.events;
  shared.own_cluster = deps_.own_cluster;
  WebhookPairs::Deps deps(std::move(shared), deps_.metrics);
  deps.new_id = [this] { return PairId(next_id_++); };
  deps.delegate_url = [this](const std::string& text) { return delegate_url(text); };
  deps.changed = [this] {
    ++changes_;
    sweep_.arm_after(Duration::zero());
  };
  deps.serving = deps_.webhooks.has_value();
  webhooks_ = std::make_unique<WebhookPairs>(loop_, std::move(deps));
}

std::vector<WebhookCluster> Engine::webhook_views() const {
  std::vector<WebhookCluster> out;
  for (const auto& slot : clusters_) {
    WebhookCluster view;
    view.spec = &slot->spec;
    view.cluster = slot->cluster.get();
    view.going = slot->going;
    view.gone_for_good = slot->going && slot->for_good;
    out.push_back(view);
  }
  return out;
}

void Engine::serve_webhooks(std::shared_ptr<const webhook::Material> material, bool write) {
  ++changes_;
  webhooks_->adopt(std::move(material), write);
}

webhook::Targets& Engine::webhook_targets() { return webhooks_->targets(); }

void Engine::ready_changed(DelegateId client, bool ready) {
  ++changes_;
  if (!ready) return queue_.block(client);
  queue_.unblock(client);
  work_added();
}

void Engine::enqueue(PairId pair, const std::string& ns, const std::string& name, Duration delay) {
  const auto found = pairs_.find(pair);
  if (found != pairs_.end()) found->second->pair->enqueue(ns, name, delay);
}

delegate::CallHandler* Engine::pair_calls(PairId pair) {
  const auto found = pairs_.find(pair);
  return found == pairs_.end() || found->second->retired ? nullptr : found->second->pair->pair_calls();
}

// A delegate whose logic changed sees again what the former one decided, in the low lane.
void Engine::revision_is(PairId pair, const std::string& revision) {
  const auto found = pairs_.find(pair);
  if (found != pairs_.end() && !found->second->retired && !mutated(Mutation::kRevisionIgnored)) found->second->pair->revision_is(revision);
}

void Engine::apply_pairs() {
  std::map<std::pair<Controller*, ClusterSlot*>, PairId> present;
  for (auto& [id, slot] : pairs_) {
    if (slot->retired) continue;
    if (!slot->controller->spec || !selects(slot->controller->spec->cluster_selector, slot->cluster->spec, desired_)) {
      retire_pair(id, slot->controller->spec != nullptr);
    } else {
      present[{slot->controller, slot->cluster}] = id;
    }
  }
  for (auto& controller : controllers_) {
    if (controller->going || !controller->delegate || !controller->error.empty()) continue;
    for (auto& cluster : clusters_) {
      if (cluster->going || !cluster->cluster || present.contains({controller.get(), cluster.get()})) continue;
      if (selects(controller->spec->cluster_selector, cluster->spec, desired_)) start_pair(*controller, *cluster);
    }
  }
}

void Engine::start_pair(Controller& controller, ClusterSlot& cluster) {
  auto slot = std::make_unique<PairSlot>();
  slot->controller = &controller;
  slot->cluster = &cluster;
  slot->controller_name = controller.spec->name;
  slot->cluster_key = cluster.spec.key();
  delegate::PairDescription description;
  description.controller = controller.spec->name;
  description.generation = controller.spec->generation;
  description.tenant = cluster.spec.tenant;
  description.cluster = cluster.spec.name;
  description.cluster_uid = cluster.spec.uid;
  description.observed_id = cluster.cluster->facts().observed_id;
  description.kubernetes_version = cluster.cluster->facts().version;
  description.primary = controller.spec->primary.resource;
  const PairId id(next_id_++);
  queue::PairInfo info;
  info.controller = controller.id;
  info.cluster = cluster.cluster->id();
  slot->client = clients_.acquire(*controller.delegate, cluster.spec.tenant, controller.spec->shared_sessions);
  info.delegate = slot->client->id();
  queue_.add_pair(id, info);
  slot->state_name = store::PairName{slot->cluster_key, cluster.spec.uid, controller.spec->name};
  PairContext context(loop_, cluster.cluster->transport(), cluster.cluster->informers(), cluster.cluster->discovery(), queue_, *this);
  context.state = deps_.state;
  context.state_name = slot->state_name;
  context.reconcile_timeout = deps_.reconcile_timeout;
  slot->pair = std::make_unique<Pair>(context, std::move(description), id, controller.spec, *slot->client, *this);
  pairs_[id] = std::move(slot);
}

void Engine::retire_pair(PairId id, bool for_good) {
  PairSlot& slot = *pairs_.at(id);
  slot.for_good = slot.for_good || for_good;
  if (slot.retired) return;
  slot.retired = true;
  slot.pair->stop();
  queue_.remove_pair(id);
  sweep_.arm_after(Duration::zero());
}

// Frees what has ended, and starts pairs whose predecessors are gone: a key is never in two places.
void Engine::sweep() {
  std::erase_if(pairs_, [this](const auto& entry) {
    const PairSlot& slot = *entry.second;
    if (!slot.retired || slot.pair->in_flight() > 0) return false;
    count(slot, departed_);
    if (slot.for_good && deps_.state != nullptr) deps_.state->erase_pair(std::make_shared<const store::PairName>(slot.state_name));
    return true;
  });
  const auto unused = [&](const auto& owner) {
    return owner->going && std::none_of(pairs_.begin(), pairs_.end(), [&](const auto& e) {
             return static_cast<const void*>(e.second->controller) == owner.get() || static_cast<const void*>(e.second->cluster) == owner.get();
           });
  };
  std::erase_if(controllers_, unused);
  std::erase_if(clusters_, [&](const auto& slot) { return unused(slot) && !webhooks_->uses(slot->cluster.get()); });
  for (auto& [id, slot] : pairs_) {
    if (slot->started || slot->retired) continue;
    const bool waits = std::any_of(pairs_.begin(), pairs_.end(), [&, mine = slot.get()](const auto& e) {
      return e.second->retired && e.second->controller_name == mine->controller_name && e.second->cluster_key == mine->cluster_key;
    });
    if (waits) continue;
    slot->started = true;
    slot->pair->start();
  }
  progress_.wake_all();
}

void Engine::work_added() {
  if (!pump_.armed() || pump_.deadline() > loop_.now()) pump_.arm_after(Duration::zero());
}

void Engine::pump() {
  if (draining_) return;
  while (auto work = queue_.pop(loop_.now())) scope_.spawn(run(*work));
  pump_.arm_at(queue_.next_wakeup());
}

Task<void> Engine::run(queue::Work work) {
  const auto found = pairs_.find(work.item.pair);
  GS_CHECK(found != pairs_.end());
  PairSlot& slot = *found->second;
  const bool failed = slot.pair->failing() > 0;
  co_await slot.pair->work(work);
  changes_ += failed != (slot.pair->failing() > 0);
  if (slot.retired) sweep_.arm_after(Duration::zero());
  progress_.wake_all();
  work_added();
}

Task<bool> Engine::drain(MonoTime deadline) {
  draining_ = true;
  pump_.disarm();
  clients_.drain(deadline);
  while (queue_.stats().processing > 0 && loop_.now() < deadline) {
    co_await progress_.wait(deadline);
  }
  co_return queue_.stats().processing == 0;
}

void Engine::pair_state_changed(PairId id) {
  ++changes_;
  const PairSlot& slot = *pairs_.at(id);
  const PairState& state = slot.pair->state();
  if (state.reason.empty()) {
    log::info("pair is ready", {{"controller", slot.controller_name}, {"cluster", slot.cluster_key}, {"keys", slot.pair->keys()}});
  } else {
    log::warning("pair is not ready", {{"controller", slot.controller_name}, {"cluster", slot.cluster_key}, {"reason", state.reason}, {"message", state.message}});
  }
}

void Engine::facts_changed(fleet::Cluster&) { ++changes_; }

kube::ObjectRef Engine::hub_config(const std::string& name) const {
  const auto found = hub_configs_.find(name);
  return found == hub_configs_.end() ? kube::ObjectRef() : found->second.object;
}

bool Engine::settled() const {
  if (!webhooks_->settled()) return false;
  return std::all_of(pairs_.begin(), pairs_.end(), [](const auto& entry) {
    const PairSlot& slot = *entry.second;
    return slot.retired || slot.pair->state().synced || (!slot.pair->state().reason.empty() && slot.pair->state().reason != "Syncing");
  });
}

}  // namespace gs::control
