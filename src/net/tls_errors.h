// OpenSSL's failures in words. Private to TLS.
#pragma once

#include <openssl/ssl.h>

#include "base/error.h"

namespace gs::net::internal {

// Why the peer's certificate was not accepted. `certificate` is the one at fault, or null.
Error verification_error(int result, const X509* certificate, const std::string& wanted_name);
// What the last SSL call left in OpenSSL's queue; empties it. `peer` names the other side.
Error protocol_error(const char* peer);

}  // namespace gs::net::internal
