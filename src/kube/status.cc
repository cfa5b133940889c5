// metav1.Status: what an API server says when it does not say 2xx.
#include <algorithm>

#include "base/strings.h"
#include "json/value.h"
#include "kube/transport.h"

namespace gs::kube {
namespace {

constexpr size_t kMaxMessage = 1024;

Code code_of_status(int status) {
  switch (status) {
    case 400:
    case 405:
    case 406:
    case 415:
    case 422: return Code::kInvalid;
    case 401: return Code::kUnauthorized;
    case 403: return Code::kForbidden;
    case 404: return Code::kNotFound;
    case 409: return Code::kConflict;
    case 410: return Code::kExpired;
    case 413: return Code::kTooLarge;
    case 429: return Code::kTooManyRequests;
    default: return status >= 500 ? Code::kUnavailable : Code::kInternal;
  }
}

// The reason is finer than the number (409 is two things), and an ERROR event of a watch has only it.
Code code_of(int status, std::string_view reason) {
  if (reason == "TooManyRequests") return Code::kTooManyRequests;
  if (reason == "AlreadyExists") return Code::kAlreadyExists;
  if (reason == "Expired" || reason == "Gone") return Code::kExpired;
  if (reason == "Timeout" || reason == "ServerTimeout") return Code::kUnavailable;
  return code_of_status(status);
}

constexpr Duration kLongestRetryAfter = std::chrono::hours(1);
// What API servers ask for where they name a time at all.
constexpr Duration kUsualRetryAfter = std::chrono::seconds(1);
constexpr std::string_view kTooLargeVersion = "Too large resource version";

// "Sun, 06 Nov 1994 08:49:37 GMT", the only form of RFC 9110 that is still sent.
std::optional<WallTime> parse_http_date(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || text.substr(3, 2) != ", " || !text.ends_with(" GMT")) return std::nullopt;
  const size_t month = kMonths.find(text.substr(8, 3));
  if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
  const std::string rfc3339 = fmt::format("{}-{:02}-{}T{}Z", text.substr(12, 4), month / 3 + 1, text.substr(5, 2), text.substr(17, 8));
  return parse_rfc3339(rfc3339);
}

// Delta seconds, or an HTTP date. What cannot be read is as if it were not there.
std::optional<Duration> parse_retry_after(std::string_view header, WallTime now) {
  const std::string_view text = trim(header);
  if (const auto seconds = parse_uint(text)) {
    return std::min<Duration>(std::chrono::seconds(std::min<uint64_t>(*seconds, 1'000'000)), kLongestRetryAfter);
  }
  const auto date = parse_http_date(text);
  if (!date) return std::nullopt;
  return std::clamp<Duration>(*date - now, Duration::zero(), kLongestRetryAfter);
}

std::optional<Duration> retry_after_details(const json::Value& status) {
  const json::Value* seconds = status.at("details.retryAfterSeconds");
  const auto value = seconds != nullptr ? seconds->integer() : std::nullopt;
  if (!value || *value <= 0) return std::nullopt;
  return std::min<Duration>(std::chrono::seconds(std::min<int64_t>(*value, 1'000'000)), kLongestRetryAfter);
}

// The server's cache is behind the version that was asked for (a restart, another server): the same
// question will be answered in a moment. Before 1.18 servers said so only in the message.
bool is_too_large_resource_version(const json::Value& status) {
  const json::Value* causes = status.at("details.causes");
  const json::Array* array = causes != nullptr ? causes->array() : nullptr;
  for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
    if ((*array)[i].text("reason") == "ResourceVersionTooLarge") return true;
  }
  return status.text("message").find(kTooLargeVersion) != std::string_view::npos;
}

}  // namespace

Error status_error(int status, std::string_view body, std::string_view retry_after_header, WallTime now) {
  const auto parsed = json::parse(body);
  const bool is_status = parsed && parsed->text("kind") == "Status";
  // An ERROR event comes with 200; its Status has the code.
  const json::Value* inner = is_status ? parsed->find("code") : nullptr;
  if (status < 300 && inner != nullptr) status = static_cast<int>(std::clamp<int64_t>(inner->integer().value_or(500), 0, 999));
  std::string message = is_status ? std::string(parsed->text("message")) : std::string(trim(body));
  if (message.empty()) message = fmt::format("the server answered with status {}", status);
  Error error(code_of(status, is_status ? parsed->text("reason") : ""), truncate_utf8(message, kMaxMessage));
  error.http_status = status;
  error.retry_after = parse_retry_after(retry_after_header, now);
  if (!is_status) return error;
  if (!error.retry_after) error.retry_after = retry_after_details(*parsed);
  if (is_too_large_resource_version(*parsed)) {
    error.code = Code::kUnavailable;
    if (error.message.find(kTooLargeVersion) == std::string::npos) error = std::move(error).with_context(kTooLargeVersion);
    if (!error.retry_after) error.retry_after = kUsualRetryAfter;
  }
  return error;
}

bool is_too_large_resource_version(const Error& error) {
  return error.code == Code::kUnavailable && error.message.find(kTooLargeVersion) != std::string::npos;
}

}  // namespace gs::kube
