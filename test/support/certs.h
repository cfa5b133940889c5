// Certificates made at run time, so that no test depends on a date or a file.
#pragma once

#include <string>
#include <vector>

namespace gs::test {

struct CertOptions {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  // Seconds from now.
  long not_before = -3600;
  long not_after = 24 * 3600;
  bool is_ca = false;
  int rsa_bits = 0;  // 0: ECDSA P-256
};

struct KeyPair {
  std::string cert_pem;
  std::string key_pem;
};

// Self-signed when `issuer` is null.
KeyPair make_cert(const CertOptions& options, const KeyPair* issuer = nullptr);
KeyPair make_ca(const std::string& common_name);
// A leaf for `names` (DNS names or numeric addresses), its CN the first of them.
KeyPair make_server_cert(const KeyPair& ca, const std::vector<std::string>& names);
KeyPair make_client_cert(const KeyPair& ca, const std::string& user, const std::vector<std::string>& groups);

}  // namespace gs::test
