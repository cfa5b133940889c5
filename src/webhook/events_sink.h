// Decisions told to whoever wants to know: CloudEvents 1.0 over HTTP in binary mode, a POST for each review with its answer.
//
//   ce-specversion: 1.0            ce-id: the review's uid          ce-source: k8s://<cluster id>
//   ce-type: dev.gulfstream.admission.v1                            ce-subject: <Webhook>    ce-time: ...
//   authorization: Bearer <token>  content-digest: sha-256=:...:    (RFC 9530; the token is the receiver's proof of who
//                                                                    sends, the digest of what)
//   {"actor":{"subject":<user>},"body":<AdmissionReview with request and response>}
//
// Never delays an answer: offer() puts it in a bounded queue or drops and counts it. What a sink refuses is counted and not
// sent again; what did not reach it is tried again a few times. One for each loop. Objects of Secrets are left out.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "kube/server_url.h"
#include "net/byte_stream.h"
#include "net/http.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"
#include "webhook/review.h"

namespace gs::webhook {

struct EventsSinkOptions {
  kube::ServerUrl url;      // path included
  std::string token_file;   // read anew before it is 60 s old; empty: no authorization header
  size_t max_events = 1000;
  size_t max_bytes = 16 * 1024 * 1024;
  Duration timeout = std::chrono::seconds(10);
  int attempts = 3;         // of one event, while the sink cannot be reached or answers 5xx or 429
};

class EventsSink {
 public:
  // `connector` dials the sink, TLS included; it and `metrics` outlive this.
  EventsSink(Loop& loop, net::Connector& connector, Metrics& metrics, EventsSinkOptions options);
  ~EventsSink();

  void offer(std::string_view webhook, std::string_view cluster_id, const AdmissionRequest& request, const AdmissionAnswer& answer);
  size_t queued() const { return queue_.size(); }
  // Until nothing is queued, or the deadline; how much was left.
  Task<size_t> drain(MonoTime deadline);

 private:
  struct Told {
    std::string id, source, subject, time, body;
  };
  Task<void> run();
  Task<void> deliver(const Told& event);
  Task<Result<int>> post(const Told& event);
  Task<Status> read_token();
  net::HttpRequest request_for(const Told& event) const;
  void told(Counter& outcome, const std::string& why);

  Loop& loop_;
  net::Connector& connector_;
  EventsSinkOptions options_;
  Counter& delivered_;
  Counter& refused_;  // by the sink
  Counter& failed_;   // to reach it
  Counter& dropped_;  // the queue was full
  std::deque<Told> queue_;
  size_t queued_bytes_ = 0;
  WaitQueue work_;
  WaitQueue empty_;
  bool failing_ = false;  // and that was said
  std::string token_;
  MonoTime token_read_{};
  std::unique_ptr<net::HttpConnection> connection_;
  TaskScope scope_;
};

}  // namespace gs::webhook
