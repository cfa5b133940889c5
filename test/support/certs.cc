#include "test/support/certs.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace gs::test {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, Deleter<X509_free>>;
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "test certificates: %s failed\n", what);
  std::abort();
}

std::string contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

BioPtr reader(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

void add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  require(extension != nullptr, "extension");
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

void add_name(X509_NAME* name, const char* field, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

std::string alternative_names(const CertOptions& options) {
  std::string names;
  for (const auto& name : options.dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  for (const auto& address : options.ip_addresses) names += (names.empty() ? "IP:" : ",IP:") + address;
  return names;
}

}  // namespace

KeyPair make_cert(const CertOptions& options, const KeyPair* issuer) {
  const KeyPtr key(options.rsa_bits > 0 ? EVP_RSA_gen(options.rsa_bits) : EVP_EC_gen("P-256"));
  const CertPtr cert(X509_new());
  require(key && cert, "key generation");
  X509_set_version(cert.get(), X509_VERSION_3);
  uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), options.not_before);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), options.not_after);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(cert.get());
  for (const auto& organization : options.organizations) add_name(subject, "O", organization);
  add_name(subject, "CN", options.common_name);

  CertPtr issuer_cert;
  KeyPtr issuer_key;
  if (issuer != nullptr) {
    issuer_cert.reset(PEM_read_bio_X509(reader(issuer->cert_pem).get(), nullptr, nullptr, nullptr));
    issuer_key.reset(PEM_read_bio_PrivateKey(reader(issuer->key_pem).get(), nullptr, nullptr, nullptr));
    require(issuer_cert && issuer_key, "reading the issuer");
  }
  X509* signer = issuer_cert ? issuer_cert.get() : cert.get();
  X509_set_issuer_name(cert.get(), X509_get_subject_name(signer));
  add_extension(cert.get(), signer, NID_basic_constraints, options.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension(cert.get(), signer, NID_key_usage,
                options.is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature,keyEncipherment");
  if (!options.is_ca) add_extension(cert.get(), signer, NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(cert.get(), signer, NID_subject_key_identifier, "hash");
  add_extension(cert.get(), signer, NID_authority_key_identifier, "keyid");
  if (const std::string names = alternative_names(options); !names.empty()) {
    add_extension(cert.get(), signer, NID_subject_alt_name, names);
  }
  require(X509_sign(cert.get(), issuer_key ? issuer_key.get() : key.get(), EVP_sha256()) > 0, "signing");

  KeyPair pair;
  const BioPtr cert_out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(cert_out.get(), cert.get());
  pair.cert_pem = contents(cert_out.get());
  const BioPtr key_out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  pair.key_pem = contents(key_out.get());
  return pair;
}

KeyPair make_ca(const std::string& common_name) {
  CertOptions options;
  options.common_name = common_name;
  options.is_ca = true;
  return make_cert(options);
}

KeyPair make_server_cert(const KeyPair& ca, const std::vector<std::string>& names) {
  CertOptions options;
  options.common_name = names.front();
  for (const auto& name : names) {
    const bool numeric = name.find_first_not_of("0123456789.") == std::string::npos ||
                         name.find(':') != std::string::npos;
    (numeric ? options.ip_addresses : options.dns_names).push_back(name);
  }
  return make_cert(options, &ca);
}

KeyPair make_client_cert(const KeyPair& ca, const std::string& user, const std::vector<std::string>& groups) {
  CertOptions options;
  options.common_name = user;
  options.organizations = groups;
  return make_cert(options, &ca);
}

}  // namespace gs::test
