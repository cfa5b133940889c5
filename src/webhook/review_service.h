// Existing webhook servers, by URL: the connections of one loop to each, shared by all Webhooks and clusters whose delegate it
// is. HTTP/2 where the server chooses it by ALPN, else HTTP/1.1 with keep-alive. No redirects. What was sent is not repeated:
// only what provably never reached the server goes again (such a server may have side effects; nobody knows).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "delegate/dial.h"
#include "kube/http_transport.h"
#include "webhook/review.h"

namespace gs::webhook {

class ReviewServices {
 public:
  // HTTP/1.1 connections to one server; a review that needs one more waits within its deadline.
  static constexpr size_t kMaxConnections = 256;

  // What `deps` refers to outlives the transports, which outlive the set where they are still in use.
  explicit ReviewServices(delegate::DialerDeps deps, size_t max_answer = kMaxAnswerBytes) : deps_(std::move(deps)), max_answer_(max_answer) {}
  std::shared_ptr<kube::KubeTransport> acquire(const kube::ServerUrl& url);

 private:
  delegate::DialerDeps deps_;
  size_t max_answer_;
  std::map<std::string, std::weak_ptr<kube::KubeTransport>> by_url_;
};

}  // namespace gs::webhook
