#include "webhook/x509.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "net/cidr.h"

namespace gs::webhook {
namespace {

template <auto free_function>
struct Free {
  template <class T>
  void operator()(T* pointer) const {
    free_function(pointer);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;

constexpr const char* kOrganization = "gulfstream.dev";
constexpr long kVersion3 = 2;
constexpr size_t kSerialBytes = 16;

tl::unexpected<Error> failed(std::string_view what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return fail(Code::kInvalid, "{}: {}", what, reason == nullptr ? "malformed" : reason);
}

Bio reader(std::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string written(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<Certificate> read_x509(std::string_view pem) {
  ERR_clear_error();
  const Bio bio = reader(pem);
  Certificate out(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!out) return failed("certificate");
  return out;
}

Result<Key> read_key(std::string_view pem) {
  ERR_clear_error();
  const Bio bio = reader(pem);
  const auto no_password = [](char*, int, int, void*) { return -1; };
  Key out(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (!out) return failed("private key");
  return out;
}

time_t seconds_of(WallTime time) { return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count(); }

WallTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  GS_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void set_name(X509_NAME* name, const std::string& organization, const std::string& common_name) {
  const auto add = [&](const char* field, const std::string& text) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    GS_CHECK(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, bytes, static_cast<int>(text.size()), -1, 0) == 1);
  };
  add("O", organization);
  add("CN", common_name);
}

// All but extensions and signature. A serial number of 126 random bits, never negative or zero.
Certificate begin_certificate(EVP_PKEY* key, const std::string& organization, const std::string& common_name, WallTime not_before, WallTime not_after) {
  Certificate out(X509_new());
  X509_set_version(out.get(), kVersion3);
  std::string serial = random_bytes(kSerialBytes);
  serial[0] = static_cast<char>((serial[0] & 0x3F) | 0x40);
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), static_cast<int>(serial.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(out.get()));
  BN_free(number);
  ASN1_TIME_set(X509_getm_notBefore(out.get()), seconds_of(not_before));
  ASN1_TIME_set(X509_getm_notAfter(out.get()), seconds_of(not_after));
  set_name(X509_get_subject_name(out.get()), organization, common_name);
  X509_set_pubkey(out.get(), key);
  return out;
}

Result<KeyPair> finish(X509* certificate, EVP_PKEY* key, EVP_PKEY* signer) {
  if (X509_sign(certificate, signer, EVP_sha256()) == 0) return failed("signing a certificate");
  KeyPair out;
  const Bio certificate_text(BIO_new(BIO_s_mem()));
  const Bio key_text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate_text.get(), certificate);
  PEM_write_bio_PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  out.certificate = written(certificate_text);
  out.key = written(key_text);
  return out;
}

std::string alternative_names(const std::set<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names) out.push_back((net::IpAddress::parse(name) ? "IP:" : "DNS:") + name);
  return join(out, ",");
}

struct Issuer {
  Certificate certificate;
  Key key;
  static Result<Issuer> read(const KeyPair& authority) {
    Issuer out;
    GS_TRY(out.certificate, read_x509(authority.certificate));
    GS_TRY(out.key, read_key(authority.key));
    return out;
  }
};

void add_leaf_extensions(X509* certificate, X509* issuer, const std::string& usage) {
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature");
  add_extension(certificate, issuer, NID_ext_key_usage, usage);
  add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
  add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
}

}  // namespace

std::string random_bytes(size_t count) {
  std::string out(count, '\0');
  GS_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) == 1);
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  GS_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, text.size(), out, &size) != nullptr);
  return std::string(reinterpret_cast<char*>(out), size);
}

Result<KeyPair> make_authority(const std::string& common_name, WallTime not_before, WallTime not_after) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return failed("making a key");
  const Certificate out = begin_certificate(key.get(), kOrganization, common_name, not_before, not_after);
  X509_set_issuer_name(out.get(), X509_get_subject_name(out.get()));
  add_extension(out.get(), out.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(out.get(), out.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(out.get(), out.get(), NID_subject_key_identifier, "hash");
  return finish(out.get(), key.get(), key.get());
}

Result<KeyPair> make_serving(const KeyPair& authority, const std::set<std::string>& names, WallTime not_before, WallTime not_after,
                             const std::string& common_name) {
  GS_TRY(const Issuer issuer, Issuer::read(authority));
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return failed("making a key");
  const Certificate out = begin_certificate(key.get(), kOrganization, common_name, not_before, not_after);
  add_leaf_extensions(out.get(), issuer.certificate.get(), "serverAuth");
  add_extension(out.get(), issuer.certificate.get(), NID_subject_alt_name, alternative_names(names));
  return finish(out.get(), key.get(), issuer.key.get());
}

Result<KeyPair> make_client(const KeyPair& authority, const std::string& common_name, const std::string& organization, WallTime not_before, WallTime not_after) {
  GS_TRY(const Issuer issuer, Issuer::read(authority));
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return failed("making a key");
  const Certificate out = begin_certificate(key.get(), organization, common_name, not_before, not_after);
  add_leaf_extensions(out.get(), issuer.certificate.get(), "clientAuth");
  return finish(out.get(), key.get(), issuer.key.get());
}

Result<CertificateFacts> read_certificate(std::string_view pem) {
  GS_TRY(const Certificate certificate, read_x509(pem));
  CertificateFacts out;
  out.not_before = time_of(X509_get0_notBefore(certificate.get()));
  out.not_after = time_of(X509_get0_notAfter(certificate.get()));
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      out.names.emplace(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)), ASN1_STRING_length(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
      const bool v4 = ASN1_STRING_length(name->d.iPAddress) == 4;
      char text[INET6_ADDRSTRLEN] = "";
      ::inet_ntop(v4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof(text));
      out.names.emplace(text);
    }
  }
  GENERAL_NAMES_free(names);
  return out;
}

Status check_key_pair(const KeyPair& pair) {
  GS_TRY(const Certificate certificate, read_x509(pair.certificate));
  GS_TRY(const Key key, read_key(pair.key));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) return failed("the private key is not the certificate's");
  return ok();
}

bool is_signed_by(std::string_view certificate_pem, std::string_view authority_pem) {
  const auto certificate = read_x509(certificate_pem);
  const auto authority = read_x509(authority_pem);
  if (!certificate || !authority) return false;
  const bool good = X509_verify(certificate->get(), X509_get0_pubkey(authority->get())) == 1;
  ERR_clear_error();
  return good;
}

bool covers(const std::set<std::string>& names, std::string_view host) {
  const std::string wanted = to_lower(host);
  if (names.contains(wanted)) return true;
  const size_t dot = wanted.find('.');
  return dot != std::string::npos && !net::IpAddress::parse(wanted) && names.contains("*" + wanted.substr(dot));
}

}  // namespace gs::webhook
