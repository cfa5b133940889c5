#include "kube/exec_plugin.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "json/value.h"
#include "json/writer.h"

namespace gs::kube {
namespace {

constexpr size_t kMaxErrorTail = 512;
// A token is not used in its last seconds: it must still be good when it arrives.
constexpr Duration kExpiryLeeway = std::chrono::seconds(5);
// A 401 to a credential younger than this speaks against the plugin, not against its age.
constexpr Duration kYoung = std::chrono::minutes(1);

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\t') {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
      out += c;
    }
  }
  return std::string(trim(out));
}

// The last bytes, begun at a character.
std::string_view tail_of(std::string_view text, size_t size) {
  if (text.size() <= size) return text;
  text.remove_prefix(text.size() - size);
  while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0) == 0x80) text.remove_prefix(1);
  return text;
}

void write_member(json::Writer& out, std::string_view name, const std::string& value) {
  if (!value.empty()) out.key(name).string(value);
}

}  // namespace

std::string exec_info(const ConnectionConfig& config) {
  std::string text;
  json::Writer out(text);
  out.begin_object();
  out.key("kind").string("ExecCredential");
  out.key("apiVersion").string(config.exec.api_version);
  out.key("spec").begin_object();
  out.key("interactive").boolean(false);
  if (config.exec.provide_cluster_info) {
    out.key("cluster").begin_object();
    out.key("server").string(config.server.text);
    write_member(out, "tls-server-name", config.server_name);
    if (config.insecure_skip_tls_verify) out.key("insecure-skip-tls-verify").boolean(true);
    if (!config.ca_pem.empty()) out.key("certificate-authority-data").string(base64_encode(config.ca_pem));
    write_member(out, "proxy-url", config.proxy_url);
    if (!config.exec.cluster_config.empty()) out.key("config").raw(config.exec.cluster_config);
    out.end_object();
  }
  out.end_object();
  out.end_object();
  return text;
}

Result<ExecStatus> parse_exec_credential(std::string_view output, std::string_view api_version) {
  // The output itself is never in a message: it may hold a token.
  const auto parsed = json::parse(output);
  if (!parsed || !parsed->is_object()) return fail(Code::kUnauthorized, "its output is not an ExecCredential in JSON");
  if (parsed->text("kind") != "ExecCredential") return fail(Code::kUnauthorized, "its output is not of kind ExecCredential");
  if (parsed->text("apiVersion") != api_version) {
    return fail(Code::kUnauthorized, "it is configured to use apiVersion {}, but answered in \"{}\"; set users[].user.exec.apiVersion to that",
                api_version, printable(truncate_utf8(parsed->text("apiVersion"), 64)));
  }
  const json::Value* status = parsed->find("status");
  if (status == nullptr || !status->is_object()) return fail(Code::kUnauthorized, "its ExecCredential has no status");
  ExecStatus out;
  out.token = status->text("token");
  out.certificate_pem = status->text("clientCertificateData");
  out.key_pem = status->text("clientKeyData");
  if (out.certificate_pem.empty() != out.key_pem.empty()) {
    return fail(Code::kUnauthorized, "it gave only one of clientCertificateData and clientKeyData");
  }
  if (out.token.empty() && out.certificate_pem.empty()) {
    return fail(Code::kUnauthorized, "it gave neither a token nor a client certificate");
  }
  const bool clean = std::all_of(out.token.begin(), out.token.end(), [](char c) { return c > ' ' && c != 0x7f; });
  if (!clean) return fail(Code::kUnauthorized, "its token has white space or a control character in it");
  const json::Value* expires = status->find("expirationTimestamp");
  if (expires != nullptr && !expires->is_null()) {
    out.expires = expires->string() != nullptr ? parse_rfc3339(*expires->string()) : std::nullopt;
    if (!out.expires) return fail(Code::kUnauthorized, "its expirationTimestamp is not in RFC 3339");
  }
  return out;
}

ExecCredentials::ExecCredentials(Loop& loop, ConnectionConfig config, ProcessRunner& processes)
    : loop_(loop),
      config_(std::move(config)),
      processes_(processes),
      base_(internal::credential_of(config_)),
      done_(loop),
      scope_(loop) {}

bool ExecCredentials::usable() const {
  if (credential_ == nullptr || refused_) return false;
  return !expires_ || loop_.wall_now() + kExpiryLeeway < *expires_;
}

CredentialPtr ExecCredentials::current() {
  if (!usable()) return nullptr;
  if (refresh_at_ && loop_.wall_now() >= *refresh_at_) start();
  return credential_;
}

