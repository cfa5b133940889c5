// The reviews of a client: which stream decides, who is waited for, and the second try.
#include "delegate/client.h"
#include "delegate/session_internal.h"
#include "delegate/wire.h"

namespace gs::delegate {
namespace {

// A delegate that failed fewer dials in a row may be restarting: with the breaker's pauses that is about a second.
constexpr unsigned kPatientFailures = 3;

}  // namespace

Task<Result<AdmissionVerdict>> Client::admit(const PairView& pair, Admission admission, MonoTime deadline, CallHandler& handler) {
  pb::PlaneMessage request = admit_message(admission);
  Task<Result<ReviewReply>> reviewing = review(pair, request, deadline, handler);
  GS_CO_TRY(ReviewReply reply, co_await std::move(reviewing));
  co_return read_admitted(reply.message.admitted());
}

Task<Result<ConversionVerdict>> Client::convert(const PairView& pair, Conversion conversion, MonoTime deadline, CallHandler& handler) {
  pb::PlaneMessage request = convert_message(conversion);
  Task<Result<ReviewReply>> reviewing = review(pair, request, deadline, handler);
  GS_CO_TRY(ReviewReply reply, co_await std::move(reviewing));
  ConversionVerdict verdict = read_converted(*reply.message.mutable_converted());
  verdict.made_calls = reply.made_calls;
  verdict.revision = std::move(reply.revision);
  co_return std::move(verdict);
}

// Those who came before are served before. From pick() to the endpoint's own task nothing is awaited: the stream is there.
Task<Result<ReviewReply>> Client::review(const PairView& pair, pb::PlaneMessage& request, MonoTime deadline, CallHandler& handler) {
  const uint64_t hash = state_of(pair).hash;
  for (bool again = false;; again = true) {
    Endpoint* endpoint = review_room_.empty() ? pick(hash, Kind::kReview) : nullptr;
    while (endpoint == nullptr) {
      if (auto why = why_not_wait(deadline)) co_return fail(*std::move(why));
      update_ready();
      const Waiting waiting(waiting_reviews_, pair.id);
      co_await review_room_.wait(deadline);
      if (waiting.given_up) co_return fail(Code::kCancelled, "the Webhook ends, or its Cluster, or the plane");
      endpoint = pick(hash, Kind::kReview);
    }
    note_peer(pair.id, state_of(pair), endpoint->peer());
    std::string revision = endpoint->peer().revision;
    Task<Result<ReviewReply>> asking = endpoint->review(pair, request, deadline, handler);
    Result<ReviewReply> reply = co_await std::move(asking);
    review_room_.wake_one();
    if (stopping_) wake();  // drain() counts
    if (reply) reply->revision = std::move(revision);
    const bool lost = !reply && reply.error().code == Code::kUnavailable;
    if (!lost || again || stopping_) co_return std::move(reply);
  }
}

std::optional<Error> Client::why_not_wait(MonoTime deadline) const {
  if (stopping_) return Error(Code::kCancelled, "the plane stops");
  if (auto why = hopeless()) return why;
  if (loop_.now() < deadline) return std::nullopt;
  if (connected()) return Error(Code::kTooManyRequests, fmt::format("{} had no room for the review in time", origin()));
  return Error(Code::kDeadlineExceeded, fmt::format("{} could not be reached in time", origin()));
}

// Why no stream will take a review soon; nullopt where one may.
std::optional<Error> Client::hopeless() const {
  if (endpoints_.empty()) return names_.failures() < kPatientFailures ? std::nullopt : std::optional(Error(Code::kUnavailable, trouble().message));
  bool speechless = false;
  for (const auto& endpoint : endpoints_) {
    if (endpoint->connected()) {
      if (endpoint->peer().webhooks) return std::nullopt;
      speechless = true;
    } else if (endpoint->dialling_since() != kNoDeadline || endpoint->breaker().failures() < kPatientFailures) {
      return std::nullopt;
    }
  }
  if (speechless) return Error(Code::kUnsupported, fmt::format("{} serves no webhooks: \"webhooks\" is not among the capabilities of its Hello", origin()));
  return Error(Code::kUnavailable, trouble().message);
}

}  // namespace gs::delegate
