#include "net/http.h"

#include "net/http_message.h"

namespace gs::net {

const std::string* find_header(const Headers& headers, std::string_view name) {
  for (const Header& header : headers) {
    if (header.name == name) return &header.value;
  }
  return nullptr;
}

bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool is_header_value(std::string_view text) {
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((u < 0x20 && c != '\t') || u == 0x7F) return false;
  }
  return true;
}

bool is_connection_header(std::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "proxy-connection" ||
         name == "transfer-encoding" || name == "upgrade";
}

Status check_headers(const Headers& headers) {
  for (const Header& header : headers) {
    if (!is_token(header.name)) return fail(Code::kInvalid, "header name \"{}\" is not valid", header.name);
    if (!is_header_value(header.value)) {
      return fail(Code::kInvalid, "value of header {} has control characters", header.name);
    }
  }
  return ok();
}

Status check_request(const HttpRequest& request) {
  if (!is_token(request.method)) return fail(Code::kInvalid, "method \"{}\" is not valid", request.method);
  if (request.target.empty()) return fail(Code::kInvalid, "request without a target");
  for (const std::string* text : {&request.target, &request.authority}) {
    for (const char c : *text) {
      const auto u = static_cast<unsigned char>(c);
      if (u <= 0x20 || u == 0x7F) return fail(Code::kInvalid, "request target or authority has control characters");
    }
  }
  return check_headers(request.headers);
}

}  // namespace gs::net
