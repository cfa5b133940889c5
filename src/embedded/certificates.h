// The certificates of embedded API servers: an authority of their own, what they serve with, and what the administrator
// of the kubeconfig shows. Kept in a directory, each with its key in one file, so that no crash leaves half a pair.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "webhook/x509.h"

namespace gs::embedded {

inline constexpr Duration kYear = std::chrono::hours(24 * 365);
inline constexpr Duration kAuthorityLife = 10 * kYear;
// An authority with less left than that of what it signs is replaced, and everything with it.
inline constexpr Duration kLeafLife = kYear;
inline constexpr Duration kBackdate = std::chrono::hours(1);  // clients' clocks differ

struct Certificates {
  webhook::KeyPair authority;
  webhook::KeyPair serving;
  webhook::KeyPair admin;  // user "admin" of the group system:masters
};

// What is missing, is not of this authority, lacks one of the names or has a third of its life left is made anew.
// Gives what was done, for people; empty: nothing. kInvalid: the authority cannot be used.
Result<std::vector<std::string>> renew(Certificates& certificates, const std::set<std::string>& names, WallTime now);

// ca.pem, serving.pem and admin.pem of a directory; those that are not there are empty. Blocking. kInvalid names a file.
Result<Certificates> read_certificates(const std::string& directory);
// The same, and ca.crt for everybody. Makes the directory.
Status write_certificates(const std::string& directory, const Certificates& certificates);

}  // namespace gs::embedded
