// The objects of spec.configs in one cluster: found, watched, and handed on as a set with a revision. Lives on the
// cluster's loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cache/informer.h"
#include "control/controller_spec.h"
#include "delegate/attempt.h"
#include "fleet/discovery_cache.h"
#include "runtime/task_scope.h"

namespace gs::control {

class HubConfigs;

class ConfigObjects {
 public:
  static constexpr Duration kFirstRetry = std::chrono::seconds(1);
  static constexpr Duration kLastRetry = std::chrono::seconds(30);

  // `changed` is called from a turn of its own when the state, or the set, is another one. All outlive this.
  ConfigObjects(Loop& loop, cache::InformerSet& informers, fleet::DiscoveryCache& discovery, const HubConfigs& hub, std::vector<ConfigSpec> configs,
                std::function<void()> changed);
  ~ConfigObjects();

  // All are known, be it as absent.
  bool ready() const { return problem().empty(); }
  // Why not; empty: they are.
  std::string problem() const;
  // The plural of each, in their order; empty for those from the hub. Once resolved() only.
  const std::vector<std::string>& resources() const { return resources_; }
  bool resolved() const { return resolved_; }
  // With a revision that grows with each change of the set; 0 where there are no configs.
  delegate::ConfigSet set();
  void hub_changed();

 private:
  class Watched;
  Task<void> resolve();
  Task<Result<std::string>> resource_of(ConfigSpec config);
  void touched() { changed_timer_.arm_after(Duration::zero()); }

  Loop& loop_;
  cache::InformerSet& informers_;
  fleet::DiscoveryCache& discovery_;
  const HubConfigs& hub_;
  std::vector<ConfigSpec> configs_;
  std::vector<std::string> resources_;
  std::vector<std::unique_ptr<Watched>> watched_;  // as configs_; null for those from the hub
  bool resolved_ = false;
  std::string error_;
  uint64_t revision_ = 0;
  CallbackTimer changed_timer_;
  TaskScope scope_;
};

}  // namespace gs::control
