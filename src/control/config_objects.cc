#include "control/config_objects.h"

#include "control/pair.h"

namespace gs::control {
namespace {

cache::GroupVersionResource resource_named(const std::string& api_version, const std::string& plural) {
  const size_t slash = api_version.find('/');
  if (slash == std::string::npos) return cache::GroupVersionResource("", api_version, plural);
  return cache::GroupVersionResource(api_version.substr(0, slash), api_version.substr(slash + 1), plural);
}

}  // namespace

class ConfigObjects::Watched final : public cache::InformerHandler {
 public:
  Watched(ConfigObjects& owner, const ConfigSpec& config, const std::string& plural) : owner_(owner) {
    cache::InformerKey key;
    key.resource = resource_named(config.api_version, plural);
    key.ns = config.ns;
    key.field_selector = "metadata.name=" + config.name;
    handle_ = owner.informers_.acquire(key, *this);
  }
  const cache::Informer& informer() const { return *handle_; }

  void on_added(const kube::ObjectRef&, bool) override { owner_.touched(); }
  void on_updated(const kube::ObjectRef&, const kube::ObjectRef&) override { owner_.touched(); }
  void on_deleted(const kube::ObjectRef&, bool) override { owner_.touched(); }
  void on_synced() override { owner_.touched(); }
  void on_health(cache::Health, const std::string&) override { owner_.touched(); }

 private:
  ConfigObjects& owner_;
  cache::InformerHandle handle_;
};

ConfigObjects::ConfigObjects(Loop& loop, cache::InformerSet& informers, fleet::DiscoveryCache& discovery, const HubConfigs& hub, std::vector<ConfigSpec> configs,
                             std::function<void()> changed)
    : loop_(loop),
      informers_(informers),
      discovery_(discovery),
      hub_(hub),
      configs_(std::move(configs)),
      changed_timer_(loop, std::move(changed)),
      scope_(loop) {
  scope_.spawn(resolve());
}

ConfigObjects::~ConfigObjects() = default;

void ConfigObjects::hub_changed() { touched(); }

// Until the cluster serves all of the kinds.
Task<void> ConfigObjects::resolve() {
  Duration wait = kFirstRetry;
  while (true) {
    std::vector<std::string> resources;
    error_.clear();
    for (const ConfigSpec& config : configs_) {
      auto asking = resource_of(config);
      auto resource = co_await asking;
      if (!resource) {
        error_ = fmt::format("spec.configs {}: {}", config.name, resource.error().message);
        break;
      }
      resources.push_back(*std::move(resource));
    }
    touched();
    if (error_.empty()) {
      resources_ = std::move(resources);
      break;
    }
    const Duration pause = loop_.random().jitter(wait, 1.0);
    wait = std::min(wait * 2, kLastRetry);
    co_await sleep_for(loop_, pause);
  }
  for (size_t i = 0; i < configs_.size(); ++i) {
    watched_.push_back(configs_[i].from_hub ? nullptr : std::make_unique<Watched>(*this, configs_[i], resources_[i]));
  }
  resolved_ = true;
}

Task<Result<std::string>> ConfigObjects::resource_of(ConfigSpec config) {
  if (config.from_hub) co_return std::string();
  if (config.kind == "ConfigMap" && config.api_version == "v1") co_return std::string("configmaps");
  auto asking = discovery_.kind(config.api_version, config.kind);
  auto served = co_await asking;
  if (!served) co_return fail(std::move(served).error());
  if (served->namespaced == config.ns.empty()) {
    co_return fail(Code::kInvalid, "{} {}", config.kind, served->namespaced ? "has namespaces here; name one" : "is cluster-scoped here; leave the namespace out");
  }
  co_return served->resource;
}

std::string ConfigObjects::problem() const {
  if (!error_.empty()) return error_;
  if (!resolved_) return "spec.configs: the cluster is asked what it serves";
  for (const auto& watched : watched_) {
    if (!watched || watched->informer().synced()) continue;
    const cache::Informer& informer = watched->informer();
    return fmt::format("spec.configs: {}: {}", informer.key().resource.to_string(), informer.reason().empty() ? "is not read yet" : informer.reason());
  }
  return "";
}

delegate::ConfigSet ConfigObjects::set() {
  delegate::ConfigSet out;
  if (configs_.empty()) return out;
  for (size_t i = 0; i < configs_.size(); ++i) {
    const ConfigSpec& config = configs_[i];
    kube::ObjectRef object;
    if (config.from_hub) object = hub_.hub_config(config.name);
    if (i < watched_.size() && watched_[i]) object = watched_[i]->informer().store().get(config.ns, config.name);
    out.objects.push_back({config.api_version, config.kind, config.ns, config.name, object});
  }
  out.revision = ++revision_;
  return out;
}

}  // namespace gs::control
