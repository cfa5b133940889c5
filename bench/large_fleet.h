// Fleets that are too large for one process to serve: clusters with few objects, in processes of their own.
#pragma once

#include "bench/fleet.h"
#include "bench/figures.h"

namespace gs::bench {

// A fleet of more clusters is measured with few objects.
inline constexpr size_t kMostClustersWithObjects = 5000;

// Whether fleets of these sizes can be had with so many open files a process: an error says what lacks.
Status enough_open_files(const std::vector<size_t>& fleets, size_t open_files);

// `alone`: bytes of a plane without clusters. An error where not every cluster's key was reconciled in time.
Status large_fleet(const std::string& binary, double alone, size_t clusters, size_t open_files, Figures& out);

// Cores that a plane takes while nothing happens.
double idle_cores(const PlaneProcess& plane, Fleet& fleet);

}  // namespace gs::bench
