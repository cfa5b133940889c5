// What the plane shows to delegates (--delegate-credentials FILE): per origin a token or a client
// certificate, from files that are read anew as they change. No entry, nothing is shown: there is no
// default. Entries are for https:// only, so that a token never goes over plain text.
//
//   apiVersion: gulfstream.dev/v1alpha1
//   kind: DelegateCredentials
//   delegates:
//   - origin: https://website.example:8443   # scheme, host, port; nothing else
//     tokenFile: website.token               # relative paths: beside this file
//   - origin: https://baseline.example
//     clientCertificateFile: tls.crt
//     clientKeyFile: tls.key
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/error.h"
#include "kube/server_url.h"
#include "net/tls_context.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::delegate {

struct Credential {
  std::string token;                              // without "Bearer "; empty: none
  std::shared_ptr<const net::Identity> identity;  // null: none
};

// The files' content, read at one time.
struct CredentialFiles {
  struct Entry {
    std::string token;
    std::string certificate_pem;
    std::string key_pem;
    std::string error;  // why this one cannot be used; others can
    bool operator==(const Entry&) const = default;
  };
  std::string path;
  std::map<std::string, Entry> by_origin;  // "https://host:port", lower case
  bool operator==(const CredentialFiles&) const = default;
};

// Blocks; any thread. kInvalid names the file and the field.
Result<CredentialFiles> read_credential_files(const std::string& path);
std::string origin_key(const kube::ServerUrl& url);

// The credentials of one loop.
class Credentials {
 public:
  static constexpr Duration kPeriod = std::chrono::seconds(5);

  // Begins with what was read at the program's start (files.path empty: nothing, for good), and reads it
  // anew off the loop. A file that breaks later leaves what was read last in use, with a warning.
  Credentials(Loop& loop, net::TlsContext& tls, CredentialFiles files);
  // An empty Credential where there is no entry; kUnauthorized where there is one that cannot be used.
  Result<Credential> find(const kube::ServerUrl& url) const;

 private:
  struct Slot {
    Credential credential;
    std::string error;
  };
  Task<void> watch();
  void adopt(CredentialFiles files);

  Loop& loop_;
  net::TlsContext& tls_;
  CredentialFiles files_;
  std::map<std::string, Slot> slots_;
  TaskScope scope_;
};

}  // namespace gs::delegate
