// Rules of HTTP messages that every version shares. Internal to src/net.
#pragma once

#include <string>
#include <string_view>

#include "net/http.h"

namespace gs::net {

// A header's name or a method: RFC 9110's token.
bool is_token(std::string_view text);
// No control characters: nothing that could end a header early.
bool is_header_value(std::string_view text);
// Belongs to one connection of HTTP/1.1 and never to a message: connection, transfer-encoding, ...
bool is_connection_header(std::string_view lower_case_name);

// What a caller may put into a message: kInvalid names what is wrong. Names must be in lower case.
Status check_headers(const Headers& headers);
Status check_request(const HttpRequest& request);

}  // namespace gs::net
