// Kubeconfig files (k8s.io/client-go/tools/clientcmd/api/v1): one context of them becomes a
// ConnectionConfig. A kubeconfig from a Secret is untrusted and must be self-contained.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kube/server_url.h"

namespace gs::kube {

// An exec credential plugin (client.authentication.k8s.io).
struct ExecConfig {
  std::string api_version;  // "client.authentication.k8s.io/v1" or ".../v1beta1"
  std::string command;      // an absolute path, or a name to look up in PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;
  std::string install_hint;
  bool provide_cluster_info = false;
  std::string cluster_config;  // JSON, for the plugin's cluster info; from the cluster's extensions
};

// How to reach one API server, and as whom. PEM data is inline, whatever it came from; where it came
// from a file that may change under us, the path stands beside it.
struct ConnectionConfig {
  ServerUrl server;
  std::string ca_pem;  // empty: the machine's authorities
  std::string ca_file;
  std::string server_name;
  bool insecure_skip_tls_verify = false;
  std::string proxy_url;
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string client_certificate_file;
  std::string client_key_file;
  std::string token;
  std::string token_file;  // re-read; once read it wins over `token`, as in client-go
  std::string basic_user;
  std::string basic_password;
  std::vector<std::pair<std::string, std::string>> impersonation;  // headers
  bool has_exec = false;
  ExecConfig exec;
};

enum class Trust {
  kTrusted,        // an operator's own file
  kSelfContained,  // from a Secret: no exec, no auth-provider, no path of any kind, https only
};

struct KubeconfigPolicy {
  Trust trust = Trust::kTrusted;
  // Only asked for where it must be self-contained.
  bool allow_insecure_skip_tls_verify = false;
  bool allow_proxy_url = false;

  static KubeconfigPolicy untrusted() { return {Trust::kSelfContained, false, false}; }
};

// Reads a file that a kubeconfig names (relative paths are resolved already). Blocking.
using FileReader = std::function<Result<std::string>(const std::string& path)>;
// At most 1 MiB.
Result<std::string> read_file(const std::string& path);

struct KubeconfigFile {
  KubeconfigFile(std::string p, std::string d, std::string t)
      : path(std::move(p)), directory(std::move(d)), text(std::move(t)) {}
  std::string path;       // for messages; empty: they name none
  std::string directory;  // where relative paths start
  std::string text;       // YAML or JSON
};

// The files of a KUBECONFIG variable ("a:b"); those that do not exist are left out, unless none does.
Result<std::vector<KubeconfigFile>> read_kubeconfig_list(std::string_view list, const FileReader& read);

// Several files are merged as clientcmd does it: the first to have a cluster, user or context of a name
// wins with the whole entry, as does the first current-context. `context` empty takes current-context.
// Errors name the file, the field's path, what is wrong with it and how to mend it.
Result<ConnectionConfig> load_kubeconfig(const std::vector<KubeconfigFile>& files, std::string_view context,
                                         const KubeconfigPolicy& policy, const FileReader& read);
Result<ConnectionConfig> load_kubeconfig(std::string_view text, const std::string& directory, std::string_view context,
                                         const KubeconfigPolicy& policy, const FileReader& read);

// The service account of the pod we run in (rest.InClusterConfig).
Result<ConnectionConfig> in_cluster_config(const FileReader& read);

}  // namespace gs::kube
