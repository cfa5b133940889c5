// The reviews of a session: admissions and conversions. Somebody waits for each, and none has a key: what
// is no longer waited for only owes its credit.
#include "base/log.h"
#include "base/mutation.h"
#include "delegate/session_internal.h"
#include "delegate/wire.h"

namespace gs::delegate {
namespace {

template <class Message>
void address(Message& message, uint64_t id, uint32_t pair, uint64_t config_revision, uint32_t deadline_ms) {
  message.set_id(id);
  message.set_pair(pair);
  message.set_config_revision(config_revision);
  message.set_deadline_ms(deadline_ms);
}

}  // namespace

Session::Review::~Review() {
  session.abandon(*this, why);
  session.reviews_.erase(id);
  forget_calls();
  session.stop_if_all_overdue();
}

Status Session::begin(Review& entry, const PairView& pair, pb::PlaneMessage& request, MonoTime deadline) {
  if (!usable()) return fail(Code::kUnavailable, "the stream to the delegate takes no new work");
  GS_TRY(const uint32_t number, announce(pair));
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - loop_.now()).count();
  const auto deadline_ms = static_cast<uint32_t>(std::clamp<int64_t>(left, 1, UINT32_MAX));
  if (request.has_admit()) {
    address(*request.mutable_admit(), entry.id, number, pair.configs.revision, deadline_ms);
  } else {
    address(*request.mutable_convert(), entry.id, number, pair.configs.revision, deadline_ms);
  }
  GS_TRY_STATUS(send(request));
  entry.asked = request.message_case();
  reviews_[entry.id] = &entry;
  return ok();
}

Task<Result<ReviewReply>> Session::review(const PairView& pair, pb::PlaneMessage& request, MonoTime deadline, CallHandler& handler) {
  Review entry(*this, pair, handler);
  const Status begun = begin(entry, pair, request, deadline);
  if (!begun) co_return fail(begun.error());
  ++stats_.reviews;
  const MonoTime sent_at = loop_.now();
  while (!entry.finished && (loop_.now() < deadline || mutated(Mutation::kReviewDeadlineIgnored))) {
    co_await entry.changed.wait(mutated(Mutation::kReviewDeadlineIgnored) ? kNoDeadline : deadline);
  }
  idle_since_ = loop_.now();
  if (!entry.finished) {
    ++stats_.review_timeouts;
    entry.why = "deadline exceeded";
    co_return fail(Code::kDeadlineExceeded, "the delegate gave no answer within {}", format_go_duration(deadline - sent_at));
  }
  if (entry.reply) entry.reply->made_calls = entry.made_calls;
  co_return std::move(entry.reply);
}

// Nobody waits for its answer any more. The delegate still works on it for a moment, so its credit is held.
void Session::abandon(Review& entry, const std::string& why) {
  if (entry.finished || ended_ || !reviews_.contains(entry.id)) return;
  owed_[entry.id] = saturating_add(loop_.now(), kCancelGrace);
  if (!forgive_.armed()) forgive_.arm_at(owed_[entry.id]);
  static_cast<void>(send(cancel_message(entry.id, why)));
}

void Session::forgive_owed() {
  if (mutated(Mutation::kReviewCreditLeaked)) return;
  const MonoTime now = loop_.now();
  // In the order of ids, which is not that of their ends.
  stats_.lost_reviews += std::erase_if(owed_, [now](const auto& entry) { return entry.second <= now; });
  MonoTime next = kNoDeadline;
  for (const auto& [id, until] : owed_) next = std::min(next, until);
  forgive_.arm_at(next);
  listener_.session_changed();
}

void Session::on_review_answer(uint64_t id, pb::DelegateMessage& message) {
  if (owed_.erase(id) > 0) return listener_.session_changed();
  const auto found = mutated(Mutation::kReviewAnswersMixed) ? reviews_.begin() : reviews_.find(id);
  if (found == reviews_.end() || found->second->finished) {
    if (stats_.protocol_errors++ == 0) {
      log::warning("an answer of no review in flight; such are counted from here on", {{"delegate", peer_.identity}, {"reviewID", id}});
    }
    return;
  }
  Review& entry = *found->second;
  const bool admission = entry.asked == pb::PlaneMessage::kAdmit;
  if (admission != message.has_admitted()) {
    ++stats_.protocol_errors;
    return entry.end(fail(Code::kInternal, "the delegate answered {}", admission ? "an Admit with Converted" : "a Convert with Admitted"));
  }
  ReviewReply reply;
  reply.message = std::move(message);
  entry.end(std::move(reply));
}

void Session::close_reviews(PairId pair) {
  for (auto& [id, entry] : reviews_) {
    if (entry->pair != pair || entry->finished) continue;
    abandon(*entry, "the pair ended");
    entry->end(fail(Code::kCancelled, "the Webhook ended, or its Cluster"));
  }
}

void Session::end_reviews(const Error& why) {
  owed_.clear();
  for (auto& [id, entry] : reviews_) {
    if (!entry->finished) entry->end(fail(Code::kUnavailable, "the stream to the delegate was lost: {}", why.message));
  }
}

}  // namespace gs::delegate
