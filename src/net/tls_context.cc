#include "net/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <ctime>

#include "base/check.h"

namespace gs::net {
namespace {

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using BioPtr = std::unique_ptr<BIO, BioDeleter>;

BioPtr reader(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// What OpenSSL last complained about; empties its queue.
std::string last_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "malformed" : reason;
}

bool ran_out_of_pem() { return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE; }

// All CERTIFICATE blocks, in order. The caller owns them.
Result<std::vector<X509*>> read_certificates(std::string_view pem) {
  ERR_clear_error();
  const BioPtr bio = reader(pem);
  std::vector<X509*> certificates;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.push_back(certificate);
  }
  const bool complete = ran_out_of_pem();
  const std::string reason = last_reason();
  if (complete && !certificates.empty()) return certificates;
  const size_t read = certificates.size();
  for (X509* certificate : certificates) X509_free(certificate);
  if (complete) return fail(Code::kInvalid, "no CERTIFICATE block in the PEM data");
  return fail(Code::kInvalid, "certificate {} in the PEM data: {}", read + 1, reason);
}

Result<EVP_PKEY*> read_key(std::string_view pem) {
  ERR_clear_error();
  const BioPtr bio = reader(pem);
  bool asked_for_password = false;
  const auto refuse_password = [](char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
  };
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_password, &asked_for_password);
  const bool missing = pem.find("PRIVATE KEY-----") == std::string_view::npos;
  const std::string reason = last_reason();
  if (key != nullptr) return key;
  if (asked_for_password) return fail(Code::kUnsupported, "the private key is encrypted, which is not supported");
  if (missing) return fail(Code::kInvalid, "no PRIVATE KEY block in the PEM data");
  return fail(Code::kInvalid, "private key: {}", reason);
}

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

}  // namespace

bool internal::try_identity(SSL* ssl, const Identity& identity) {
  STACK_OF(X509)* chain = sk_X509_new_null();
  for (size_t i = 1; i < identity.chain().size(); ++i) sk_X509_push(chain, identity.chain()[i]);
  ERR_clear_error();
  const bool taken = SSL_use_cert_and_key(ssl, identity.leaf(), identity.key(), chain, 1) == 1;
  sk_X509_free(chain);
  return taken;
}

TrustStore::~TrustStore() { X509_STORE_free(store_); }

std::vector<X509*> TrustStore::certificates() const {
  std::vector<X509*> certificates;
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(store_);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    if (X509* certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i))) {
      certificates.push_back(certificate);
    }
  }
  return certificates;
}

Identity::~Identity() {
  for (X509* certificate : chain_) X509_free(certificate);
  EVP_PKEY_free(key_);
}

WallTime Identity::not_after() const {
  std::tm parts{};
  ASN1_TIME_to_tm(X509_get0_notAfter(leaf()), &parts);
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_method())), bio_method_(internal::make_stream_bio_method()) {
  GS_CHECK(context_ != nullptr);
  SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context_, 0);
  internal::set_alpn_selection(context_);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
  BIO_meth_free(bio_method_);
}

Result<std::shared_ptr<const TrustStore>> TlsContext::trust(std::string_view ca_pem) {
  const std::string digest = sha256_hex(ca_pem);
  const std::lock_guard lock(mutex_);
  if (auto store = trust_.find(digest)) return store;
  GS_TRY(const std::vector<X509*> certificates, read_certificates(ca_pem));
  X509_STORE* raw = X509_STORE_new();
  GS_CHECK(raw != nullptr);
  // As in Go: a single server's certificate or an intermediate may be what is trusted.
  X509_STORE_set_flags(raw, X509_V_FLAG_PARTIAL_CHAIN);
  for (X509* certificate : certificates) {
    X509_STORE_add_cert(raw, certificate);
    X509_free(certificate);
  }
  auto store = std::make_shared<const TrustStore>(raw);
  trust_.put(digest, store);
  return store;
}

std::shared_ptr<const TrustStore> TlsContext::system_trust() {
  const std::lock_guard lock(mutex_);
  if (system_ == nullptr) {
    X509_STORE* raw = X509_STORE_new();
    GS_CHECK(raw != nullptr);
    X509_STORE_set_default_paths(raw);
    ERR_clear_error();
    system_ = std::make_shared<const TrustStore>(raw);
  }
  return system_;
}

Result<std::shared_ptr<const Identity>> TlsContext::identity(std::string_view cert_pem, std::string_view key_pem) {
  // The lengths keep "ab"+"c" apart from "a"+"bc".
  const std::string digest = sha256_hex(fmt::format("{}:{}{}", cert_pem.size(), cert_pem, key_pem));
  const std::lock_guard lock(mutex_);
  if (auto identity = identities_.find(digest)) return identity;
  auto identity = std::make_shared<Identity>();
  GS_TRY(identity->chain_, read_certificates(cert_pem));
  GS_TRY(identity->key_, read_key(key_pem));
  if (X509_check_private_key(identity->leaf(), identity->key_) != 1) {
    ERR_clear_error();
    return fail(Code::kInvalid, "the private key does not belong to the certificate");
  }
  // A tenant's certificate comes to a handshake only if that cannot fail there.
  const std::unique_ptr<SSL, SslDeleter> probe(SSL_new(context_));
  GS_CHECK(probe != nullptr);
  if (!internal::try_identity(probe.get(), *identity)) {
    return fail(Code::kInvalid, "the certificate cannot be used: {}", last_reason());
  }
  identities_.put(digest, identity);
  return std::shared_ptr<const Identity>(identity);
}

}  // namespace gs::net
