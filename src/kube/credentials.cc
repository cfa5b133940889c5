#include "kube/credentials.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/mutation.h"
#include "base/strings.h"
#include "kube/exec_plugin.h"

namespace gs::kube {
namespace internal {

std::string bearer(std::string_view token) { return "Bearer " + std::string(token); }

Credential credential_of(const ConnectionConfig& config) {
  Credential out;
  if (!config.token.empty()) {
    out.authorization = bearer(config.token);
  } else if (!config.basic_user.empty()) {
    out.authorization = "Basic " + base64_encode(config.basic_user + ":" + config.basic_password);
  }
  out.impersonation = config.impersonation;
  out.certificate_pem = config.client_certificate_pem;
  out.key_pem = config.client_key_pem;
  out.generation = 1;
  out.identity = 1;
  return out;
}

}  // namespace internal

StaticCredentials::StaticCredentials(const ConnectionConfig& config)
    : credential_(std::make_shared<const Credential>(internal::credential_of(config))) {}

Task<Result<CredentialPtr>> StaticCredentials::get(MonoTime) { co_return credential_; }

// What one reading of the files gave; filled off the loop.
struct FileCredentials::Contents {
  explicit Contents(Loop& loop) : done(loop) {}
  Event done;
  Result<std::string> token{std::string()};
  Result<std::string> certificate{std::string()};
  Result<std::string> key{std::string()};
};

FileCredentials::FileCredentials(Loop& loop, const ConnectionConfig& config, FileReader read)
    : loop_(loop),
      read_(std::move(read)),
      token_file_(config.token_file),
      certificate_file_(config.client_certificate_file),
      key_file_(config.client_key_file),
      needs_file_token_(!config.token_file.empty() && config.token.empty()),
      credential_(std::make_shared<const Credential>(internal::credential_of(config))),
      done_(loop),
      scope_(loop) {}

CredentialPtr FileCredentials::current() {
  if (loop_.now() < fresh_until_ || (read_once_ && mutated(Mutation::kTokenNotReread))) return credential_;
  return nullptr;
}

Task<Result<CredentialPtr>> FileCredentials::get(MonoTime deadline) {
  if (loop_.now() >= fresh_until_ && !reading_) {
    reading_ = true;
    scope_.spawn(read_files());
  }
  while (reading_) {
    const bool woken = co_await done_.wait(deadline);
    if (!woken) co_return fail(Code::kDeadlineExceeded, "reading {}: deadline exceeded", token_file_.empty() ? certificate_file_ : token_file_);
  }
  if (needs_file_token_ && !read_once_) co_return fail(Error(failure_));
  co_return credential_;
}

void FileCredentials::invalidate(uint64_t generation) {
  if (generation != credential_->generation) return;
  // A server that refuses everything does not make us read for each request.
  fresh_until_ = std::min(fresh_until_, std::max(loop_.now(), saturating_add(last_read_, kRetry)));
}

Task<void> FileCredentials::read_files() {
  const auto contents = std::make_shared<Contents>(loop_);
  std::function<void()> work = [contents, read = read_, token = token_file_, certificate = certificate_file_, key = key_file_] {
    if (!token.empty()) contents->token = read(token);
    if (!certificate.empty()) contents->certificate = read(certificate);
    if (!key.empty()) contents->key = read(key);
  };
  std::function<void()> done = [contents] { contents->done.set(); };
  loop_.run_blocking(std::move(work), std::move(done));
  co_await contents->done.wait();
  last_read_ = loop_.now();
  adopt(*contents);
  reading_ = false;
  done_.wake_all();
}

void FileCredentials::adopt(const Contents& contents) {
  bool failed = false;
  Credential next = *credential_;
  const std::string token(contents.token ? trim(*contents.token) : "");
  const bool clean = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c != 0x7f; });
  if (!token_file_.empty()) {
    if (!token.empty() && clean) {
      next.authorization = internal::bearer(token);
      read_once_ = true;
    } else {
      failed = true;
      const std::string why = !contents.token ? contents.token.error().message
                              : token.empty() ? fmt::format("the token file {} is empty", token_file_)
                                              : fmt::format("the token file {} does not hold one token", token_file_);
      failure_ = Error(Code::kUnauthorized, why);
    }
  }
  // Certificate and key are replaced one after the other; a pair that does not match is found out by
  // TLS, and the next reading mends it.
  if (contents.certificate && !trim(*contents.certificate).empty() && !certificate_file_.empty()) {
    next.certificate_pem = *contents.certificate;
  }
  if (contents.key && !trim(*contents.key).empty() && !key_file_.empty()) next.key_pem = *contents.key;
  if (!contents.certificate || !contents.key) {
    failed = true;
    failure_ = Error(Code::kUnauthorized, !contents.certificate ? contents.certificate.error().message : contents.key.error().message);
  }
  if (failed) log::warning("credentials cannot be read; the last ones stay in use", {{"err", failure_.message}});
  const bool other_identity = next.certificate_pem != credential_->certificate_pem || next.key_pem != credential_->key_pem;
  if (other_identity) ++next.identity;
  if (other_identity || next.authorization != credential_->authorization) {
    ++next.generation;
    credential_ = std::make_shared<const Credential>(std::move(next));
  }
  fresh_until_ = saturating_add(loop_.now(), failed ? kRetry : kPeriod - kLeeway);
}

Result<std::unique_ptr<CredentialSource>> make_credentials(Loop& loop, const ConnectionConfig& config,
                                                           ProcessRunner* processes) {
  std::unique_ptr<CredentialSource> out;
  if (config.has_exec) {
    if (processes == nullptr) return fail(Code::kUnsupported, "users[].user.exec: credential plugins cannot be run here");
    out = std::make_unique<ExecCredentials>(loop, config, *processes);
  } else if (!config.token_file.empty() || !config.client_certificate_file.empty() || !config.client_key_file.empty()) {
    out = std::make_unique<FileCredentials>(loop, config);
  } else {
    out = std::make_unique<StaticCredentials>(config);
  }
  return out;
}

}  // namespace gs::kube
