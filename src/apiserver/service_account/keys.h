// The keys of service accounts' tokens: JWTs (RFC 7519) in compact form, signed with ES256, ES384, ES512 or RS256, as
// kube-apiserver's --service-account-signing-key-file allows. Immutable once filled: any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "json/value.h"

struct evp_pkey_st;

namespace gs::apiserver {

class TokenKey {
 public:
  using Pointer = std::shared_ptr<evp_pkey_st>;

  // A new one, for ES256.
  static Result<TokenKey> make();
  // The first private key of a PEM text; kInvalid: there is none that can sign.
  static Result<TokenKey> read_private(std::string_view pem);
  // All keys of a PEM text, public or private: what is signed by them is believed. kInvalid: there is none.
  static Result<std::vector<TokenKey>> read_all(std::string_view pem);

  // PEM, PKCS #8; of a private key.
  Result<std::string> to_pem() const;
  // Derived from the public key, as Kubernetes does it.
  const std::string& id() const { return id_; }
  // ES256, ES384, ES512 or RS256.
  const std::string& algorithm() const { return algorithm_; }

  Result<std::string> sign(std::string_view text) const;
  bool verify(std::string_view text, std::string_view signature) const;

 private:
  explicit TokenKey(Pointer key) : key_(std::move(key)) {}
  static Result<TokenKey> of(Pointer key);

  Pointer key_;
  std::string id_, algorithm_;
  size_t half_ = 0;  // bytes of each number of an ECDSA signature; 0 for RSA
};

// What kube-apiserver's flags --service-account-* and --api-audiences say.
struct ServiceAccountKeys {
  explicit ServiceAccountKeys(TokenKey s) : signing(std::move(s)) {}
  TokenKey signing;
  std::vector<TokenKey> accepted;  // the signing key's own too
  std::vector<std::string> issuers = {"https://kubernetes.default.svc.cluster.local"};  // the first issues, all are believed
  std::vector<std::string> audiences;  // empty: the issuers

  const std::vector<std::string>& api_audiences() const { return audiences.empty() ? issuers : audiences; }
};

// Signs the claims.
Result<std::string> make_jwt(const TokenKey& key, const json::Value& claims);
// The claims, nothing of them checked; nullopt: it is no JWT of these issuers, and so somebody else's affair.
std::optional<json::Value> claims_of(std::string_view token, const std::vector<std::string>& issuers);
// Whether one of the keys signed it. kInvalid in Kubernetes' words.
Status check_signature(std::string_view token, const std::vector<TokenKey>& keys);

}  // namespace gs::apiserver
