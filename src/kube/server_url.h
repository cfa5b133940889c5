// The URL of an API server or a delegate: scheme, host, port and path, nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace gs::kube {

struct ServerUrl {
  bool tls = true;
  std::string host;  // IPv6 without brackets
  uint16_t port = 443;
  std::string path_prefix;  // without a trailing slash; usually empty
  std::string text;         // as it was written, for messages

  // "host:port", IPv6 in brackets.
  std::string authority() const;
};

// http:// or https://. Refuses user information, queries and fragments.
Result<ServerUrl> parse_server_url(std::string_view text);

}  // namespace gs::kube
