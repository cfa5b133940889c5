// The figures, each measured on a plane of its own. See README.md for what each one is.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace gs::bench {

struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  std::string aim;
};
using Figures = std::vector<Figure>;

// Sorts the values; 0 where there are none.
double quantile(std::vector<double>& values, double q);

Figures event_latency(const std::string& binary);
Figures full_reconciles(const std::string& binary);
Figures steady_trickle(const std::string& binary);
Figures idle_clusters(const std::string& binary);
Figures cached_pods(const std::string& binary);
Figures queued_keys_and_sessions(const std::string& binary);
// GULFSTREAM_BENCH_CLUSTERS: how many clusters, numbers with spaces between; "10 100 1000 10000" where it is not set.
// An error, before anything starts, where a process may not have the open files for it; or where a large fleet does not converge.
Result<Figures> whole_fleets(const std::string& binary);
// The peer is run where GULFSTREAM_BENCH_PEER names its program (bench/webhook-peer).
Figures webhooks(const std::string& binary);

// Ours, and kube-apiserver with etcd where they are there (GULFSTREAM_KUBE_ASSETS, or build/kube/bin).
Figures api_servers(const std::string& binary);

}  // namespace gs::bench
