#include "apiserver/faults.h"

#include "base/strings.h"

namespace gs::apiserver {

RequestFault RandomFaults::on_request(const gateway::RestRequest& request) {
  RequestFault fault;
  const bool reads = request.verb == gateway::Verb::kList || request.verb == gateway::Verb::kWatch;
  if (random_.chance(rates.delay)) fault.delay = random_.between(Duration(0), rates.longest_delay);
  if (random_.chance(rates.too_many_requests)) {
    fault.status = 429;
    fault.retry_after = static_cast<int>(random_.below(static_cast<uint64_t>(rates.longest_retry_after) + 1));
  } else if (random_.chance(rates.unavailable)) {
    fault.status = random_.chance(0.5) ? 500 : 503;
  } else if (reads && random_.chance(rates.expired)) {
    fault.status = 410;
  } else if (request.options.contains("sendInitialEvents") && random_.chance(rates.no_watch_list)) {
    fault.status = 400;
  }
  if (rates.behind > 0 && request.option("resourceVersionMatch") == "NotOlderThan" && parse_uint(request.option("resourceVersion")).value_or(0) > 0 && random_.chance(rates.behind)) {
    fault.status = 504;
  }
  if (random_.chance(rates.answer_cut)) fault.answer = RequestFault::Answer::kCut;
  if (random_.chance(rates.answer_never)) fault.answer = RequestFault::Answer::kNever;
  if (random_.chance(rates.stale)) fault.stale_by = 1 + random_.below(20);
  return fault;
}

WatchFault RandomFaults::on_watch() {
  WatchFault fault;
  const auto when = [&] { return random_.between(Duration(0), rates.longest_watch); };
  if (rates.watch_late > 0) {
    fault.early_bookmark = random_.chance(0.5);
    if (random_.chance(rates.watch_late)) fault.late = random_.between(Duration(0), rates.longest_delay);
  }
  if (random_.chance(rates.watch_silent)) fault.silent_after = when();
  if (random_.chance(rates.watch_cut)) fault.cut_after = when();
  if (random_.chance(rates.watch_expired)) fault.expire_after = when();
  return fault;
}

}  // namespace gs::apiserver
