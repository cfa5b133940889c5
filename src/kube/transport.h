// KubeTransport: requests to one API server, with its credentials. The seam between everything that
// speaks Kubernetes and how bytes get there: HttpTransport (http_transport.h) over connections real
// or simulated, and the in-process one of src/apiserver.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/http.h"
#include "runtime/task.h"

namespace gs::kube {

// Which connection a request takes: one long-lived connection carries a cluster's watches, and the few small
// questions of a cluster that is attached; another, opened on demand and closed when idle, the rest (but for small writes,
// which a transport may send over the first).
enum class Lane { kWatch, kRequest };

struct Request {
  Request() = default;
  Request(std::string m, std::string t) : method(std::move(m)), target(std::move(t)) {}
  std::string method = "GET";
  std::string target;  // canonical path and query
  std::string accept = "application/json";
  std::string content_type;
  std::string body;
  net::Headers headers;  // besides the transport's own
  Lane lane = Lane::kRequest;
  MonoTime deadline = kNoDeadline;
  // May be repeated on a fresh connection although a former attempt may have been processed
  // (reads). Writes are repeated only where they provably were not.
  bool repeatable = true;
};

struct Response {
  int status = 0;
  std::string content_type;
  std::string body;
  std::string retry_after;  // the header, as it came
  std::string warning;      // the Warning headers, joined
};

// A streamed answer (a watch, or a large list).
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  // The next bytes; empty at the end.
  virtual Task<Result<std::string>> read(MonoTime deadline) = 0;
};

class KubeTransport {
 public:
  virtual ~KubeTransport() = default;
  // Any HTTP status is an answer; errors are: kUnavailable (certainly not processed, or repeatable),
  // kUnknownOutcome (a write that may have been processed), kDeadlineExceeded (a write: outcome
  // unknown), kUnauthorized (credentials cannot be had, TLS refused), kForbidden (destination).
  virtual Task<Result<Response>> send(Request request) = 0;
  // For 2xx the stream; any other status as an Error with its code, message and retry_after from the
  // Status object, see status_error().
  virtual Task<Result<std::unique_ptr<ResponseStream>>> open(Request request) = 0;
  // Waits until a request of this lane could leave at once: credentials are there and a connection is open.
  virtual Task<Status> ready(Lane, MonoTime /*deadline*/) { co_return ok(); }
};

// An Error from a non-2xx answer: code and message from metav1.Status where the body is one (a 410
// or reason Expired/Gone -> kExpired; 429 and 5xx keep Retry-After and details.retryAfterSeconds).
Error status_error(int status, std::string_view body, std::string_view retry_after_header, WallTime now);

// Whether the server says that it has not come to the resource version that was asked for. The same
// question may be answered in a moment, or never (etcd was restored from a backup).
bool is_too_large_resource_version(const Error& error);

}  // namespace gs::kube
