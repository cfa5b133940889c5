#include "fleet/leader_election.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/mutation.h"

namespace gs::fleet {
namespace {

// client-go's JitterFactor: those who wait do not all come at once.
constexpr double kJitter = 1.2;

std::string collection(const std::string& ns) { return fmt::format("/apis/coordination.k8s.io/v1/namespaces/{}/leases", ns); }

}  // namespace

LeaderElector::LeaderElector(Loop& loop, kube::KubeTransport& hub, LeaderElectionOptions options, Observer& observer)
    : loop_(loop),
      hub_(hub),
      options_(std::move(options)),
      observer_(observer),
      expiry_(loop, [this] { lost(Error(Code::kDeadlineExceeded, problem_.empty() ? "the lease was not renewed in time" : problem_)); }),
      scope_(loop) {}

void LeaderElector::start() { scope_.spawn(run()); }

Task<void> LeaderElector::run() {
  log::info("waiting for the lease", {{"namespace", options_.ns}, {"lease", options_.name}, {"identity", options_.identity}});
  while (true) {
    const MonoTime sent = loop_.now();
    const std::string holder = observed_.holder;
    const MonoTime deadline = leading_ ? expiry_.deadline() : saturating_add(sent, options_.renew_deadline);
    auto trying = acquire_or_renew(deadline);
    const Status status = co_await trying;
    const std::string problem = std::exchange(problem_, status ? "" : status.error().message);
    if (status && observed_.holder == options_.identity) {
      renewed_at_ = sent;
      if (!mutated(Mutation::kLeaseKeptTooLong)) expiry_.arm_at(saturating_add(sent, options_.renew_deadline));
      if (!leading_) {
        leading_ = true;
        log::info("became leader", {{"lease", options_.name}, {"transitions", observed_.transitions}});
        observer_.started_leading();
      }
    } else if (!status) {
      if (problem_ != problem) log::warning(leading_ ? "the lease could not be renewed" : "the lease cannot be had", {{"lease", options_.name}, {"err", problem_}});
    } else if (leading_) {
      // Taken although it was ours: from a timer, since losing ends this coroutine too.
      problem_ = "the lease is held by " + observed_.holder;
      expiry_.arm_after(Duration::zero());
      co_return;
    } else if (observed_.holder != holder) {
      log::info("another plane leads", {{"lease", options_.name}, {"holder", observed_.holder}});
    }
    const Duration wait = leading_ ? options_.retry_period : loop_.random().jitter(options_.retry_period, kJitter);
    co_await sleep_for(loop_, wait);
  }
}

// Ok whether it is ours now (observed_.holder tells) or another's still.
Task<Status> LeaderElector::acquire_or_renew(MonoTime deadline) {
  if (leading_) {
    // The usual case needs no reading: nobody writes to our lease.
    auto renewing = write(our_record(), deadline);
    const Status renewed = co_await renewing;
    const bool changed = !renewed && (renewed.error().code == Code::kConflict || renewed.error().code == Code::kNotFound);
    if (!changed) co_return renewed;
  }
  auto reading = read(deadline);
  const Status found = co_await reading;
  if (!found && found.error().code != Code::kNotFound) co_return found;
  if (held_by_other()) co_return ok();
  auto writing = write(our_record(), deadline);
  const Status written = co_await writing;
  // Somebody was quicker; the next try shows who.
  if (!written && (written.error().code == Code::kConflict || written.error().code == Code::kAlreadyExists)) {
    auto again = read(deadline);
    co_return co_await again;
  }
  co_return written;
}

bool LeaderElector::held_by_other() const {
  if (observed_.holder.empty() || observed_.holder == options_.identity || mutated(Mutation::kLeaseTakenEarly)) return false;
  return loop_.now() < saturating_add(observed_at_, std::chrono::seconds(observed_.duration_seconds));
}

std::string LeaderElector::term(int64_t offset) const {
  return fmt::format("{}/{}", lease_.text("metadata.uid"), observed_.transitions + offset);
}

LeaderElector::Record LeaderElector::our_record() const {
  Record record = observed_;
  record.renew_time = format_rfc3339_micro(loop_.wall_now());
  record.duration_seconds = std::chrono::ceil<std::chrono::seconds>(options_.lease_duration).count();
  if (observed_.holder == options_.identity) return record;
  record.holder = options_.identity;
  record.acquire_time = record.renew_time;
  if (!lease_.is_null()) ++record.transitions;
  return record;
}

Task<Status> LeaderElector::read(MonoTime deadline) {
  kube::Request request("GET", collection(options_.ns) + "/" + options_.name);
  request.deadline = deadline;
  auto sending = hub_.send(std::move(request));
  auto response = co_await sending;
  if (!response) co_return fail(std::move(response).error());
  if (response->status == 404) {
    lease_ = json::Value();
    observed_ = Record();
  }
  if (response->status != 200) co_return fail(kube::status_error(response->status, response->body, response->retry_after, loop_.wall_now()));
  co_return observe(response->body);
}

Task<Status> LeaderElector::write(Record record, MonoTime deadline) {
  const bool create = lease_.is_null();
  json::Value body = lease_;
  body["apiVersion"] = "coordination.k8s.io/v1";
  body["kind"] = "Lease";
  body["metadata"]["name"] = options_.name;
  body["metadata"]["namespace"] = options_.ns;
  body["metadata"].object()->erase("managedFields");
  body["spec"]["holderIdentity"] = record.holder;
  body["spec"]["leaseDurationSeconds"] = record.duration_seconds;
  body["spec"]["acquireTime"] = record.acquire_time;
  body["spec"]["renewTime"] = record.renew_time;
  body["spec"]["leaseTransitions"] = record.transitions;
  kube::Request request(create ? "POST" : "PUT", collection(options_.ns) + (create ? "" : "/" + options_.name));
  request.content_type = "application/json";
  request.body = body.dump();
  request.deadline = deadline;
  request.repeatable = false;
  auto sending = hub_.send(std::move(request));
  auto response = co_await sending;
  if (!response) co_return fail(std::move(response).error());
  if (response->status / 100 != 2) co_return fail(kube::status_error(response->status, response->body, response->retry_after, loop_.wall_now()));
  co_return observe(response->body);
}

Status LeaderElector::observe(std::string_view body) {
  auto lease = json::parse(body);
  if (!lease || lease->text("metadata.resourceVersion").empty()) return fail(Code::kInternal, "the answer is not a Lease");
  const auto number = [&](const char* path) {
    const json::Value* value = lease->at(path);
    return value != nullptr ? value->integer().value_or(0) : 0;
  };
  Record record;
  record.holder = lease->text("spec.holderIdentity");
  record.renew_time = lease->text("spec.renewTime");
  record.acquire_time = lease->text("spec.acquireTime");
  record.duration_seconds = number("spec.leaseDurationSeconds");
  record.transitions = number("spec.leaseTransitions");
  lease_ = *std::move(lease);
  // Its time counts from when we saw it change, by our own clock.
  if (record == observed_) return ok();
  observed_ = std::move(record);
  observed_at_ = loop_.now();
  return ok();
}

// From the timer: everything but the elector itself goes.
void LeaderElector::lost(const Error& why) {
  leading_ = false;
  scope_.cancel();
  log::error("lost the lease", {{"lease", options_.name}, {"err", why}});
  observer_.lost_leadership(why);
}

Task<void> LeaderElector::release(MonoTime deadline) {
  scope_.cancel();
  expiry_.disarm();
  if (!leading_) co_return;
  leading_ = false;
  // Our last renewal may have been cut off on its way, so the lease is read first.
  while (loop_.now() < deadline) {
    auto reading = read(deadline);
    const Status found = co_await reading;
    if (found && observed_.holder != options_.identity) co_return;
    if (found) {
      Record record = our_record();
      record.holder.clear();
      record.duration_seconds = 1;
      record.acquire_time = record.renew_time;
      auto writing = write(std::move(record), deadline);
      const Status written = co_await writing;
      if (written) {
        log::info("gave the lease back", {{"lease", options_.name}});
        co_return;
      }
    }
    const MonoTime again = std::min(deadline, saturating_add(loop_.now(), options_.retry_period / 4));
    co_await sleep_until(loop_, again);
  }
  log::warning("the lease could not be given back; the next leader waits for it", {{"lease", options_.name}, {"err", problem_}});
}

}  // namespace gs::fleet
