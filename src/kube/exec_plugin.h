// Exec credential plugins (client.authentication.k8s.io v1 and v1beta1): aws, gke-gcloud-auth-plugin,
// kubelogin and their kind. Run only for kubeconfigs that are trusted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kube/credentials.h"
#include "kube/process.h"

namespace gs::kube {

// What a plugin printed.
struct ExecStatus {
  std::string token;
  std::string certificate_pem;
  std::string key_pem;
  std::optional<WallTime> expires;
};

// KUBERNETES_EXEC_INFO for the plugin.
std::string exec_info(const ConnectionConfig& config);
// An ExecCredential of the asked version. kUnauthorized says what is wrong; never repeats a secret.
Result<ExecStatus> parse_exec_credential(std::string_view output, std::string_view api_version);

// One run at a time, however many wait; its result holds until shortly before it expires, or a 401. A
// request that comes in the last part of its life starts the next run and still uses the present one;
// without requests nothing runs. A plugin that fails, or whose credential the server refuses at once, is
// not run again before its backoff has passed; until then everybody gets its last error.
class ExecCredentials final : public CredentialSource {
 public:
  static constexpr Duration kTimeout = std::chrono::seconds(60);
  static constexpr size_t kMaxOutput = 1 << 20;
  static constexpr Duration kFirstBackoff = std::chrono::seconds(1);
  static constexpr Duration kLastBackoff = std::chrono::minutes(5);

  // `processes` outlives it.
  ExecCredentials(Loop& loop, ConnectionConfig config, ProcessRunner& processes);
  CredentialPtr current() override;
  Task<Result<CredentialPtr>> get(MonoTime deadline) override;
  void invalidate(uint64_t generation) override;

 private:
  bool usable() const;
  void start();
  Task<void> refresh();
  Result<ExecStatus> judge(Result<ProcessResult> result) const;
  void adopt(ExecStatus status);
  void failed(Error why);

  Loop& loop_;
  ConnectionConfig config_;
  ProcessRunner& processes_;
  Credential base_;
  CredentialPtr credential_;
  bool refused_ = false;               // by a 401
  std::optional<WallTime> expires_;    // none: until a 401
  std::optional<WallTime> refresh_at_;
  bool running_ = false;
  Duration backoff_{0};
  Duration refusal_backoff_{0};
  MonoTime adopted_at_{};
  MonoTime not_before_{};
  Error failure_{Code::kUnauthorized, "not run yet"};
  WaitQueue done_;
  TaskScope scope_;
};

}  // namespace gs::kube