Task<Result<CredentialPtr>> ExecCredentials::get(MonoTime deadline) {
  if (const CredentialPtr now = current(); now != nullptr) co_return now;
  if (!running_ && loop_.now() < not_before_) co_return fail(Error(failure_));
  start();
  while (running_) {
    const bool woken = co_await done_.wait(deadline);
    if (!woken) co_return fail(Code::kDeadlineExceeded, "waiting for the credential plugin {}: deadline exceeded", config_.exec.command);
  }
  if (!usable()) co_return fail(Error(failure_));
  co_return credential_;
}

void ExecCredentials::invalidate(uint64_t generation) {
  if (credential_ == nullptr || generation != credential_->generation || refused_) return;
  refused_ = true;
  if (loop_.now() - adopted_at_ < kYoung) {
    refusal_backoff_ = std::clamp(refusal_backoff_ * 2, kFirstBackoff, kLastBackoff);
    not_before_ = saturating_add(loop_.now(), loop_.random().jitter(refusal_backoff_, 0.5));
  } else {
    refusal_backoff_ = Duration::zero();
  }
  failure_ = Error(Code::kUnauthorized, fmt::format("the server refuses the credential of plugin {}", config_.exec.command));
}

void ExecCredentials::start() {
  if (running_ || loop_.now() < not_before_) return;
  running_ = true;
  scope_.spawn(refresh());
}

Task<void> ExecCredentials::refresh() {
  ProcessSpec spec(config_.exec.command);
  spec.args = config_.exec.args;
  spec.env = config_.exec.env;
  spec.env.emplace_back("KUBERNETES_EXEC_INFO", exec_info(config_));
  spec.max_output = kMaxOutput;
  const MonoTime deadline = saturating_add(loop_.now(), kTimeout);
  auto run = processes_.run(std::move(spec), deadline);
  auto result = co_await run;
  auto status = judge(std::move(result));
  if (status) {
    adopt(*std::move(status));
  } else {
    failed(std::move(status).error());
  }
  running_ = false;
  done_.wake_all();
}

Result<ExecStatus> ExecCredentials::judge(Result<ProcessResult> result) const {
  const std::string name = "credential plugin " + config_.exec.command;
  const std::string hint = config_.exec.install_hint.empty() ? "" : "; " + config_.exec.install_hint;
  if (!result) {
    const Code code = result.error().code;
    if (code == Code::kNotFound) return fail(Code::kUnauthorized, "{} is not installed, or not in PATH{}", name, hint);
    return fail(Code::kUnauthorized, "{}: {}", name, result.error().message);
  }
  const std::string said(tail_of(printable(result->error_tail), kMaxErrorTail));
  const std::string because = said.empty() ? "" : ": " + said;
  if (result->signal != 0) return fail(Code::kUnauthorized, "{} was ended by signal {}{}", name, result->signal, because);
  if (result->exit_code != 0) return fail(Code::kUnauthorized, "{} failed with exit code {}{}", name, result->exit_code, because);
  auto status = parse_exec_credential(result->output, config_.exec.api_version);
  if (!status) return fail(Code::kUnauthorized, "{}: {}", name, status.error().message);
  if (status->expires && *status->expires <= loop_.wall_now() + kExpiryLeeway) {
    return fail(Code::kUnauthorized, "{} gave a credential that expired at {}", name, format_rfc3339(*status->expires));
  }
  return status;
}

void ExecCredentials::adopt(ExecStatus status) {
  Credential next = base_;
  next.generation = credential_ != nullptr ? credential_->generation + 1 : 1;
  next.identity = credential_ != nullptr ? credential_->identity : 1;
  if (!status.token.empty()) next.authorization = internal::bearer(status.token);
  if (!status.certificate_pem.empty()) {
    next.certificate_pem = std::move(status.certificate_pem);
    next.key_pem = std::move(status.key_pem);
  }
  const bool same_identity = credential_ != nullptr && next.certificate_pem == credential_->certificate_pem &&
                             next.key_pem == credential_->key_pem;
  if (credential_ != nullptr && !same_identity) ++next.identity;
  const bool same = same_identity && next.authorization == credential_->authorization;
  if (same) next.generation = credential_->generation;
  credential_ = std::make_shared<const Credential>(std::move(next));
  refused_ = false;
  expires_ = status.expires;
  refresh_at_.reset();
  if (expires_) {
    const Duration life = *expires_ - loop_.wall_now();
    const double part = 0.75 + 0.15 * loop_.random().unit();
    refresh_at_ = loop_.wall_now() + from_seconds(to_seconds(life) * part);
  }
  backoff_ = Duration::zero();
  adopted_at_ = loop_.now();
}

void ExecCredentials::failed(Error why) {
  backoff_ = std::clamp(backoff_ * 2, kFirstBackoff, kLastBackoff);
  not_before_ = saturating_add(loop_.now(), loop_.random().jitter(backoff_, 0.5));
  failure_ = std::move(why);
  log::warning("credential plugin failed", {{"err", failure_.message}, {"retryIn", to_seconds(not_before_ - loop_.now())}});
}

}  // namespace gs::kube
