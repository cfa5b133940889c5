#include "apiserver/respond.h"

#include <fmt/format.h>

#include <algorithm>

namespace gs::apiserver {
namespace {

size_t runes(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string_view first_runes(std::string_view text, size_t count) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xc0) != 0x80 && count-- == 0) break;
  }
  return text.substr(0, at);
}

// Each once; cut short where they are too many for headers (k8s.io/apiserver/pkg/endpoints/filters/warning.go).
std::vector<std::string_view> told(const std::vector<std::string>& warnings) {
  constexpr size_t kMost = 4 * 1024, kMostOfOne = 256;
  std::vector<std::string_view> out;
  size_t total = 0;
  for (const std::string& warning : warnings) {
    if (warning.empty() || std::find(out.begin(), out.end(), warning) != out.end()) continue;
    out.push_back(warning);
    total += runes(warning);
  }
  if (total <= kMost) return out;
  size_t written = 0, kept = 0;
  for (; kept < out.size() && written < kMost; ++kept) {
    out[kept] = first_runes(out[kept], kMostOfOne);
    written += runes(out[kept]);
  }
  out.resize(kept);
  return out;
}

}  // namespace

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
  for (const std::string_view warning : told(answer.warnings)) head.headers.emplace_back("warning", warning_header(warning));
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
