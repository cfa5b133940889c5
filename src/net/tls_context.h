// What TLS connections share: one SSL_CTX, and CA stores and certificates interned by content, so
// that a thousand clusters of one CA hold it once.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/interned.h"
#include "base/strings.h"

using BIO_METHOD = struct bio_method_st;
using EVP_PKEY = struct evp_pkey_st;
using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;
using X509 = struct x509_st;
using X509_STORE = struct x509_store_st;

namespace gs::net {

// Certificates to trust: authorities, intermediates or single servers. Immutable, thread-safe.
class TrustStore {
 public:
  explicit TrustStore(X509_STORE* store) : store_(store) {}
  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;
  X509_STORE* get() const { return store_; }
  // Their subjects in DER, for a server's request of client certificates.
  std::vector<X509*> certificates() const;

 private:
  X509_STORE* store_;
};

// A certificate with its chain and private key. Immutable, thread-safe.
class Identity {
 public:
  Identity() = default;
  ~Identity();
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;
  X509* leaf() const { return chain_.front(); }
  const std::vector<X509*>& chain() const { return chain_; }
  EVP_PKEY* key() const { return key_; }
  WallTime not_after() const;

 private:
  friend class TlsContext;
  std::vector<X509*> chain_;  // leaf first
  EVP_PKEY* key_ = nullptr;
};

// Clients and servers alike; one per process is enough (all members are thread-safe). Outlives its
// connections.
class TlsContext {
 public:
  TlsContext();
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // kInvalid says in words what is wrong with the PEM text.
  Result<std::shared_ptr<const TrustStore>> trust(std::string_view ca_pem);
  // The machine's own authorities.
  std::shared_ptr<const TrustStore> system_trust();
  // Also kInvalid: what OpenSSL would not use (keys that are too weak, algorithms it does not know).
  Result<std::shared_ptr<const Identity>> identity(std::string_view cert_pem, std::string_view key_pem);

  SSL_CTX* get() const { return context_; }
  const BIO_METHOD* bio_method() const { return bio_method_; }

 private:
  SSL_CTX* context_;
  BIO_METHOD* bio_method_;
  std::mutex mutex_;
  Interned<TrustStore> trust_;
  Interned<Identity> identities_;
  std::shared_ptr<const TrustStore> system_;
};

namespace internal {
// Set by tls.cc: moves bytes between OpenSSL and the stream below.
BIO_METHOD* make_stream_bio_method();
void set_alpn_selection(SSL_CTX* context);
// False: OpenSSL refuses it; its queue of errors says why.
bool try_identity(SSL* ssl, const Identity& identity);
}  // namespace internal

}  // namespace gs::net
