#include "apiserver/authorization/role_aggregation.h"

#include <algorithm>

#include "apiserver/authorization/policy_rule.h"
#include "kube/selector.h"

namespace gs::apiserver {
namespace {

// Roles that select each other in a circle come to rest long before.
constexpr int kRounds = 16;

// The rules of the roles that the aggregation rule selects, each once. nullopt: a selector cannot be read.
std::optional<json::Array> gathered(const json::Value& role, const StoredPtr& self, const std::vector<StoredPtr>& roles) {
  json::Array out;
  const json::Value* selectors = role.at("aggregationRule.clusterRoleSelectors");
  if (selectors == nullptr || selectors->array() == nullptr) return out;
  for (const json::Value& one : *selectors->array()) {
    const auto selector = kube::LabelSelector::from_object(one, "clusterRoleSelectors");
    if (!selector) return std::nullopt;
    for (const StoredPtr& other : roles) {
      if (other->name == self->name || !selector->matches(other->labels)) continue;
      const json::Value value = other->value();
      const json::Value* rules = value.find("rules");
      if (rules == nullptr || rules->array() == nullptr) continue;
      for (const json::Value& rule : *rules->array()) {
        if (std::find(out.begin(), out.end(), rule) == out.end()) out.push_back(rule);
      }
    }
  }
  return out;
}

}  // namespace

RoleAggregation::RoleAggregation(Loop& loop, ResourceTable& table, Store& store, Registry& registry)
    : loop_(loop), table_(table), store_(store), registry_(registry), wake_(loop), scope_(loop) {
  registry_.add_follower(*this);
}

void RoleAggregation::start() {
  aggregate();
  scope_.spawn(run());
}

void RoleAggregation::changed(const ResourceType& type, const StoredPtr&, const StoredPtr&) {
  if (type.group != kRbacGroup || type.resource != "clusterroles") return;
  dirty_ = true;
  wake_.wake_all();
}

Task<void> RoleAggregation::run() {
  while (true) {
    if (!dirty_) {
      co_await wake_.wait();
      continue;
    }
    co_await yield_turn(loop_);
    aggregate();
  }
}

void RoleAggregation::aggregate() {
  const ResourceTypePtr type = table_.find(kRbacGroup, "clusterroles");
  for (int round = 0; round < kRounds; ++round) {
    dirty_ = false;
    if (!aggregate_once(*type)) return;
  }
}

bool RoleAggregation::aggregate_once(const ResourceType& type) {
  bool changed = false;
  const std::vector<StoredPtr> roles = store_.list(type, "");
  for (const StoredPtr& role : roles) {
    if (role->json.find("\"aggregationRule\"") == std::string_view::npos) continue;
    json::Value value = role->value(type);
    if (value.find("aggregationRule") == nullptr) continue;
    std::optional<json::Array> wanted = gathered(value, role, roles);
    const json::Value* rules = value.find("rules");
    const bool none = rules == nullptr || rules->array() == nullptr || rules->array()->empty();
    if (!wanted || (none ? wanted->empty() : *rules->array() == *wanted)) continue;
    value["rules"] = *std::move(wanted);
    registry_.change(type, role, std::move(value));
    changed = true;
  }
  return changed;
}

}  // namespace gs::apiserver
