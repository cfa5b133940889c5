#include "cache/watch_protocol.h"

#include <algorithm>
#include <utility>

#include "base/mutation.h"
#include "kube/transport.h"

namespace gs::cache {
namespace {

// The server does not speak WatchList (old, aggregated or disabled), and never will.
bool refuses_watch_list(const Error& error) {
  return error.code == Code::kInvalid || error.code == Code::kUnsupported || error.code == Code::kTooLarge;
}

bool is_too_large(const Error& error) { return kube::is_too_large_resource_version(error) && !mutated(Mutation::kTooLargeVersionKept); }

// Too old, or newer than anything the server has: it was restored from a backup, or its cache is behind.
bool cannot_have_version(const Error& error) {
  return error.code == Code::kExpired || is_too_large(error);
}

bool parks(const Error& error) { return error.code == Code::kNotFound || error.code == Code::kForbidden; }

}  // namespace

Step WatchProtocol::next() const {
  Step step;
  if (wait_ > Duration::zero()) {
    step.kind = Step::Kind::kWait;
    step.wait = wait_;
    return step;
  }
  step.resource_version = version_;
  if (watching_) {
    step.kind = Step::Kind::kWatch;
    if (mutated(Mutation::kWatchFromNow)) step.resource_version.clear();
  } else if (watch_list_ && !list_this_time_) {
    step.kind = Step::Kind::kWatchList;
    if (version_unavailable_) step.resource_version.clear();
  } else {
    step.kind = Step::Kind::kList;
    step.chunked = !whole_list_;
    // Any version will do for the first list; never go back in time after that; the most recent
    // where the last seen cannot be had (kubernetes/kubernetes#83520).
    if (version_unavailable_) {
      step.resource_version.clear();
    } else if (version_.empty() || mutated(Mutation::kRelistFromAnyVersion)) {
      step.resource_version = "0";
    }
  }
  return step;
}

void WatchProtocol::on_waited(bool kicked) {
  wait_ = Duration::zero();
  if (kicked) parked_ = kFirstParked;
}

void WatchProtocol::healthy() {
  synced_ = true;
  watching_ = true;
  list_this_time_ = false;
  version_unavailable_ = false;
  whole_list_ = false;
  on_watch_opened();
}

void WatchProtocol::on_watch_opened() {
  set_health(Health::kLive, "");
  parked_ = kFirstParked;
}

void WatchProtocol::on_listed(std::string resource_version) {
  version_ = std::move(resource_version);
  healthy();
}

void WatchProtocol::on_watch_list_synced(std::string resource_version) {
  version_ = std::move(resource_version);
  healthy();
}

void WatchProtocol::on_list_failed(const Error& error, int page, MonoTime now, Random& random) {
  if (error.code == Code::kExpired && page > 0 && !whole_list_) {
    // The continue token expired: once more, in one piece. Never for the first page.
    whole_list_ = true;
    return;
  }
  if (cannot_have_version(error)) version_unavailable_ = true;
  failed(error, now, random);
}

void WatchProtocol::on_watch_list_failed(const Error& error, MonoTime now, Random& random) {
  watching_ = false;
  // A refusal for now (429, also "storage is (re)initializing") is honoured; anything else makes
  // progress by a plain list (kubernetes/kubernetes#120984).
  if (error.code == Code::kTooManyRequests || error.code == Code::kUnauthorized || parks(error)) {
    return failed(error, now, random);
  }
  if (cannot_have_version(error)) version_unavailable_ = true;
  list_this_time_ = true;
  if (refuses_watch_list(error)) {
    watch_list_ = false;
    return;
  }
  failed(error, now, random);
}

void WatchProtocol::on_watch_ended(const Error* error, size_t events, Duration open_for, MonoTime now,
                                   Random& random) {
  if (error == nullptr) {
    if (open_for >= kVeryShortWatch || events > 0) return;
    return back_off(Error(Code::kUnavailable, "very short watch: ended at once without an event"), now, random);
  }
  // Relist from the last version or later; the list itself answers whether that can be had.
  if (error->code == Code::kExpired && !mutated(Mutation::kExpiredNotRelisted)) {
    watching_ = false;
    // Ended at once again and again (kubernetes/kubernetes#133810): spread the lists.
    if (open_for < kVeryShortWatch) back_off(*error, now, random);
    return;
  }
  if (parks(*error)) watching_ = false;
  if (is_too_large(*error)) {
    watching_ = false;
    version_unavailable_ = true;
    return back_off(*error, now, random);
  }
  // A stream that broke after having worked is resumed at once.
  if (error->code == Code::kUnavailable && open_for >= kVeryShortWatch) return;
  failed(*error, now, random);
}

void WatchProtocol::failed(const Error& error, MonoTime now, Random& random) {
  if (parks(error)) {
    set_health(error.code == Code::kNotFound ? Health::kMissing : Health::kForbidden, error.message);
    wait_ = random.jitter(parked_, 0.5);
    parked_ = std::min(parked_ * 2, kLastParked);
    return;
  }
  back_off(error, now, random);
}

void WatchProtocol::back_off(const Error& error, MonoTime now, Random& random) {
  if (now - last_failure_ > kBackoffReset) backoff_ = kFirstBackoff;
  last_failure_ = now;
  wait_ = random.jitter(backoff_, 1.0);
  // The server's fixed second is grown too (kubernetes/kubernetes#79805).
  if (error.retry_after && !mutated(Mutation::kRetryAfterIgnored)) wait_ = std::max(wait_, random.jitter(*error.retry_after, 0.5));
  backoff_ = std::min(backoff_ * 2, kLastBackoff);
  set_health(Health::kRetrying, error.message);
}

void WatchProtocol::set_health(Health health, const std::string& reason) {
  health_changed_ |= health != health_ || reason != reason_;
  health_ = health;
  reason_ = reason;
}

}  // namespace gs::cache
