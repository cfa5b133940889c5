// Credentials: as whom a cluster's requests go. One source per cluster, on its loop; the transport asks
// it before each request and tells it of a 401.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kube/kubeconfig.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::kube {

// What a request carries. Immutable; a changed credential is another one with another generation.
struct Credential {
  std::string authorization;  // the header's value; empty: none
  std::vector<std::pair<std::string, std::string>> impersonation;  // headers
  // The TLS client certificate; empty: none.
  std::string certificate_pem;
  std::string key_pem;
  uint64_t generation = 0;
  // Changes only with certificate or key: connections of another identity are not used any more.
  uint64_t identity = 0;
};
using CredentialPtr = std::shared_ptr<const Credential>;

class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  // The credential to use now, without waiting; null where get() must be awaited. The hot path.
  virtual CredentialPtr current() = 0;
  // Errors: kUnauthorized (it cannot be had; says why), kDeadlineExceeded.
  virtual Task<Result<CredentialPtr>> get(MonoTime deadline) = 0;
  // The server answered 401 to the credential of this generation. The next get() looks for another;
  // where there is none it gives the same again.
  virtual void invalidate(uint64_t generation) = 0;
};

// Token, basic, a client certificate that never changes, or nobody.
class StaticCredentials final : public CredentialSource {
 public:
  explicit StaticCredentials(const ConnectionConfig& config);
  CredentialPtr current() override { return credential_; }
  Task<Result<CredentialPtr>> get(MonoTime deadline) override;
  void invalidate(uint64_t) override {}

 private:
  CredentialPtr credential_;
};

// A token file and client certificate files, re-read off the loop: every minute but ten seconds, as
// client-go's cachingTokenSource, and after a 401. A file that is unreadable or empty for a while leaves
// the last content in use; the token of the kubeconfig serves until the file was read once.
class FileCredentials final : public CredentialSource {
 public:
  static constexpr Duration kPeriod = std::chrono::minutes(1);
  static constexpr Duration kLeeway = std::chrono::seconds(10);
  static constexpr Duration kRetry = std::chrono::seconds(1);  // after a failed reading, and between 401s

  // `read` is called off the loop.
  FileCredentials(Loop& loop, const ConnectionConfig& config, FileReader read = read_file);
  CredentialPtr current() override;
  Task<Result<CredentialPtr>> get(MonoTime deadline) override;
  void invalidate(uint64_t generation) override;

 private:
  struct Contents;
  Task<void> read_files();
  void adopt(const Contents& contents);

  Loop& loop_;
  FileReader read_;
  std::string token_file_;
  std::string certificate_file_;
  std::string key_file_;
  bool needs_file_token_;
  CredentialPtr credential_;
  Error failure_{Code::kUnauthorized, "not read yet"};
  MonoTime fresh_until_{};
  MonoTime last_read_{};
  bool read_once_ = false;
  bool reading_ = false;
  WaitQueue done_;
  TaskScope scope_;
};

class ProcessRunner;

// The source that a kubeconfig asks for. `processes` runs exec plugins and outlives the source; where it
// is null a kubeconfig with a plugin is kUnsupported.
Result<std::unique_ptr<CredentialSource>> make_credentials(Loop& loop, const ConnectionConfig& config,
                                                           ProcessRunner* processes);

namespace internal {
// The part that all sources share: impersonation and what is written in the kubeconfig itself.
Credential credential_of(const ConnectionConfig& config);
std::string bearer(std::string_view token);
}  // namespace internal

}  // namespace gs::kube
