#include "apiserver/service_account/keys.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <algorithm>

#include "base/strings.h"

namespace gs::apiserver {
namespace {

struct Free {
  void operator()(BIO* b) const { BIO_free(b); }
  void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
  void operator()(ECDSA_SIG* s) const { ECDSA_SIG_free(s); }
};
using Bio = std::unique_ptr<BIO, Free>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Free>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// RFC 7515's base64url without padding.
std::string encode_url(std::string_view bytes) {
  std::string out = base64_encode(bytes);
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  out.erase(std::find(out.begin(), out.end(), '='), out.end());
  return out;
}

std::optional<std::string> decode_url(std::string_view text) {
  std::string padded;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!plain && c != '-' && c != '_') return std::nullopt;
    padded += c == '-' ? '+' : c == '_' ? '/' : c;
  }
  if (padded.size() % 4 == 1) return std::nullopt;
  padded.append((4 - padded.size() % 4) % 4, '=');
  return base64_decode(padded);
}

const EVP_MD* digest_of(std::string_view algorithm) {
  if (algorithm == "ES384") return EVP_sha384();
  return algorithm == "ES512" ? EVP_sha512() : EVP_sha256();
}

std::string error_of_openssl() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "malformed";
}

// JOSE has the two numbers side by side, OpenSSL has DER.
std::optional<std::string> to_jose(std::string_view der, size_t half) {
  const unsigned char* at = bytes_of(der);
  const EcdsaSignature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!signature) return std::nullopt;
  std::string out(2 * half, '\0');
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  const int size = static_cast<int>(half);
  if (BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), to, size) != size || BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), to + half, size) != size) return std::nullopt;
  return out;
}

