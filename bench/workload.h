// What several benchmarks share: the Controller of things and the delegate that works on them, a steady rate, and
// what servers have served.
#pragma once

#include <functional>
#include <string>

#include "bench/fleet.h"

namespace gs::bench {

// How long the first sync of a whole fleet may take.
inline constexpr Duration kSyncLimit = std::chrono::seconds(60);

inline constexpr const char* kThingsController = R"(apiVersion: gulfstream.dev/v1alpha1
kind: Controller
metadata: {name: things}
spec:
  primary: {group: example.com, version: v1, resource: things}
  secondary: [{version: v1, resource: configmaps}]
  delegate: DELEGATE)";


void say(const char* what);
// Runs `tick` at a steady rate for a time; several where the machine was late.
void at_rate(Fleet& fleet, double per_second, Duration time, const std::function<void()>& tick);
pb::Result ok_result();
size_t open_watches(const Fleet& fleet);

// One child written and one status written per change; nothing where both are right.
class Worker final : public Decider {
 public:
  using Decider::Decider;
  Task<pb::Result> reconcile(test::DelegateSession& session, pb::Reconcile reconcile) override;
  uint64_t finished = 0, failures = 0;
};

// What all servers of a fleet have served.
struct Served {
  explicit Served(const Fleet& fleet) {
    for (const auto& cluster : fleet.clusters) {
      requests += cluster->server.handler().stats().requests;
      writes += cluster->server.handler().stats().writes;
      status_writes += cluster->status_writes;
    }
  }
  uint64_t requests = 0, writes = 0, status_writes = 0;
};

}  // namespace gs::bench
