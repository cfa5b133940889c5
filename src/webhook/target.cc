#include "webhook/target.h"

#include <algorithm>

#include "webhook/events_sink.h"
#include "webhook/target_internal.h"

namespace gs::webhook {
namespace {

using std::chrono::seconds;

constexpr Duration kMaxTimeout = seconds(30);  // of API servers, for both kinds

// What would lock the plane or its delegate out: their own objects, and leases, by which controllers stay alive.
bool exempt(const AdmissionRequest& request, const TargetOptions& options) {
  for (const GroupVersionName& resource : {request.resource, request.request_resource}) {
    if (resource.group == "gulfstream.dev") return true;
    if (resource.group == "coordination.k8s.io" && resource.name == "leases") return true;
    if (options.delegate_namespace.empty()) continue;
    if (request.ns == options.delegate_namespace) return true;
    if (resource.group.empty() && resource.name == "namespaces" && request.name == options.delegate_namespace) return true;
  }
  return false;
}

}  // namespace

Duration review_budget(ReviewKind kind, std::string_view asked, std::optional<Duration> configured) {
  const Duration fallback = configured.value_or(kind == ReviewKind::kAdmission ? seconds(10) : seconds(30));
  Duration budget = parse_go_duration(asked).value_or(fallback);
  if (budget <= Duration::zero()) budget = fallback;
  budget = std::min(budget, kMaxTimeout);
  Duration planned = budget - budget / 10;
  if (configured && budget < *configured) planned -= seconds(1);
  return std::max(planned, budget / 2);
}

Target::Target(TargetOptions options, std::unique_ptr<Reviewer> reviewer, TargetDeps deps)
    : options_(std::make_shared<const TargetOptions>(std::move(options))), reviewer_(std::move(reviewer)), deps_(deps) {}

Target::~Target() = default;

void Target::update(TargetOptions options) { options_ = std::make_shared<const TargetOptions>(std::move(options)); }

void Target::close(std::string why) {
  if (!closed_) closed_ = std::move(why);
  while (!asking_.empty()) {
    Asking& asking = asking_.front();
    asking.unlink();
    asking.cancel();
  }
  reviewer_.reset();
}

Status Target::may_ask(const TargetOptions& options) const {
  if (closed_) return fail(Code::kCancelled, "{}", *closed_);
  if (reviewer_ == nullptr) return fail(Code::kUnavailable, "the plane has no connection to it yet");
  if (asking_now_ < options.max_concurrent) return ok();
  return fail(Code::kTooManyRequests, "has {} reviews of this cluster to answer already (spec.maxConcurrent)", asking_now_);
}

Task<HttpAnswer> Target::serve(ReviewKind kind, std::string body, std::string timeout, MonoTime received) {
  if (kind == ReviewKind::kAdmission) return admission(std::move(body), std::move(timeout), received);
  return conversion(std::move(body), std::move(timeout), received);
}

Task<HttpAnswer> Target::admission(std::string body, std::string timeout, MonoTime received) {
  const MonoTime began = deps_.loop.now();
  const OptionsPtr options = options_;
  auto request = parse_admission_review(std::move(body));
  if (!request) {
    deps_.metrics.reviewed(ReviewKind::kAdmission, Outcome::kMalformed, deps_.loop.now() - began, std::nullopt);
    co_return malformed(std::move(request).error());
  }
  AdmissionAnswer answer(true);
  Outcome outcome = Outcome::kExempt;
  std::optional<Duration> delegate;
  if (!exempt(*request, *options)) {
    const MonoTime deadline = received + review_budget(ReviewKind::kAdmission, timeout, options->configured_timeout);
    const MonoTime asked = deps_.loop.now();
    auto decided = co_await decide(*request, options, deadline);
    delegate = deps_.loop.now() - asked;
    if (decided) {
      answer = enforce(*options, *std::move(decided));
      trouble_.clear();
    } else {
      const Failure failure = explain(*options, decided.error());
      trouble_ = failure.message;
      answer = failure_answer(*options, failure);
      deps_.metrics.failed(failure.reason, failure_choice(*options));
    }
    outcome = !decided ? Outcome::kFailed : answer.allowed ? Outcome::kAllowed : Outcome::kRefused;
    if (deps_.events != nullptr) deps_.events->offer(options->webhook, options->cluster_id, *request, answer);
  }
  std::string text = to_json(*request, answer);
  deps_.metrics.reviewed(ReviewKind::kAdmission, outcome, deps_.loop.now() - began, delegate);
  co_return HttpAnswer(std::move(text));
}

Task<Result<AdmissionAnswer>> Target::decide(const AdmissionRequest& request, OptionsPtr options, MonoTime deadline) {
  GS_CO_TRY_STATUS(may_ask(*options));
  const Held held(asking_now_);
  Task<Result<AdmissionAnswer>> asking = reviewer_->admit(request, deadline);
  auto answer = co_await ask(std::move(asking), deadline);
  if (!answer) co_return answer;
  Status status = check_answer(*answer, options->mutating);
  if (!status) co_return fail(Error(Code::kInvalid, status.error().message));
  co_return answer;
}

}  // namespace gs::webhook
