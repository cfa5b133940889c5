// Conversions: from the cache, by the delegate, by rules, in this order. A conversion webhook has no failure policy, and one
// that does not answer stops garbage collection and the deletion of namespaces in the whole cluster.
#include "webhook/conversion_cache.h"
#include "webhook/converted.h"
#include "webhook/failure.h"
#include "webhook/target_internal.h"

namespace gs::webhook {
namespace {

Error object_error(size_t index, Error error) {
  return Error(Code::kInvalid, fmt::format("converted object {}: {}", index, error.message));
}

}  // namespace

// A review's objects, and what became of them so far.
struct Target::Conversion {
  explicit Conversion(ConversionRequest r) : request(std::move(r)), originals(request.objects), converted(originals.size()) {}
  ConversionRequest request;  // its objects: those that are still to be converted
  std::vector<std::string_view> originals;
  std::vector<std::string> converted;
  std::vector<size_t> missing;  // indexes of those
  std::vector<ConversionKey> keys;  // of the originals; empty where nothing may be cached
  std::string revision;
};

// Fills in what the cache knows.
void Target::look_up(Conversion& work, const TargetOptions& options) {
  work.revision = reviewer_ == nullptr ? "" : reviewer_->revision();
  const bool cached = deps_.cache != nullptr && !options.cache_scope.empty() && !work.revision.empty();
  work.request.objects.clear();
  for (size_t i = 0; i < work.originals.size(); ++i) {
    if (cached) {
      work.keys.push_back(conversion_key(options.cache_scope, work.revision, work.request.desired_api_version, work.originals[i]));
      const std::string* known = deps_.cache->find(work.keys.back());
      auto settled = known == nullptr ? Result<std::string>() : settle_converted(work.originals[i], *known, work.request.desired_api_version);
      if (known != nullptr && settled) {
        work.converted[i] = *std::move(settled);
        continue;
      }
    }
    work.missing.push_back(i);
    work.request.objects.push_back(work.originals[i]);
  }
}

// What the delegate gave for what was missing, checked as API servers do.
Status Target::adopt(Conversion& work, const TargetOptions& options, ConversionAnswer answer) {
  if (answer.objects.size() != work.missing.size()) {
    return fail(Code::kInvalid, "{} objects converted, not {}", answer.objects.size(), work.missing.size());
  }
  for (size_t i = 0; i < work.missing.size(); ++i) {
    const size_t index = work.missing[i];
    auto settled = settle_converted(work.originals[index], answer.objects[i], work.request.desired_api_version);
    if (!settled) return fail(object_error(index, std::move(settled).error()));
    work.converted[index] = *std::move(settled);
  }
  // The delegate may have become another meanwhile; and which it is may be known only since it answered.
  const bool known = !answer.revision.empty() && reviewer_ != nullptr && reviewer_->revision() == answer.revision;
  if (answer.made_reads || !known || deps_.cache == nullptr || options.cache_scope.empty()) return ok();
  const bool looked_up = !work.keys.empty() && answer.revision == work.revision;
  for (const size_t index : work.missing) {
    const ConversionKey key = looked_up ? work.keys[index]
                                        : conversion_key(options.cache_scope, answer.revision, work.request.desired_api_version, work.originals[index]);
    deps_.cache->put(key, work.converted[index]);
  }
  return ok();
}

Status Target::by_rules(Conversion& work, const TargetOptions& options) {
  for (const size_t index : work.missing) {
    GS_TRY(const std::string converted, options.conversion.convert(work.originals[index], work.request.desired_api_version));
    GS_TRY(work.converted[index], settle_converted(work.originals[index], converted, work.request.desired_api_version));
  }
  return ok();
}

// The delegate's part. A failure that it states is its decision: rules do not overrule it.
Task<Status> Target::by_delegate(Conversion& work, OptionsPtr options, MonoTime deadline, std::string* stated) {
  GS_CO_TRY_STATUS(may_ask(*options));
  const Held held(asking_now_);
  Task<Result<ConversionAnswer>> asking = reviewer_->convert(work.request, deadline);
  auto answer = co_await ask(std::move(asking), deadline);
  if (!answer) co_return fail(std::move(answer).error());
  if (!answer->failure.empty()) {
    *stated = std::move(answer->failure);
    co_return ok();
  }
  co_return adopt(work, *options, *std::move(answer));
}

Task<HttpAnswer> Target::conversion(std::string body, std::string timeout, MonoTime received) {
  const MonoTime began = deps_.loop.now();
  const OptionsPtr options = options_;
  auto request = parse_conversion_review(std::move(body));
  if (!request) {
    deps_.metrics.reviewed(ReviewKind::kConversion, Outcome::kMalformed, deps_.loop.now() - began, std::nullopt);
    co_return malformed(std::move(request).error());
  }
  Conversion work(*std::move(request));
  look_up(work, *options);
  ConversionAnswer answer;
  Outcome outcome = Outcome::kCached;
  std::optional<Duration> delegate;
  if (!work.missing.empty()) {
    const MonoTime asked = deps_.loop.now();
    const MonoTime deadline = received + review_budget(ReviewKind::kConversion, timeout, options->configured_timeout);
    Status status = co_await by_delegate(work, options, deadline, &answer.failure);
    delegate = deps_.loop.now() - asked;
    outcome = Outcome::kConverted;
    if (status) trouble_.clear();
    if (!answer.failure.empty()) outcome = Outcome::kFailed;
    if (!status) outcome = fall_back(work, *options, status.error(), answer);
  }
  answer.objects = std::move(work.converted);
  std::string text = to_json(work.request, answer);
  deps_.metrics.reviewed(ReviewKind::kConversion, outcome, deps_.loop.now() - began, delegate);
  co_return HttpAnswer(std::move(text));
}

Outcome Target::fall_back(Conversion& work, const TargetOptions& options, const Error& why, ConversionAnswer& answer) {
  const Status ruled = by_rules(work, options);
  // Without a delegate the rules are what was asked for, not a way out.
  const bool alone = reviewer_ == nullptr && !closed_ && options.delegate.empty();
  if (ruled && alone) return Outcome::kByRule;
  const Failure failure = explain(options, why);
  trouble_ = failure.message;
  deps_.metrics.failed(failure.reason, ruled ? FailureChoice::kByRule : FailureChoice::kNone);
  if (ruled) return Outcome::kByRule;
  answer.failure = failure.message;
  if (!options.conversion.empty()) answer.failure += fmt::format("; and by the Webhook's own rules: {}", ruled.error().message);
  return Outcome::kFailed;
}

}  // namespace gs::webhook
