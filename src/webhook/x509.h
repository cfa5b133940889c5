// Certificates that we make, for webhooks and for embedded API servers: ECDSA P-256, signed with SHA-256. Pure but for
// the randomness of keys and serial numbers. Any thread.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/error.h"

namespace gs::webhook {

struct KeyPair {
  std::string certificate;  // PEM
  std::string key;          // PEM, PKCS #8
};

// What is read of a certificate (the first of a chain).
struct CertificateFacts {
  WallTime not_before{};
  WallTime not_after{};
  std::set<std::string> names;  // subject alternative names: DNS names, and IP addresses as text
};

// A certificate authority that signs itself. `common_name` is its subject: one of its own for each.
Result<KeyPair> make_authority(const std::string& common_name, WallTime not_before, WallTime not_after);
// A server's certificate for these DNS names and IP addresses. kInvalid: the authority cannot be read.
Result<KeyPair> make_serving(const KeyPair& authority, const std::set<std::string>& names, WallTime not_before, WallTime not_after,
                             const std::string& common_name = "gulfstream-webhook");
// A client's, as Kubernetes reads it: the common name is the user, the organization a group of its. Errors as above.
Result<KeyPair> make_client(const KeyPair& authority, const std::string& common_name, const std::string& organization, WallTime not_before, WallTime not_after);
// kInvalid: it is not a certificate.
Result<CertificateFacts> read_certificate(std::string_view pem);
// kInvalid: the key is none, or not the certificate's.
Status check_key_pair(const KeyPair& pair);
// Whether the authority's key signed it; what cannot be read is not signed.
bool is_signed_by(std::string_view certificate_pem, std::string_view authority_pem);
// Whether one of the names, wildcards of one label among them, covers the host as Go's TLS client has it.
bool covers(const std::set<std::string>& names, std::string_view host);

std::string random_bytes(size_t count);
std::string hmac_sha256(std::string_view key, std::string_view text);

}  // namespace gs::webhook
