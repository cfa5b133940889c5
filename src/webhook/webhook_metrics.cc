#include "webhook/webhook_metrics.h"

namespace gs::webhook {
namespace {

// Finer than latency_buckets(): what the plane itself takes is tens of microseconds.
const std::vector<double>& review_buckets() {
  static const std::vector<double> buckets{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                           0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10,   30};
  return buckets;
}

std::string outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAllowed: return "allowed";
    case Outcome::kRefused: return "refused";
    case Outcome::kExempt: return "exempt";
    case Outcome::kConverted: return "converted";
    case Outcome::kCached: return "cached";
    case Outcome::kByRule: return "by_rule";
    case Outcome::kFailed: return "failed";
    case Outcome::kMalformed: return "malformed";
  }
  return "";
}

std::string choice_name(FailureChoice choice) {
  switch (choice) {
    case FailureChoice::kRefused: return "refused";
    case FailureChoice::kAllowed: return "allowed";
    case FailureChoice::kWarned: return "warned";
    case FailureChoice::kAudited: return "audited";
    case FailureChoice::kByRule: return "by_rule";
    case FailureChoice::kNone: return "failed";
  }
  return "";
}

}  // namespace

std::string_view reason_name(FailureReason reason) {
  switch (reason) {
    case FailureReason::kTimeout: return "timeout";
    case FailureReason::kUnavailable: return "unavailable";
    case FailureReason::kOverloaded: return "overloaded";
    case FailureReason::kInvalidAnswer: return "invalid_answer";
    case FailureReason::kDelegateError: return "delegate_error";
    case FailureReason::kRemoved: return "removed";
  }
  return "";
}

WebhookMetrics::WebhookMetrics(Metrics& metrics, std::string webhook)
    : metrics_(metrics),
      webhook_(std::move(webhook)),
      whole_(metrics.histogram("gulfstream_webhook_review_duration_seconds", "From a review's whole body to its answer",
                               review_buckets(), {{"webhook", webhook_}})),
      delegate_(metrics.histogram("gulfstream_webhook_delegate_duration_seconds", "Of a review, waiting for the delegate",
                                  review_buckets(), {{"webhook", webhook_}})) {}

void WebhookMetrics::reviewed(ReviewKind kind, Outcome outcome, Duration whole, std::optional<Duration> delegate) {
  Counter*& counter = reviews_[static_cast<size_t>(kind)][static_cast<size_t>(outcome)];
  if (counter == nullptr) {
    counter = &metrics_.counter("gulfstream_webhook_reviews_total", "Reviews by what came of them",
                                {{"webhook", webhook_},
                                 {"kind", kind == ReviewKind::kAdmission ? "admission" : "conversion"},
                                 {"outcome", outcome_name(outcome)}});
  }
  counter->increment();
  whole_.observe(to_seconds(whole));
  if (delegate) delegate_.observe(to_seconds(*delegate));
}

void WebhookMetrics::failed(FailureReason reason, FailureChoice choice) {
  metrics_
      .counter("gulfstream_webhook_failures_total", "Reviews without a decision, by why and by what was answered instead",
               {{"webhook", webhook_}, {"reason", std::string(reason_name(reason))}, {"answer", choice_name(choice)}})
      .increment();
}

}  // namespace gs::webhook
