// What is answered where there is no decision, and what becomes of a decision that is not enforced. Pure. Internal.
#pragma once

#include <string>

#include "webhook/target.h"

namespace gs::webhook {

struct Failure {
  FailureReason reason;
  std::string message;  // which Webhook, which delegate, what happened
  int code;             // HTTP status and reason of a refusal for it
  std::string_view status_reason;
};

// Why the reviewer's error means that there is no decision, for whoever ran kubectl.
Failure explain(const TargetOptions& options, const Error& error);
FailureChoice failure_choice(const TargetOptions& options);
// The Webhook's choice, with what to do about it.
AdmissionAnswer failure_answer(const TargetOptions& options, const Failure& failure);

// The decision under the Webhook's enforcement: Warn and Audit report and neither refuse nor patch.
AdmissionAnswer enforce(const TargetOptions& options, AdmissionAnswer decision);

// "1.5s", "350ms".
std::string short_duration(Duration duration);

}  // namespace gs::webhook
