// What the gateway answers itself: metav1.Status objects as an API server would write them, and the
// API server's own errors where they are no Status.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "kube/transport.h"

namespace gs::gateway {

struct Answer {
  int status = 0;
  std::string content_type = "application/json";
  std::string body;
};

// `retry_after` goes into details.retryAfterSeconds, rounded up.
Answer status_answer(int status, std::string_view reason, std::string_view message, std::optional<Duration> retry_after = std::nullopt);
// For a request that got no answer, or one that came as an Error. `write`: its outcome may be unknown.
Answer error_answer(const Error& error, bool write);
// The server's answer. An error that is no Status (APF's 429 is plain text) becomes one, with the server's
// Retry-After in its details.
Answer server_answer(kube::Response response, WallTime now);

}  // namespace gs::gateway
