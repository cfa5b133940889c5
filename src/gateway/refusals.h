// What delegates asked for and did not get: counted by the class of the reason, and logged with a limit, so
// that a flood of refusals does not flood the log. One per pair, on its loop.
#pragma once

#include <array>
#include <string>

#include "gateway/rest_request.h"
#include "gateway/rules.h"
#include "runtime/loop.h"

namespace gs::gateway {

enum class Refusal {
  kMalformed,    // no request of the API, an odd path, an unknown parameter
  kNotGranted,   // no rule of the Controller grants it
  kCreate,       // the write might create, and only the creation is not granted
  kUnsupported,  // understood and allowed, but not served in this way
};
inline constexpr size_t kRefusals = 4;
std::string_view refusal_name(Refusal refusal);  // as the label of the metric

class Refusals {
 public:
  static constexpr double kBurst = 10;
  static constexpr double kPerSecond = 1;

  Refusals(Loop& loop, std::string controller, std::string cluster)
      : loop_(loop), controller_(std::move(controller)), cluster_(std::move(cluster)), refilled_(loop.now()) {}

  // `what`: method and path, or verb and resource; `key` empty for calls of the whole pair.
  void count(Refusal refusal, const std::string& key, const std::string& what, const std::string& why);
  uint64_t counted(Refusal refusal) const { return counts_[static_cast<size_t>(refusal)]; }
  uint64_t total() const;

 private:
  Loop& loop_;
  std::string controller_;
  std::string cluster_;
  std::array<uint64_t, kRefusals> counts_{};
  double tokens_ = kBurst;
  MonoTime refilled_;
  uint64_t unlogged_ = 0;
};

}  // namespace gs::gateway
