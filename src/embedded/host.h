// What `gulfstream apiserver` and `gulfstream up` have in common: certificates, who may come, the clusters, and the
// kubeconfig that leads to them. On the loop that it is given.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "embedded/api_servers.h"
#include "embedded/certificates.h"
#include "runtime/task_scope.h"

namespace gs::embedded {

// Files and words of the flags --service-account-* and --api-audiences.
struct ServiceAccountOptions {
  std::string signing_key_file;  // empty: pki/sa.key of the data directory, made where it is missing
  std::vector<std::string> key_files, issuers, audiences;
};

struct HostOptions {
  std::string data_dir;  // empty: everything is in memory
  ApiServersOptions servers;
  std::vector<std::string> names;  // of the clusters: their contexts
  std::string kubeconfig;          // FILE that is written
  std::string token_auth_file;     // empty: no tokens
  std::string client_ca_file;      // empty: clients' certificates are of our own authority only
  std::string tls_cert_file, tls_private_key_file;  // empty: we make our own
  ServiceAccountOptions service_accounts;
};

class Host {
 public:
  // Certificates are looked at this often: ours for their age, files for a change.
  static constexpr Duration kLook = std::chrono::minutes(1);

  Host(UvLoop& loop, HostOptions options);

  // Makes the clusters with their first objects. Errors name a flag, a file, or both.
  Status start(const std::vector<Manifest>& manifests);
  ApiServers& servers() { return *servers_; }
  // Opens the ports, then writes the kubeconfig: who finds it finds the servers.
  Status listen();
  std::string url(size_t cluster) const;
  // PEM that clients verify the servers by, and how a cluster is reached as administrator.
  std::string kubeconfig_of(size_t cluster, const std::string& context) const;
  // Ends clusters and connections, for whoever did not end by itself until then.
  void stop(Duration drain);

 private:
  std::string pki_directory() const { return options_.data_dir + "/pki"; }
  Status read_authenticator();
  Status read_service_account_keys();
  Result<apiserver::TokenKey> signing_key() const;
  Status renew_certificates();
  Result<net::TlsServerOptions> tls_options();
  std::string authority() const;
  Status write_kubeconfig_file() const;
  Task<void> follow_certificates();
  Status adopt(Result<webhook::KeyPair> own);
  std::set<std::string> certificate_names() const;

  UvLoop& loop_;
  HostOptions options_;
  net::TlsContext tls_;
  apiserver::Authenticator authenticator_;
  Certificates certificates_;
  webhook::KeyPair own_;  // of --tls-cert-file, as read last
  std::string client_ca_;
  std::unique_ptr<ApiServers> servers_;
  TaskScope scope_;
};

// Where data is kept unless somebody says otherwise: /var/lib/gulfstream/NAME for root, else gulfstream/NAME in
// XDG_STATE_HOME or ~/.local/state. kInvalid: there is no home.
Result<std::string> default_data_dir(const std::string& name);

}  // namespace gs::embedded
