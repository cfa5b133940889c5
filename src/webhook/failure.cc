#include "webhook/failure.h"

#include <algorithm>

#include "base/strings.h"
#include "json/scan.h"

namespace gs::webhook {
namespace {

// API servers cut warnings at 256 bytes where there are many.
constexpr size_t kMaxWarningBytes = 256;
constexpr size_t kMaxAnnotationBytes = 1024;
constexpr size_t kMaxReasonBytes = 200;

// Warnings travel in a header: no control characters.
std::string one_line(std::string_view text, size_t max) {
  std::string out = truncate_utf8(text, max);
  std::replace_if(out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

FailureReason reason_of(Code code) {
  switch (code) {
    case Code::kDeadlineExceeded: return FailureReason::kTimeout;
    case Code::kUnavailable: return FailureReason::kUnavailable;
    case Code::kTooManyRequests: return FailureReason::kOverloaded;
    case Code::kInvalid:
    case Code::kTooLarge: return FailureReason::kInvalidAnswer;
    case Code::kCancelled: return FailureReason::kRemoved;
    default: return FailureReason::kDelegateError;
  }
}

// Between "its delegate URL" and the error's own words.
std::string_view verb(FailureReason reason) {
  switch (reason) {
    case FailureReason::kTimeout:
    case FailureReason::kOverloaded: return " ";
    case FailureReason::kRemoved: return ": ";
    case FailureReason::kUnavailable: return " cannot be reached: ";
    case FailureReason::kInvalidAnswer: return " gave an answer that cannot be used: ";
    case FailureReason::kDelegateError: return " failed: ";
  }
  return " ";
}

std::string advice(const TargetOptions& options, FailureReason reason) {
  if (reason == FailureReason::kOverloaded) return "Try again in a moment.";
  return fmt::format("Try again; if it stays so, those who run the plane see why with `kubectl describe webhooks.gulfstream.dev {}`, and "
                     "what is answered then is their spec.onFailure.",
                     options.webhook);
}

size_t operations(std::string_view patch) {
  size_t count = 0;
  json::for_each_element(patch, [&](std::string_view) { ++count; });
  return count;
}

std::string refusal_text(const AdmissionAnswer& decision) {
  if (!decision.message.empty()) return decision.message;
  return decision.reason.empty() ? "without explanation" : decision.reason;
}

}  // namespace

std::string short_duration(Duration duration) {
  return format_go_duration(std::chrono::duration_cast<std::chrono::milliseconds>(duration));
}

Failure explain(const TargetOptions& options, const Error& error) {
  const FailureReason reason = reason_of(error.code);
  const std::string who = reason == FailureReason::kRemoved ? fmt::format("Webhook \"{}\"", options.webhook)
                                                            : fmt::format("Webhook \"{}\": its delegate {}", options.webhook, options.delegate);
  Failure failure{reason, who + std::string(verb(reason)) + one_line(error.message, kMaxReasonBytes), 500, "InternalError"};
  if (reason == FailureReason::kTimeout) failure.code = 504, failure.status_reason = "Timeout";
  if (reason == FailureReason::kUnavailable || reason == FailureReason::kRemoved) failure.code = 503, failure.status_reason = "ServiceUnavailable";
  if (reason == FailureReason::kOverloaded) failure.code = 429, failure.status_reason = "TooManyRequests";
  return failure;
}

FailureChoice failure_choice(const TargetOptions& options) {
  if (options.enforcement == Enforcement::kWarn) return FailureChoice::kWarned;
  if (options.enforcement == Enforcement::kAudit) return FailureChoice::kAudited;
  switch (options.on_failure) {
    case OnFailure::kRefuse: return FailureChoice::kRefused;
    case OnFailure::kAllow: return FailureChoice::kAllowed;
    case OnFailure::kAllowWithWarning: return FailureChoice::kWarned;
  }
  return FailureChoice::kRefused;
}

AdmissionAnswer failure_answer(const TargetOptions& options, const Failure& failure) {
  const FailureChoice choice = failure_choice(options);
  AdmissionAnswer answer(choice != FailureChoice::kRefused);
  if (!answer.allowed) {
    answer.code = failure.code;
    answer.reason = failure.status_reason;
    answer.message = failure.message + ". " + advice(options, failure.reason);
    if (failure.reason == FailureReason::kOverloaded) answer.retry_after_seconds = 1;
    return answer;
  }
  if (choice == FailureChoice::kWarned) answer.warnings.push_back(one_line("allowed unseen: " + failure.message, kMaxWarningBytes));
  answer.audit_annotations.emplace_back("allowed-unseen", fmt::format("{}: {}", reason_name(failure.reason), failure.message));
  return answer;
}

AdmissionAnswer enforce(const TargetOptions& options, AdmissionAnswer decision) {
  if (options.enforcement == Enforcement::kEnforce) return decision;
  const bool warn = options.enforcement == Enforcement::kWarn;
  AdmissionAnswer answer(true);
  answer.audit_annotations = std::move(decision.audit_annotations);
  if (!decision.allowed) {
    const std::string refusal = refusal_text(decision);
    if (warn) answer.warnings.push_back(one_line(fmt::format("Webhook \"{}\" would refuse this: {}", options.webhook, refusal), kMaxWarningBytes));
    answer.audit_annotations.emplace_back("would-refuse", truncate_utf8(refusal, kMaxAnnotationBytes));
  }
  if (!decision.patch.empty()) {
    answer.audit_annotations.emplace_back("would-patch", fmt::format("{} operations", operations(decision.patch)));
  }
  if (warn) {
    for (std::string& warning : decision.warnings) answer.warnings.push_back(std::move(warning));
  } else if (!decision.warnings.empty()) {
    answer.audit_annotations.emplace_back("would-warn", truncate_utf8(join(decision.warnings, "; "), kMaxAnnotationBytes));
  }
  return answer;
}

}  // namespace gs::webhook
