#include "webhook/proxy_reviewer.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace gs::webhook {
namespace {

constexpr size_t kLoggedBody = 256;
// What the transport says before the reason, since it thinks of writes.
constexpr std::string_view kOutcomeUnknown = "the outcome of the write is unknown: ";

// As API servers say it: whole seconds; but rounded down, so that the server gives up before we do.
std::string target_of(Duration left) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left).count();
  return fmt::format("?timeout={}s", std::max<int64_t>(seconds, 1));
}

}  // namespace

ProxyReviewer::ProxyReviewer(Loop& loop, std::shared_ptr<kube::KubeTransport> server, std::string name, const ReviewOrigin& origin)
    : loop_(loop), server_(std::move(server)), name_(std::move(name)) {
  const auto add = [this](const char* header, const std::string& value) {
    if (!value.empty()) headers_.emplace_back(header, value);
  };
  add("gulfstream-webhook", origin.webhook);
  add("gulfstream-cluster", origin.cluster);
  add("gulfstream-cluster-uid", origin.cluster_uid);
  add("gulfstream-tenant", origin.tenant);
}

Task<Result<AdmissionAnswer>> ProxyReviewer::admit(const AdmissionRequest& request, MonoTime deadline) {
  auto posting = post(request.body.text(), deadline);
  GS_CO_TRY(const std::string body, co_await std::move(posting));
  auto answer = parse_admission_answer(body, request);
  if (!answer) co_return fail(explain(std::move(answer).error()));
  co_return std::move(answer);
}

Task<Result<ConversionAnswer>> ProxyReviewer::convert(const ConversionRequest& request, MonoTime deadline) {
  auto posting = post(request.body.text(), deadline);
  GS_CO_TRY(const std::string body, co_await std::move(posting));
  auto answer = parse_conversion_answer(body, request);
  if (!answer) co_return fail(explain(std::move(answer).error()));
  co_return std::move(answer);
}

Task<Result<std::string>> ProxyReviewer::post(std::string body, MonoTime deadline) {
  if (loop_.now() >= deadline) co_return fail(Code::kDeadlineExceeded, "{}: no time is left to ask it", name_);
  kube::Request request("POST", target_of(deadline - loop_.now()));
  request.content_type = "application/json";
  request.headers = headers_;
  request.body = std::move(body);
  request.deadline = deadline;
  request.repeatable = false;
  auto sending = server_->send(std::move(request));
  auto response = co_await std::move(sending);
  if (!response) co_return fail(explain(std::move(response).error()));
  if (response->status < 200 || response->status > 299) co_return fail(refused(*response));
  logged_status_ = 0;
  co_return std::move(response->body);
}

Error ProxyReviewer::explain(Error why) const {
  // A review that may have reached the server is no decision, and that is all there is to it.
  if (why.code == Code::kUnknownOutcome) {
    std::string_view reason = why.message;
    if (reason.starts_with(kOutcomeUnknown)) reason.remove_prefix(kOutcomeUnknown.size());
    return Error(Code::kUnavailable, fmt::format("{} gave no whole answer: {}", name_, reason));
  }
  if (why.code == Code::kDeadlineExceeded) return Error(Code::kDeadlineExceeded, name_ + " gave no answer in time");
  const bool named = why.message.find(name_) != std::string::npos;
  return named ? std::move(why) : std::move(why).with_context(name_);
}

// What the server wrote is for the log, not for whoever ran kubectl: it may tell more than it should.
Error ProxyReviewer::refused(const kube::Response& response) {
  if (logged_status_ != response.status) {
    logged_status_ = response.status;
    log::warning("a webhook server answers without a review", {{"delegate", name_}, {"status", response.status}, {"body", truncate_utf8(response.body, kLoggedBody)}});
  }
  if (response.status >= 300 && response.status < 400) {
    return Error(Code::kInvalid, fmt::format("{} redirects (status {}); redirects are not followed", name_, response.status));
  }
  const Code code = response.status == 401   ? Code::kUnauthorized
                    : response.status == 403 ? Code::kForbidden
                    : response.status == 404 ? Code::kNotFound
                    : response.status == 429 ? Code::kTooManyRequests
                    : response.status >= 500 ? Code::kUnavailable
                                             : Code::kInvalid;
  return Error(code, fmt::format("{} answered with status {} instead of a review", name_, response.status));
}

}  // namespace gs::webhook
