// What is counted of one Webhook, over all clusters: bounded series. One for each loop, shared by the Webhook's targets there.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/metrics.h"
#include "base/time.h"
#include "webhook/review.h"

namespace gs::webhook {

enum class Outcome { kAllowed, kRefused, kExempt, kConverted, kCached, kByRule, kFailed, kMalformed };
inline constexpr size_t kOutcomes = static_cast<size_t>(Outcome::kMalformed) + 1;
// Why there was no decision.
enum class FailureReason { kTimeout, kUnavailable, kOverloaded, kInvalidAnswer, kDelegateError, kRemoved };
enum class FailureChoice { kRefused, kAllowed, kWarned, kAudited, kByRule, kNone };

std::string_view reason_name(FailureReason reason);

class WebhookMetrics {
 public:
  // `metrics` outlives this.
  WebhookMetrics(Metrics& metrics, std::string webhook);

  void reviewed(ReviewKind kind, Outcome outcome, Duration whole, std::optional<Duration> delegate);
  // Besides, where there was no decision.
  void failed(FailureReason reason, FailureChoice choice);

 private:
  Metrics& metrics_;
  std::string webhook_;
  std::array<std::array<Counter*, kOutcomes>, 2> reviews_{};  // by kind; each made when it first counts
  Histogram& whole_;     // from the whole body to the answer
  Histogram& delegate_;  // of it, waiting for the delegate
};

}  // namespace gs::webhook
