#include "net/tls_errors.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <memory>

#include "base/strings.h"
#include "base/time.h"
#include "net/cidr.h"

namespace gs::net::internal {
namespace {

std::string_view view(const ASN1_STRING* text) {
  return std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                          static_cast<size_t>(ASN1_STRING_length(text)));
}

IpAddress ip_from(std::string_view bytes) {
  sockaddr_storage storage{};
  if (bytes.size() == 4) {
    storage.ss_family = AF_INET;
    bytes.copy(reinterpret_cast<char*>(&reinterpret_cast<sockaddr_in&>(storage).sin_addr), 4);
  } else if (bytes.size() == 16) {
    storage.ss_family = AF_INET6;
    bytes.copy(reinterpret_cast<char*>(&reinterpret_cast<sockaddr_in6&>(storage).sin6_addr), 16);
  }
  return IpAddress::from_sockaddr(reinterpret_cast<sockaddr&>(storage)).value_or(IpAddress());
}

// The DNS names and addresses that a certificate is valid for.
std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  auto* all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    if (name->type == GEN_DNS) names.emplace_back(view(name->d.dNSName));
    if (name->type == GEN_IPADD) names.push_back(ip_from(view(name->d.iPAddress)).to_string());
  }
  GENERAL_NAMES_free(all);
  return names;
}

std::string time_text(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "?";
  return format_rfc3339(WallTime(std::chrono::seconds(timegm(&parts))));
}

std::string name_mismatch(const X509* certificate, const std::string& wanted) {
  const auto names = names_of(certificate);
  if (names.empty()) return fmt::format("certificate has no names in it, so it is not valid for {}", wanted);
  return truncate_utf8(fmt::format("certificate is valid for {}, not {}", join(names, ", "), wanted), 512);
}

const char* alert_meaning(int reason) {
  switch (reason) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE: return "it refused our certificate";
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: return "it does not support our certificate";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED: return "it says our certificate is revoked";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED: return "it says our certificate has expired";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN: return "it could not verify our certificate";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA: return "it does not know the authority that signed our certificate";
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED: return "it denied access";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return "it requires a client certificate";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "it presented no certificate";
    default: return nullptr;
  }
}

}  // namespace

Error verification_error(int result, const X509* certificate, const std::string& wanted_name) {
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Error(Code::kUnauthorized,
                   certificate == nullptr ? "certificate has expired"
                                          : "certificate has expired: valid until " +
                                                time_text(X509_get0_notAfter(certificate)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Error(Code::kUnauthorized, "certificate is not valid yet");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      if (certificate != nullptr) return Error(Code::kUnauthorized, name_mismatch(certificate, wanted_name));
      break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return Error(Code::kUnauthorized, "certificate signed by unknown authority");
    default:
      break;
  }
  return Error(Code::kUnauthorized, fmt::format("certificate not accepted: {}", X509_verify_cert_error_string(result)));
}

Error protocol_error(const char* peer) {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  const int reason = ERR_GET_REASON(code);
  if (const char* meaning = alert_meaning(reason)) {
    return Error(Code::kUnauthorized, fmt::format("TLS: {}: {}", peer, meaning));
  }
  if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST) {
    return Error(Code::kUnavailable, fmt::format("TLS: {} does not speak TLS", peer));
  }
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return Error(Code::kUnavailable, fmt::format("TLS: {}: {}", peer, text == nullptr ? "protocol error" : text));
}

}  // namespace gs::net::internal
