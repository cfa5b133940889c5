// Who decides: a delegate's session, an existing webhook server behind HTTPS, or a fake in a test. Lives on its target's loop.
#pragma once

#include <string>

#include "runtime/task.h"
#include "webhook/review.h"

namespace gs::webhook {

class Reviewer {
 public:
  virtual ~Reviewer() = default;

  // The decision as the delegate gave it: what enforces, validates and falls back is the target. The request outlives the
  // task, which may be destroyed at any await: that cancels the review at the delegate. Errors:
  //   kDeadlineExceeded  no answer by `deadline`
  //   kUnavailable       not reached, or the connection broke
  //   kTooManyRequests   it has no room now
  //   kInvalid           an answer that means nothing; the message is for the delegate's author
  //   any other          it failed in its own words
  // Messages are shown to whoever ran kubectl, so nothing that was read from the cluster may be in them.
  virtual Task<Result<AdmissionAnswer>> admit(const AdmissionRequest& request, MonoTime deadline) = 0;
  virtual Task<Result<ConversionAnswer>> convert(const ConversionRequest& request, MonoTime deadline) = 0;

  // Of the delegate's logic and the configs it has now, for the conversion cache: two reviews with equal revisions are
  // converted alike. Empty: unknown, then nothing is cached.
  virtual std::string revision() const = 0;
};

}  // namespace gs::webhook
