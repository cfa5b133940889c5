// Status of Controllers, Webhooks and Clusters, written to the hub: conditions, counts, facts. Level-triggered: what the
// engines report is compared with what the hub has, and only a difference is written, at most one write an
// object and second, and kWritesPerSecond in all. By merge patches of /status that carry the resource version which they
// were made for, so that an object that was deleted and made anew never gets the status of its predecessor. (Its uid would
// not do: a custom resource's status strategy puts the old metadata back before anything looks at it;
// apiextensions-apiserver/pkg/registry/customresource/status_strategy.go.) Lives on loop 0.
#pragma once

#include <map>
#include <string>

#include "control/hub_source.h"
#include "control/report.h"
#include "kube/transport.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::control {

class StatusWriter {
 public:
  static constexpr Duration kPerObject = std::chrono::seconds(1);
  static constexpr double kWritesPerSecond = 20;
  static constexpr double kBurst = 50;
  static constexpr size_t kConcurrent = 8;
  // What is held back by the budget is looked at again after this.
  static constexpr Duration kSweepPeriod = std::chrono::milliseconds(200);
  static constexpr Duration kAfterFailure = std::chrono::seconds(5);
  static constexpr Duration kTimeout = std::chrono::seconds(10);
  // `lastSeen` alone is no reason to write more often than this.
  static constexpr Duration kLastSeenPeriod = std::chrono::minutes(10);
  // A write that the hub's watch has not shown for so long is taken for lost, or undone by somebody.
  static constexpr Duration kEchoPatience = std::chrono::seconds(15);

  // `source` and `hub` outlive the writer.
  StatusWriter(Loop& loop, const HubSource& source, kube::KubeTransport& hub);

  // What is to be shown from now on. Begins the writes that it takes; none are queued beyond the objects
  // there are.
  void update(Report report);
  // Writes what is still different; false: not all of it before the deadline.
  Task<bool> flush(MonoTime deadline);

  uint64_t writes() const { return writes_; }
  uint64_t failures() const { return failures_; }

 private:
  // What we know of an object's status beyond the hub's cache.
  struct Written {
    std::string uid;
    std::string content;  // as written last, while the watch has yet to show it
    MonoTime at{};
    MonoTime not_before{};
    bool in_flight = false;
    bool seen = false;
    kube::ObjectRef settled;    // compared, and found to be as it should be
    kube::ObjectRef overtaken;  // a write for it met a conflict: the watch is to show what the hub has
  };

  struct Candidate;

  void sweep();
  void sweep_at(MonoTime time);
  bool is_due(Candidate& candidate);
  bool has_room();
  void consider(const Candidate& candidate);
  static std::string content_of(json::Value status);
  Task<void> write(std::string path, kube::ObjectRef object, std::string body);
  void failed(const std::string& path, const kube::ObjectRef& object, const Error& why);

  Loop& loop_;
  const HubSource& source_;
  kube::KubeTransport& hub_;
  Report report_;
  std::map<std::string, Written> written_;  // by path of the object
  double tokens_ = kBurst;
  MonoTime tokens_at_;
  size_t in_flight_ = 0;
  bool all_written_ = true;
  bool farewell_ = false;
  uint64_t writes_ = 0;
  uint64_t failures_ = 0;
  WaitQueue progress_;
  CallbackTimer again_;
  TaskScope scope_;
};

// The status of an object as it should be, given the one it has (raw JSON or empty): transition times are
// kept where a condition's status did not change, and lastSeen where it is recent enough. Pure.
json::Value controller_status(const ControllerReport& report, std::string_view present, WallTime now);
json::Value webhook_status(const WebhookReport& report, std::string_view present, WallTime now);
json::Value cluster_status(const ClusterReport& report, int64_t generation, std::string_view present, WallTime now);
// A merge patch that makes `present` into `wanted` where both are ours; null: nothing differs. Members that
// are not ours are left alone.
json::Value status_patch(const json::Value& wanted, std::string_view present);

}  // namespace gs::control
