#include "embedded/certificates.h"

#include <algorithm>

#include "base/files.h"
#include "kube/kubeconfig.h"

namespace gs::embedded {
namespace {

constexpr std::string_view kKeyBegins = "-----BEGIN PRIVATE KEY-----";

Result<webhook::KeyPair> read_pair(const std::string& path) {
  webhook::KeyPair out;
  if (!file_exists(path)) return out;
  GS_TRY(const std::string text, kube::read_file(path));
  const size_t key = std::min(text.find(kKeyBegins), text.size());
  out.certificate = text.substr(0, key);
  out.key = text.substr(key);
  return out;
}

Status write_pair(const std::string& path, const webhook::KeyPair& pair) { return write_whole_file(path, pair.certificate + pair.key, kSecretFile); }

// Whether a certificate may be used on: of this authority, with its key, and not yet due.
bool is_good(const webhook::KeyPair& pair, const webhook::KeyPair& authority, WallTime now) {
  if (pair.certificate.empty() || !webhook::check_key_pair(pair) || !webhook::is_signed_by(pair.certificate, authority.certificate)) return false;
  const auto facts = webhook::read_certificate(pair.certificate);
  return facts && now >= facts->not_before && facts->not_after - now > (facts->not_after - facts->not_before) / 3;
}

bool has_names(const webhook::KeyPair& serving, const std::set<std::string>& names) {
  const auto facts = webhook::read_certificate(serving.certificate);
  return facts && std::includes(facts->names.begin(), facts->names.end(), names.begin(), names.end());
}

}  // namespace

Result<std::vector<std::string>> renew(Certificates& certificates, const std::set<std::string>& names, WallTime now) {
  std::vector<std::string> did;
  webhook::KeyPair& authority = certificates.authority;
  bool fresh = authority.certificate.empty();
  if (!fresh) {
    GS_TRY_STATUS(webhook::check_key_pair(authority));
    GS_TRY(const webhook::CertificateFacts facts, webhook::read_certificate(authority.certificate));
    fresh = facts.not_after - now < kLeafLife;
  }
  if (fresh) {
    // A name of its own for each: a kubeconfig of an earlier one then says that it is unknown, not that it is broken.
    const std::string name = "gulfstream-apiserver-" + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
    GS_TRY(authority, webhook::make_authority(name, now - kBackdate, now + kAuthorityLife));
    did.emplace_back("certificate authority made");
  }
  if (!is_good(certificates.serving, authority, now) || !has_names(certificates.serving, names)) {
    GS_TRY(certificates.serving, webhook::make_serving(authority, names, now - kBackdate, now + kLeafLife, "gulfstream-apiserver"));
    did.emplace_back("serving certificate made");
  }
  if (!is_good(certificates.admin, authority, now)) {
    GS_TRY(certificates.admin, webhook::make_client(authority, "admin", "system:masters", now - kBackdate, now + kLeafLife));
    did.emplace_back("administrator's certificate made");
  }
  return did;
}

Result<Certificates> read_certificates(const std::string& directory) {
  Certificates out;
  const std::string authority = directory + "/ca.pem";
  GS_TRY(out.authority, read_pair(authority));
  if (!out.authority.certificate.empty() || !out.authority.key.empty()) {
    if (const Status good = webhook::check_key_pair(out.authority); !good) {
      return fail(Code::kInvalid, "{}: {}; put it right, or remove it to begin with a new authority", authority, good.error().message);
    }
  }
  GS_TRY(out.serving, read_pair(directory + "/serving.pem"));
  GS_TRY(out.admin, read_pair(directory + "/admin.pem"));
  return out;
}

Status write_certificates(const std::string& directory, const Certificates& certificates) {
  GS_TRY_STATUS(make_private_directories(directory));
  GS_TRY_STATUS(write_pair(directory + "/ca.pem", certificates.authority));
  GS_TRY_STATUS(write_whole_file(directory + "/ca.crt", certificates.authority.certificate, kPublicFile));
  GS_TRY_STATUS(write_pair(directory + "/serving.pem", certificates.serving));
  GS_TRY_STATUS(write_pair(directory + "/admin.pem", certificates.admin));
  sync_directory(directory);
  return ok();
}

}  // namespace gs::embedded
