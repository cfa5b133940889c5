// The HTTP handler of webhooks, for a net::HttpServer behind TLS: /[<prefix>/](admission|conversion)webhooks/<name>.
//
// The prefix is a cluster's secret, so everything that is not a target gets one and the same 404, whatever about it was wrong,
// and the look-up is by a keyed digest. Wrong paths are limited by address, reviews in flight by cluster.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/metrics.h"
#include "net/http.h"
#include "webhook/destination.h"
#include "webhook/digest.h"
#include "webhook/peer_limit.h"

namespace gs::webhook {

// Finds targets. Of the server's loop.
class Targets {
 public:
  // Null where there is none. The prefix is empty where the path has none. Takes the same time for all that is not there.
  virtual std::shared_ptr<Destination> find(std::string_view prefix, ReviewKind kind, std::string_view name) = 0;

 protected:
  ~Targets() = default;
};

// The table behind it. A target that serves under two prefixes (rotation) is in it twice.
class TargetTable final : public Targets {
 public:
  // `salt`: random, of the process; what is looked up is a digest with it, so that timing tells nothing of a prefix.
  explicit TargetTable(std::string salt) : salt_(std::move(salt)) {}
  void set(std::string_view prefix, ReviewKind kind, std::string_view name, std::shared_ptr<Destination> destination);
  void erase(std::string_view prefix, ReviewKind kind, std::string_view name);
  size_t size() const { return table_.size(); }
  std::shared_ptr<Destination> find(std::string_view prefix, ReviewKind kind, std::string_view name) override;

 private:
  Digest digest(std::string_view prefix, ReviewKind kind, std::string_view name) const;
  std::string salt_;
  std::unordered_map<Digest, std::shared_ptr<Destination>, DigestHash> table_;
};

struct WebhookServerOptions {
  // A review holds object and oldObject, each of which an API server takes at up to 3 MiB (MaxRequestBodyBytes), and the rest.
  size_t max_body_bytes = 7 * 1024 * 1024;
  Duration body_timeout = std::chrono::seconds(5);  // from the head to the last byte of the body
  // Of one cluster, in flight at once, over all its Webhooks; beyond it 429 before the body is read. Each Webhook has its own,
  // lower bound (TargetOptions::max_concurrent), beyond which it answers by its choice.
  size_t max_cluster_reviews = 1000;
  size_t max_cluster_bytes = 64 * 1024 * 1024;  // of bodies held for one cluster
  PeerLimitOptions wrong_paths;
};

class WebhookServer final : public net::HttpHandler {
 public:
  WebhookServer(Loop& loop, Targets& targets, Metrics& metrics, WebhookServerOptions options = {});

  Task<void> handle(net::HttpExchange& exchange) override;

  // Fails readiness (also GET /readyz on this port) and goes on serving until no review has come for `quiet` (load balancers and API servers have then gone
  // elsewhere), or the deadline. The HttpServer's own drain() comes after it.
  Task<void> drain(Duration quiet, MonoTime deadline);
  bool ready() const { return !draining_; }
  size_t in_flight() const { return in_flight_; }

 private:
  // Reviews and bytes of one cluster, in flight.
  struct Room {
    size_t reviews = 0;
    size_t bytes = 0;
  };
  class Place;
  Task<HttpAnswer> answer(net::HttpExchange& exchange);
  Task<HttpAnswer> review(net::HttpExchange& exchange, std::shared_ptr<Destination> destination, ReviewKind kind, std::string timeout);
  Task<Result<std::string>> read_body(net::HttpExchange& exchange, Place& place, MonoTime deadline);
  Task<HttpAnswer> unless_gone(net::HttpExchange& exchange, Task<HttpAnswer> serving);
  HttpAnswer not_found(const net::HttpExchange& exchange);
  Counter& requests(int status);

  Loop& loop_;
  Targets& targets_;
  Metrics& metrics_;
  Gauge& in_flight_gauge_;
  WebhookServerOptions options_;
  PeerLimit wrong_paths_;
  std::map<int, Counter*> requests_;              // by status
  std::unordered_map<std::string, Room> rooms_;  // of clusters with reviews in flight
  size_t in_flight_ = 0;
  bool draining_ = false;
  MonoTime last_review_{};
};

}  // namespace gs::webhook
