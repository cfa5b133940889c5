// A kubeconfig of embedded clusters: a context for each, all with one administrator.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "webhook/x509.h"

namespace gs::embedded {

struct KubeconfigEntry {
  KubeconfigEntry(std::string n, std::string s) : name(std::move(n)), server(std::move(s)) {}
  std::string name;    // of its cluster and context
  std::string server;  // URL
};

// The first entry is the current context. `authority`: PEM that servers are verified by.
std::string kubeconfig_text(const std::vector<KubeconfigEntry>& entries, const std::string& authority, const webhook::KeyPair& admin);
// For its owner alone, whole or not at all. A file that is there is overwritten only if it is one of ours: kInvalid.
Status write_kubeconfig(const std::string& path, const std::string& text);

}  // namespace gs::embedded
