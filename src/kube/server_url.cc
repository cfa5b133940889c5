#include "kube/server_url.h"

#include <algorithm>

#include "base/strings.h"

namespace gs::kube {
namespace {

bool is_host_char(char c) {
  const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return alphanumeric || c == '.' || c == '-' || c == '_';
}

bool is_v6_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

bool is_path_char(char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#' && c != '\\'; }

Status split_authority(std::string_view authority, ServerUrl& out) {
  std::string_view host = authority;
  std::string_view port;
  bool has_port = false;
  bool valid = false;
  if (authority.starts_with('[')) {
    const size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return fail(Code::kInvalid, "\"{}\": \"[\" without \"]\"", out.text);
    host = authority.substr(1, bracket - 1);
    const std::string_view rest = authority.substr(bracket + 1);
    has_port = rest.starts_with(':');
    if (has_port) port = rest.substr(1);
    valid = (has_port || rest.empty()) && std::all_of(host.begin(), host.end(), is_v6_char);
  } else {
    const size_t colon = authority.find(':');
    has_port = colon != std::string_view::npos;
    host = authority.substr(0, colon);
    if (has_port) port = authority.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) {
      return fail(Code::kInvalid, "\"{}\": write an IPv6 address in brackets, as in https://[::1]:6443", out.text);
    }
    valid = std::all_of(host.begin(), host.end(), is_host_char);
  }
  if (host.empty()) return fail(Code::kInvalid, "\"{}\" has no host", out.text);
  if (!valid) return fail(Code::kInvalid, "\"{}\": the host is not a name or an address", out.text);
  out.host = std::string(host);
  if (!has_port) return ok();
  const auto number = parse_uint(port);
  if (!number || *number == 0 || *number > 65535) {
    return fail(Code::kInvalid, "\"{}\": the port is not 1 to 65535", out.text);
  }
  out.port = static_cast<uint16_t>(*number);
  return ok();
}

}  // namespace

std::string ServerUrl::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Result<ServerUrl> parse_server_url(std::string_view text) {
  ServerUrl out;
  out.text = std::string(text);
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    out.tls = false;
    out.port = 80;
  } else {
    return fail(Code::kInvalid, "\"{}\" is not an https:// URL", text);
  }
  const size_t end = rest.find_first_of("/?#");
  const std::string_view authority = rest.substr(0, end);
  // Not repeated in the message: it may be a password.
  if (authority.find('@') != std::string_view::npos) {
    return fail(Code::kInvalid, "the URL has user information; credentials belong to the user entry");
  }
  if (end != std::string_view::npos) out.path_prefix = std::string(rest.substr(end));
  if (out.path_prefix.find_first_of("?#") != std::string::npos) {
    return fail(Code::kInvalid, "\"{}\" has a query or a fragment", text);
  }
  if (!std::all_of(out.path_prefix.begin(), out.path_prefix.end(), is_path_char)) {
    return fail(Code::kInvalid, "\"{}\": the path has a character that must be escaped", text);
  }
  while (out.path_prefix.ends_with('/')) out.path_prefix.pop_back();
  GS_TRY_STATUS(split_authority(authority, out));
  return out;
}

}  // namespace gs::kube
