// Clusters of `gulfstream apiserver` in processes of their own, some thousands in each: for fleets whose sockets one
// process cannot hold. In memory, each with the same few objects.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/plane_process.h"

namespace gs::bench {

struct ClusterProcessesOptions {
  std::string binary;
  std::string directory;             // for their kubeconfigs and logs
  size_t clusters = 0;
  size_t clusters_each = 0;          // at most, of one process
  std::string preload;               // YAML that each cluster begins with
  std::string certificate, key;      // PEM that all serve with
  std::string token;                 // of an administrator of all
};

class ClusterProcesses {
 public:
  // Starts all of them.
  explicit ClusterProcesses(const ClusterProcessesOptions& options);

  // All listen. An error, in their words: one of them ended.
  Result<bool> ready();
  // Of all clusters, once they are ready.
  std::vector<uint16_t> ports() const;
  double cpu_seconds() const;
  size_t resident_bytes() const;

 private:
  std::string file(size_t process, const char* what) const;
  std::string directory_;
  std::vector<std::unique_ptr<ServerProcess>> processes_;
};

}  // namespace gs::bench
