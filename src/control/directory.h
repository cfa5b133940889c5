// `--config DIR`: Controllers, Clusters and the ConfigMaps of `source: Hub` from a directory of YAML.
// Read as a whole; a broken file is reported and leaves the others alone. Trusted: kubeconfigs may
// name files and plugins.
#pragma once

#include <string>
#include <vector>

#include "control/engine.h"

namespace gs::control {

struct DirectoryContent {
  Desired desired;
  std::vector<std::string> problems;  // "clusters.yaml: line 3, column 1: ..."
  std::vector<std::string> files;     // all that were read, kubeconfigs and what they name too
  std::string digest;                 // of everything read; equal means that nothing changed
};

// Blocking: called off the loop.
Result<DirectoryContent> read_directory(const std::string& path);

// Identity, size and time of change of these files and of the manifests that are there now: an equal stamp means
// that nothing need be read anew. Empty where that cannot be said. Blocking.
std::string directory_stamp(const std::string& path, const std::vector<std::string>& files, WallTime now);

// Where changes of these files show: the directories of the files and of every link on the way to one, and of `path`. Of
// what is not there the last directory that is. Blocking.
std::vector<std::string> directories_to_watch(const std::string& path, const std::vector<std::string>& files);

// One cluster from a kubeconfig file, named "default" (`--kubeconfig`).
fleet::ClusterSpec cluster_from_kubeconfig(const std::string& name, const std::string& path, const std::string& context,
                                           std::vector<std::string>* files_read = nullptr);

}  // namespace gs::control
