#include "apiserver/respond.h"

#include <fmt/format.h>

namespace gs::apiserver {

std::string random_uuid(Random& random) {
  const uint64_t a = random.next(), b = random.next();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, a & 0xfff, (b >> 48 & 0x3fff) | 0x8000, b & 0xffffffffffff);
}

std::string warning_header(std::string_view text) {
  std::string out = "299 - \"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
  }
  return out + '"';
}

net::HttpHead head_of(const Answer& answer) {
  net::HttpHead head(answer.status);
  head.headers.emplace_back("content-type", answer.content_type);
  head.headers.emplace_back("cache-control", answer.etag.empty() ? "no-cache, private" : "public");
  if (!answer.etag.empty()) {
    head.headers.emplace_back("etag", '"' + answer.etag + '"');
    head.headers.emplace_back("vary", "Accept");
  }
  if (answer.retry_after > 0) head.headers.emplace_back("retry-after", std::to_string(answer.retry_after));
  for (const std::string& warning : answer.warnings) head.headers.emplace_back("warning", warning_header(warning));
  return head;
}

// k8s.io/apiserver/pkg/endpoints/filters/audit_init.go.
net::HttpHead head_of(const Answer& answer, const net::HttpRequest& request, Random& random) {
  constexpr size_t kMaxId = 64;
  net::HttpHead head = head_of(answer);
  const std::string* given = net::find_header(request.headers, "audit-id");
  head.headers.emplace_back("audit-id", given != nullptr && !given->empty() && given->size() <= kMaxId ? *given : random_uuid(random));
  return head;
}

void respond(net::HttpExchange& exchange, const Answer& answer, Random& random) { exchange.respond(head_of(answer, exchange.request(), random), answer.body); }

}  // namespace gs::apiserver
