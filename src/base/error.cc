#include "base/error.h"

namespace gs {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kCancelled: return "Cancelled";
    case Code::kDeadlineExceeded: return "DeadlineExceeded";
    case Code::kUnavailable: return "Unavailable";
    case Code::kUnknownOutcome: return "UnknownOutcome";
    case Code::kUnauthorized: return "Unauthorized";
    case Code::kForbidden: return "Forbidden";
    case Code::kNotFound: return "NotFound";
    case Code::kAlreadyExists: return "AlreadyExists";
    case Code::kConflict: return "Conflict";
    case Code::kExpired: return "Expired";
    case Code::kInvalid: return "Invalid";
    case Code::kTooManyRequests: return "TooManyRequests";
    case Code::kTooLarge: return "TooLarge";
    case Code::kUnsupported: return "Unsupported";
    case Code::kInternal: return "InternalError";
  }
  return "InternalError";
}

Error Error::with_context(std::string_view what) && {
  message = fmt::format("{}: {}", what, message);
  return std::move(*this);
}

std::string Error::to_string() const { return fmt::format("{}: {}", code_name(code), message); }

}  // namespace gs