std::optional<std::string> to_der(std::string_view jose, size_t half) {
  if (jose.size() != 2 * half) return std::nullopt;
  const EcdsaSignature signature(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(bytes_of(jose), static_cast<int>(half), nullptr);
  BIGNUM* s = BN_bin2bn(bytes_of(jose.substr(half)), static_cast<int>(half), nullptr);
  if (ECDSA_SIG_set0(signature.get(), r, s) != 1) return std::nullopt;
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return std::nullopt;
  std::string out(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

int no_password(char*, int, int, void*) { return -1; }

}  // namespace

Result<TokenKey> TokenKey::of(Pointer key) {
  TokenKey out(std::move(key));
  const int bits = EVP_PKEY_get_bits(out.key_.get());
  if (EVP_PKEY_is_a(out.key_.get(), "RSA") == 1) {
    out.algorithm_ = "RS256";
  } else if (EVP_PKEY_is_a(out.key_.get(), "EC") == 1 && (bits == 256 || bits == 384 || bits == 521)) {
    out.algorithm_ = bits == 256 ? "ES256" : bits == 384 ? "ES384" : "ES512";
    out.half_ = static_cast<size_t>(bits + 7) / 8;
  } else {
    return fail(Code::kInvalid, "a key must be RSA, or ECDSA with the curve P-256, P-384 or P-521");
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(out.key_.get(), &der);
  if (size <= 0) return fail(Code::kInvalid, "public key: {}", error_of_openssl());
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<size_t>(size), digest);
  OPENSSL_free(der);
  out.id_ = encode_url({reinterpret_cast<const char*>(digest), sizeof(digest)});
  return out;
}

Result<TokenKey> TokenKey::make() {
  Pointer key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  if (!key) return fail(Code::kInvalid, "a key cannot be made: {}", error_of_openssl());
  return of(std::move(key));
}

Result<TokenKey> TokenKey::read_private(std::string_view pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Pointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
  if (!key) return fail(Code::kInvalid, "private key: {}", error_of_openssl());
  return of(std::move(key));
}

Result<std::vector<TokenKey>> TokenKey::read_all(std::string_view pem) {
  std::vector<TokenKey> out;
  constexpr std::string_view kBegin = "-----BEGIN ";
  for (size_t at = pem.find(kBegin); at != std::string_view::npos;) {
    const size_t next = pem.find(kBegin, at + 1);
    const std::string_view block = pem.substr(at, next == std::string_view::npos ? next : next - at);
    at = next;
    const std::string_view title = block.substr(0, block.find('\n'));
    if (title.find("KEY") == std::string_view::npos) continue;
    if (title.find("PRIVATE") != std::string_view::npos) {
      GS_TRY(TokenKey key, read_private(block));
      out.push_back(std::move(key));
      continue;
    }
    const Bio bio(BIO_new_mem_buf(block.data(), static_cast<int>(block.size())));
    // A PKCS #1 key of RSA has a title of its own.
    Pointer key(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
    if (!key) return fail(Code::kInvalid, "public key: {}", error_of_openssl());
    GS_TRY(TokenKey read, of(std::move(key)));
    out.push_back(std::move(read));
  }
  if (out.empty()) return fail(Code::kInvalid, "data does not contain any valid RSA or ECDSA public keys");
  return out;
}

Result<std::string> TokenKey::to_pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) return fail(Code::kInvalid, "private key: {}", error_of_openssl());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<std::string> TokenKey::sign(std::string_view text) const {
  const DigestContext context(EVP_MD_CTX_new());
  size_t size = 0;
  std::string out;
  bool good = EVP_DigestSignInit(context.get(), nullptr, digest_of(algorithm_), nullptr, key_.get()) == 1 &&
              EVP_DigestSign(context.get(), nullptr, &size, bytes_of(text), text.size()) == 1;
  if (good) {
    out.resize(size);
    good = EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes_of(text), text.size()) == 1;
    out.resize(size);
  }
  std::optional<std::string> jose = good ? (half_ == 0 ? std::optional(out) : to_jose(out, half_)) : std::nullopt;
  if (!jose) return fail(Code::kInvalid, "failed to generate token: {}", error_of_openssl());
  return *std::move(jose);
}

bool TokenKey::verify(std::string_view text, std::string_view signature) const {
  const std::optional<std::string> raw = half_ == 0 ? std::optional(std::string(signature)) : to_der(signature, half_);
  if (!raw) return false;
  const DigestContext context(EVP_MD_CTX_new());
  const bool good = EVP_DigestVerifyInit(context.get(), nullptr, digest_of(algorithm_), nullptr, key_.get()) == 1 &&
                    EVP_DigestVerify(context.get(), bytes_of(*raw), raw->size(), bytes_of(text), text.size()) == 1;
  ERR_clear_error();
  return good;
}

Result<std::string> make_jwt(const TokenKey& key, const json::Value& claims) {
  json::Value header;
  header["alg"] = key.algorithm();
  header["kid"] = key.id();
  std::string out = encode_url(header.dump()) + "." + encode_url(claims.dump());
  GS_TRY(const std::string signature, key.sign(out));
  return out + "." + encode_url(signature);
}

std::optional<json::Value> claims_of(std::string_view token, const std::vector<std::string>& issuers) {
  const std::vector<std::string_view> parts = split(token, '.');
  if (parts.size() != 3) return std::nullopt;
  const auto payload = decode_url(parts[1]);
  if (!payload) return std::nullopt;
  auto claims = json::parse(*payload);
  if (!claims || !claims->is_object()) return std::nullopt;
  if (std::find(issuers.begin(), issuers.end(), claims->text("iss")) == issuers.end()) return std::nullopt;
  return *std::move(claims);
}

Status check_signature(std::string_view token, const std::vector<TokenKey>& keys) {
  const std::vector<std::string_view> parts = split(token, '.');
  const auto header = parts.size() == 3 ? decode_url(parts[0]) : std::nullopt;
  const auto signature = parts.size() == 3 ? decode_url(parts[2]) : std::nullopt;
  const auto read = header ? json::parse(*header) : Result<json::Value>(fail(Code::kInvalid, ""));
  if (!read || !signature) return fail(Code::kInvalid, "invalid bearer token");
  const std::string_view id = read->text("kid"), algorithm = read->text("alg");
  bool found = false;
  for (const TokenKey& key : keys) {
    if (!id.empty() && key.id() != id) continue;
    found = true;
    // The key says how it signs; the token may not choose.
    if (key.algorithm() == algorithm && key.verify(token.substr(0, parts[0].size() + 1 + parts[1].size()), *signature)) return ok();
  }
  return found ? fail(Code::kInvalid, "square/go-jose: error in cryptographic primitive") : fail(Code::kInvalid, "invalid signature, no keys found");
}

}  // namespace gs::apiserver
