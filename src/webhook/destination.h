// Where a review goes, as the loop sees it that received it. On the cluster's own loop it is the target itself; on another it
// is what hands the body over (runtime/cross_loop.h) and brings the answer back.
#pragma once

#include <string>

#include "runtime/task.h"
#include "webhook/review.h"

namespace gs::webhook {

struct HttpAnswer {
  HttpAnswer() = default;
  explicit HttpAnswer(std::string review) : body(std::move(review)) {}
  HttpAnswer(int s, std::string text) : status(s), body(std::move(text)), json(false) {}
  int status = 200;
  std::string body;
  bool json = true;       // else plain text
  int retry_after = 0;    // seconds
};

class Destination {
 public:
  virtual ~Destination() = default;
  // `timeout` is the text of the query parameter, empty where absent, and counts from `received`, when the request began to
  // come. Must answer within the API server's 30 s; may be destroyed at any await (the caller went away).
  virtual Task<HttpAnswer> serve(ReviewKind kind, std::string body, std::string timeout, MonoTime received) = 0;
  // What the server counts its limits by: one text for each cluster.
  virtual const std::string& cluster() const = 0;
};

}  // namespace gs::webhook
