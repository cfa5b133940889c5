// Errors are values. One Error type for the whole project; its codes map to Kubernetes' status
// reasons (k8s.io/apimachinery/pkg/apis/meta/v1/types.go, StatusReason) where there is one.
#pragma once

#include <fmt/core.h>

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "base/time.h"

namespace gs {

enum class Code {
  kCancelled,         // the caller gave up, or the owner is being destroyed
  kDeadlineExceeded,  // ran out of its own time; nothing known of the effect unless said otherwise
  kUnavailable,       // the peer could not be reached, or said so (5xx, GOAWAY, reset); safe to repeat
  kUnknownOutcome,    // a write may or may not have happened
  kUnauthorized,      // 401: credentials missing, expired or wrong
  kForbidden,         // 403, or refused by our own rules of authority
  kNotFound,          // 404
  kAlreadyExists,     // 409, reason AlreadyExists
  kConflict,          // 409, reason Conflict
  kExpired,           // 410: a resource version or continue token that is too old
  kInvalid,           // 400, 422: the input is wrong; repeating does not help
  kTooManyRequests,   // 429
  kTooLarge,          // over a written-down bound
  kUnsupported,       // well-formed, but this build does not do it (yet)
  kInternal,          // the peer broke its protocol, or we did
};

std::string_view code_name(Code code);

struct [[nodiscard]] Error {
  Error(Code c, std::string text) : code(c), message(std::move(text)) {}

  // The same error with "what: " before its message, as Go's fmt.Errorf("what: %w").
  Error with_context(std::string_view what) &&;
  std::string to_string() const;

  Code code;
  std::string message;
  // How long the peer asked us to wait (Retry-After); zero or more.
  std::optional<Duration> retry_after;
  // HTTP status where the error came from a server's answer, else 0.
  int http_status = 0;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline Status ok() { return {}; }

// A failed Result with a formatted message: `return fail(Code::kInvalid, "port {} is taken", port);`
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace gs

// GS_TRY(declaration, expression): unwraps a Result into `declaration` or returns its error.
// GS_TRY_STATUS(expression): the same for a Status. The CO forms are for coroutines. Each names its
// temporary (g++ 12 destroys some temporaries of a co_await expression twice).
#define GS_CONCAT_INNER(a, b) a##b
#define GS_CONCAT(a, b) GS_CONCAT_INNER(a, b)
#define GS_TRY_IMPL(result, declaration, expression, give_back)                     \
  auto result = (expression);                                                       \
  if (!result) [[unlikely]]                                                         \
    give_back ::tl::unexpected<::gs::Error>(std::move(result).error());             \
  declaration = *std::move(result)
#define GS_TRY_STATUS_IMPL(result, expression, give_back)                           \
  if (auto result = (expression); !result) [[unlikely]]                             \
  give_back ::tl::unexpected<::gs::Error>(std::move(result).error())
#define GS_TRY(declaration, expression) \
  GS_TRY_IMPL(GS_CONCAT(gs_try_, __COUNTER__), declaration, expression, return)
#define GS_CO_TRY(declaration, expression) \
  GS_TRY_IMPL(GS_CONCAT(gs_try_, __COUNTER__), declaration, expression, co_return)
#define GS_TRY_STATUS(expression) GS_TRY_STATUS_IMPL(GS_CONCAT(gs_try_, __COUNTER__), expression, return)
#define GS_CO_TRY_STATUS(expression) \
  GS_TRY_STATUS_IMPL(GS_CONCAT(gs_try_, __COUNTER__), expression, co_return)
