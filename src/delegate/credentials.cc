#include "delegate/credentials.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "json/yaml.h"
#include "kube/kubeconfig.h"

namespace gs::delegate {
namespace {

constexpr std::string_view kFields[] = {"origin", "tokenFile", "clientCertificateFile", "clientKeyFile"};

std::string beside(const std::string& file, std::string_view path) {
  const size_t slash = file.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return std::string(path);
  return file.substr(0, slash + 1) + std::string(path);
}

// The text of a file that an entry names; a problem of one entry is not one of the others.
std::string read_named(const std::string& file, std::string_view path, CredentialFiles::Entry& entry) {
  auto text = kube::read_file(beside(file, path));
  if (text) return std::move(*text);
  if (entry.error.empty()) entry.error = text.error().message;
  return {};
}

Status check_fields(const json::Value& entry, const std::string& where) {
  if (!entry.is_object()) return fail(Code::kInvalid, "{}: must be an object", where);
  for (const json::Member& member : *entry.object()) {
    if (std::find(std::begin(kFields), std::end(kFields), member.first) == std::end(kFields)) {
      return fail(Code::kInvalid, "{}.{}: unknown field; there are origin, tokenFile, clientCertificateFile and clientKeyFile", where, member.first);
    }
    if (!member.second.is_string()) return fail(Code::kInvalid, "{}.{}: must be a string", where, member.first);
  }
  const bool token = !entry.text("tokenFile").empty();
  const bool certificate = !entry.text("clientCertificateFile").empty();
  if (certificate != !entry.text("clientKeyFile").empty()) {
    return fail(Code::kInvalid, "{}: clientCertificateFile and clientKeyFile are needed together", where);
  }
  if (!token && !certificate) return fail(Code::kInvalid, "{}: needs tokenFile, or clientCertificateFile and clientKeyFile", where);
  return ok();
}

Status read_entry(const std::string& file, const json::Value& entry, const std::string& where, CredentialFiles& out) {
  GS_TRY_STATUS(check_fields(entry, where));
  auto url = kube::parse_server_url(entry.text("origin"));
  if (!url) return fail(Code::kInvalid, "{}.origin: {}", where, url.error().message);
  if (!url->tls) return fail(Code::kInvalid, "{}.origin: must be https://; a credential never goes over plain text", where);
  if (!url->path_prefix.empty()) return fail(Code::kInvalid, "{}.origin: is a scheme, a host and a port, without a path", where);
  CredentialFiles::Entry read;
  if (const auto path = entry.text("tokenFile"); !path.empty()) {
    read.token = std::string(trim(read_named(file, path, read)));
    if (read.token.empty() && read.error.empty()) read.error = fmt::format("{} is empty", beside(file, path));
    if (read.token.find_first_of(" \t\r\n") != std::string::npos) read.error = fmt::format("{} is not one token", beside(file, path));
  }
  if (const auto path = entry.text("clientCertificateFile"); !path.empty()) {
    read.certificate_pem = read_named(file, path, read);
    read.key_pem = read_named(file, entry.text("clientKeyFile"), read);
  }
  if (!out.by_origin.emplace(origin_key(*url), std::move(read)).second) {
    return fail(Code::kInvalid, "{}.origin: {} has an entry already", where, origin_key(*url));
  }
  return ok();
}

Result<CredentialFiles> parse(const std::string& path, const std::string& text) {
  GS_TRY(const auto documents, json::parse_yaml(text));
  if (documents.size() != 1) return fail(Code::kInvalid, "must be one YAML document");
  const json::Value& root = documents[0];
  if (root.text("apiVersion") != "gulfstream.dev/v1alpha1" || root.text("kind") != "DelegateCredentials") {
    return fail(Code::kInvalid, "must have apiVersion gulfstream.dev/v1alpha1 and kind DelegateCredentials");
  }
  const json::Value* entries = root.find("delegates");
  if (entries == nullptr || !entries->is_array()) return fail(Code::kInvalid, "delegates: must be a list");
  CredentialFiles out;
  for (size_t i = 0; i < entries->array()->size(); ++i) {
    GS_TRY_STATUS(read_entry(path, (*entries->array())[i], fmt::format("delegates[{}]", i), out));
  }
  return out;
}

}  // namespace

std::string origin_key(const kube::ServerUrl& url) {
  return (url.tls ? "https://" : "http://") + to_lower(url.authority());
}

Result<CredentialFiles> read_credential_files(const std::string& path) {
  GS_TRY(const std::string text, kube::read_file(path));
  auto files = parse(path, text);
  if (!files) return fail(std::move(files).error().with_context(path));
  files->path = path;
  return files;
}

Credentials::Credentials(Loop& loop, net::TlsContext& tls, CredentialFiles files) : loop_(loop), tls_(tls), scope_(loop) {
  if (files.path.empty()) return;
  adopt(std::move(files));
  loop_.post([this] { scope_.spawn(watch()); });
}

void Credentials::adopt(CredentialFiles files) {
  if (files == files_ && !slots_.empty()) return;
  files_ = std::move(files);
  slots_.clear();
  for (const auto& [origin, entry] : files_.by_origin) {
    Slot& slot = slots_[origin];
    slot.error = entry.error;
    slot.credential.token = entry.token;
    if (slot.error.empty() && !entry.certificate_pem.empty()) {
      auto identity = tls_.identity(entry.certificate_pem, entry.key_pem);
      if (identity) slot.credential.identity = *identity;
      if (!identity) slot.error = identity.error().message;
    }
    if (!slot.error.empty()) log::warning("a delegate's credential cannot be used", {{"delegate", origin}, {"err", slot.error}});
  }
}

Result<Credential> Credentials::find(const kube::ServerUrl& url) const {
  if (!url.tls) return Credential();
  const auto found = slots_.find(origin_key(url));
  if (found == slots_.end()) return Credential();
  if (!found->second.error.empty()) return fail(Code::kUnauthorized, "the credential for {}: {}", found->first, found->second.error);
  return found->second.credential;
}

Task<void> Credentials::watch() {
  std::string last_error;
  while (true) {
    co_await sleep_for(loop_, kPeriod);
    struct Job {
      explicit Job(Loop& loop) : done(loop) {}
      Event done;
      Result<CredentialFiles> files = fail(Code::kInternal, "not read");
    };
    const auto job = std::make_shared<Job>(loop_);
    std::function<void()> work = [job, path = files_.path] { job->files = read_credential_files(path); };
    std::function<void()> done = [job] { job->done.set(); };
    loop_.run_blocking(std::move(work), std::move(done));
    co_await job->done.wait();
    const std::string error = job->files ? "" : job->files.error().message;
    if (job->files) adopt(std::move(*job->files));
    if (!error.empty() && error != last_error) log::warning("delegates' credentials cannot be read; the last ones stay", {{"err", error}});
    last_error = error;
  }
}

}  // namespace gs::delegate
