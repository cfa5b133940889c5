#include "gateway/refusals.h"

#include <algorithm>
#include <numeric>

#include "base/log.h"
#include "base/strings.h"

namespace gs::gateway {

std::string_view refusal_name(Refusal refusal) {
  constexpr std::string_view kNames[] = {"malformed", "not_granted", "create_not_granted", "unsupported"};
  return kNames[static_cast<size_t>(refusal)];
}

void Refusals::count(Refusal refusal, const std::string& key, const std::string& what, const std::string& why) {
  ++counts_[static_cast<size_t>(refusal)];
  const MonoTime now = loop_.now();
  tokens_ = std::min(kBurst, tokens_ + to_seconds(now - refilled_) * kPerSecond);
  refilled_ = now;
  if (tokens_ < 1) {
    ++unlogged_;
    return;
  }
  tokens_ -= 1;
  log::warning("a delegate's call was refused",
               {{"controller", controller_}, {"cluster", cluster_}, {"key", key}, {"call", truncate_utf8(what, 256)},
                {"reason", refusal_name(refusal)}, {"why", truncate_utf8(why, 512)}, {"unlogged", unlogged_}});
  unlogged_ = 0;
}

uint64_t Refusals::total() const { return std::accumulate(counts_.begin(), counts_.end(), uint64_t{0}); }

}  // namespace gs::gateway
