#include "gateway/answers.h"

#include <cmath>

#include "json/scan.h"
#include "json/writer.h"

namespace gs::gateway {
namespace {

struct Meaning {
  int status;
  std::string_view reason;
};

// k8s.io/apimachinery/pkg/apis/meta/v1/types.go, StatusReason.
Meaning meaning_of(Code code) {
  switch (code) {
    case Code::kUnauthorized: return {401, "Unauthorized"};
    case Code::kForbidden: return {403, "Forbidden"};
    case Code::kNotFound: return {404, "NotFound"};
    case Code::kAlreadyExists: return {409, "AlreadyExists"};
    case Code::kConflict: return {409, "Conflict"};
    case Code::kExpired: return {410, "Expired"};
    case Code::kInvalid: return {400, "BadRequest"};
    case Code::kTooManyRequests: return {429, "TooManyRequests"};
    case Code::kTooLarge: return {413, "RequestEntityTooLarge"};
    case Code::kDeadlineExceeded: return {504, "Timeout"};
    case Code::kUnknownOutcome: return {504, "UnknownOutcome"};
    default: return {503, "ServiceUnavailable"};
  }
}

bool is_status(std::string_view body) {
  return json::validate(body).has_value() && json::text_at(body, "kind").value_or("") == "Status";
}

}  // namespace

Answer status_answer(int status, std::string_view reason, std::string_view message, std::optional<Duration> retry_after) {
  Answer answer;
  answer.status = status;
  json::Writer out(answer.body);
  out.begin_object().key("kind").string("Status").key("apiVersion").string("v1").key("metadata").begin_object().end_object();
  out.key("status").string("Failure").key("message").string(message).key("reason").string(reason);
  if (retry_after) {
    out.key("details").begin_object().key("retryAfterSeconds").integer(static_cast<int64_t>(std::ceil(to_seconds(*retry_after)))).end_object();
  }
  out.key("code").integer(status).end_object();
  return answer;
}

Answer error_answer(const Error& error, bool write) {
  Meaning meaning = meaning_of(error.code);
  if (write && error.code == Code::kDeadlineExceeded) meaning.reason = "UnknownOutcome";
  if (error.http_status >= 400) meaning.status = error.http_status;
  return status_answer(meaning.status, meaning.reason, error.message, error.retry_after);
}

Answer server_answer(kube::Response response, WallTime now) {
  if (response.status >= 400 && !is_status(response.body)) {
    const Error error = kube::status_error(response.status, response.body, response.retry_after, now);
    return error_answer(error, false);
  }
  Answer answer;
  answer.status = response.status;
  answer.content_type = std::move(response.content_type);
  answer.body = std::move(response.body);
  return answer;
}

}  // namespace gs::gateway
