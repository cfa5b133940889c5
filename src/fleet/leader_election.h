// Leader election by one Lease (coordination.k8s.io/v1), with the rules of client-go's
// tools/leaderelection: a lease of another holder is respected for its duration from when *we* saw it
// change, so clocks of machines need not agree; a leader that cannot renew stops before anybody may take
// its lease. Lives on loop 0.
//
// Stricter than client-go in two points: the renew deadline counts from when the last successful renewal
// was *sent*, and is a timer, so that a process that slept past it stops in its first turn; and a leader
// that sees another holder's name stops at once.
#pragma once

#include <string>

#include "json/value.h"
#include "kube/transport.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::fleet {

struct LeaderElectionOptions {
  std::string ns;
  std::string name;
  std::string identity;  // unique to this process
  Duration lease_duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry_period = std::chrono::seconds(2);
};

class LeaderElector {
 public:
  class Observer {
   public:
    virtual void started_leading() = 0;
    // The lease could not be kept: all work ends within this call. It is the elector's last call.
    virtual void lost_leadership(const Error& why) = 0;

   protected:
    ~Observer() = default;
  };

  // `hub` and `observer` outlive the elector.
  LeaderElector(Loop& loop, kube::KubeTransport& hub, LeaderElectionOptions options, Observer& observer);

  void start();
  bool leading() const { return leading_; }
  // Each time that the lease changes hands begins another term; "uid/transitions" of the lease. While leading.
  std::string term() const { return term(0); }
  // The term before. Where it was this process's, or an earlier one's on the same machine, nobody else led since.
  std::string term_before() const { return term(-1); }
  // Who holds the lease, as last seen; empty: nobody, or not known.
  const std::string& holder() const { return observed_.holder; }
  // Why the lease cannot be read or written at present; empty: it can.
  const std::string& problem() const { return problem_; }

  // Stops, and gives the lease back where it is ours, so that the next leader need not wait. All work has
  // ended before. Not called from the observer.
  Task<void> release(MonoTime deadline);

 private:
  // client-go's LeaderElectionRecord, as the Lease holds it.
  struct Record {
    std::string holder;
    std::string renew_time;
    std::string acquire_time;
    int64_t duration_seconds = 0;
    int64_t transitions = 0;
    bool operator==(const Record&) const = default;
  };

  Task<void> run();
  Task<Status> acquire_or_renew(MonoTime deadline);
  Task<Status> read(MonoTime deadline);
  Task<Status> write(Record record, MonoTime deadline);
  Status observe(std::string_view body);
  Record our_record() const;
  std::string term(int64_t offset) const;
  bool held_by_other() const;
  void lost(const Error& why);

  Loop& loop_;
  kube::KubeTransport& hub_;
  LeaderElectionOptions options_;
  Observer& observer_;
  json::Value lease_;  // as last read or written; null: there is none
  Record observed_;
  MonoTime observed_at_{};
  MonoTime renewed_at_{};  // when the last renewal that succeeded was sent
  bool leading_ = false;
  std::string problem_;
  CallbackTimer expiry_;
  TaskScope scope_;
};

}  // namespace gs::fleet
