#include "fleet/discovery_cache.h"

#include <fmt/format.h>

#include <utility>

#include "base/strings.h"

namespace gs::fleet {
namespace {

std::pair<std::string, std::string> group_version(const std::string& api_version) {
  const size_t slash = api_version.find('/');
  if (slash == std::string::npos) return {"", api_version};
  return {api_version.substr(0, slash), api_version.substr(slash + 1)};
}

}  // namespace

Task<Status> DiscoveryCache::fetch(GroupVersion wanted, bool again) {
  std::shared_ptr<Semaphore>& slot = asking_[wanted];
  if (!slot) slot = std::make_shared<Semaphore>(loop_, 1);
  const std::shared_ptr<Semaphore> turn = slot;
  const MonoTime deadline = saturating_add(loop_.now(), kTimeout);
  auto permit = co_await turn->acquire(deadline);
  if (!permit) co_return fail(std::move(permit).error());
  const auto known = entries_.find(wanted);
  if (known != entries_.end() && loop_.now() - known->second.asked < (again ? kMissAgain : kKeep)) co_return ok();
  auto asked = co_await kube::discover(transport_, wanted.first, wanted.second, deadline);
  if (!asked) {
    if (asked.error().code == Code::kNotFound) entries_.erase(wanted);
    co_return fail(std::move(asked).error());
  }
  Entry& entry = entries_[wanted];
  entry.resources = share(*asked);
  entry.asked = loop_.now();
  co_return ok();
}

std::shared_ptr<const KnownResources> DiscoveryCache::share(const kube::ApiResources& resources) {
  KnownResources known;
  known.reserve(resources.size());
  std::string content;
  for (const auto& [name, resource] : resources) {
    known.push_back(KnownResource{ServedResource{name, resource.kind, resource.namespaced}, resource.has_verb("list")});
    content += fmt::format("{}\n{}\n{}{}\n", name, resource.kind, resource.namespaced, known.back().listable);
  }
  const std::string digest = sha256_hex(content);
  auto shared = shared_.find(digest);
  if (shared == nullptr) {
    shared = std::make_shared<const KnownResources>(std::move(known));
    shared_.put(digest, shared);
  }
  return shared;
}

Task<Result<ServedResource>> DiscoveryCache::resource(cache::GroupVersionResource wanted) {
  const GroupVersion key(wanted.group, wanted.version);
  for (const bool again : {false, true}) {
    const Status fetched = co_await fetch(key, again);
    if (!fetched) co_return fail(fetched.error());
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) continue;
    for (const KnownResource& known : *entry->second.resources) {
      if (known.served.resource == wanted.resource) co_return known.served;
    }
  }
  co_return fail(Code::kNotFound, "{} is not served", wanted.to_string());
}

Task<Result<ServedResource>> DiscoveryCache::kind(std::string api_version, std::string kind) {
  const GroupVersion key = group_version(api_version);
  for (const bool again : {false, true}) {
    const Status fetched = co_await fetch(key, again);
    if (!fetched) co_return fail(fetched.error());
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) continue;
    for (const KnownResource& known : *entry->second.resources) {
      if (known.served.kind == kind && known.listable) co_return known.served;
    }
  }
  co_return fail(Code::kNotFound, "kind {} of {} is not served", kind, api_version);
}

}  // namespace gs::fleet
