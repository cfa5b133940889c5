// What http_transport.cc (requests) and http_transport_pool.cc (connections) share.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kube/http_transport.h"
#include "net/http.h"

namespace gs::kube {

struct HttpTransport::Connection {
  Connection(std::unique_ptr<net::HttpConnection> h, uint64_t g) : http(std::move(h)), generation(g) {}
  std::unique_ptr<net::HttpConnection> http;
  uint64_t generation;   // of the connector when it was dialled
  bool proven = false;   // it has brought an answer
};

// The connections of one lane, and the one dial that may run for it.
struct HttpTransport::Pool {
  Pool(Loop& l, const HttpTransportOptions& options, Duration idle, size_t http1)
      : loop(l), first_backoff(options.first_backoff), last_backoff(options.last_backoff),
        max_http2(options.max_http2_connections), max_http1(http1), idle_close(idle), changed(l) {}

  // What has ended, or is not used any more and carries nothing.
  void prune(uint64_t generation) {
    std::erase_if(connections, [&](const auto& c) {
      return c->http->active() == 0 && (c->http->closed() || c->generation != generation);
    });
  }
  bool has_room(uint64_t generation) const {
    return std::any_of(connections.begin(), connections.end(),
                       [&](const auto& c) { return c->generation == generation && c->http->available(); });
  }
  bool full() const {
    const auto is_http2 = [](const auto& c) { return c->http->multiplexed(); };
    const auto http2 = static_cast<size_t>(std::count_if(connections.begin(), connections.end(), is_http2));
    return http2 >= max_http2 || connections.size() - http2 >= max_http1;
  }
  void failed(Error why) {
    failure = std::move(why);
    backoff = std::clamp(backoff * 2, first_backoff, last_backoff);
    not_before = saturating_add(loop.now(), loop.random().jitter(backoff, 0.5));
  }
  void succeeded() { backoff = Duration::zero(); }

  Loop& loop;
  Duration first_backoff;
  Duration last_backoff;
  size_t max_http2;
  size_t max_http1;
  Duration idle_close;
  std::vector<std::shared_ptr<Connection>> connections;
  size_t writes = 0;  // small ones that take the watches' connection
  bool dialling = false;
  uint64_t failures = 0;  // of dials
  Error failure{Code::kUnavailable, ""};
  Duration backoff{0};
  MonoTime not_before{};
  HttpTransport* transport = nullptr;  // null once that is gone
  WaitQueue changed;                   // a dial or an exchange ended
};

// An exchange together with its place in the pool, which it gives back.
class HttpTransport::Exchange {
 public:
  Exchange(std::unique_ptr<net::HttpStream> stream, std::shared_ptr<Pool> pool, const std::shared_ptr<Connection>& connection)
      : stream_(std::move(stream)), pool_(std::move(pool)), connection_(connection) {}
  Exchange(Exchange&&) noexcept = default;
  Exchange& operator=(Exchange&&) = delete;
  ~Exchange() { release(); }

  net::HttpStream* operator->() const { return stream_.get(); }
  // Counts among the pool's writes until its end.
  void ride() {
    rides_ = true;
    ++pool_->writes;
  }
  void answered() const {
    if (const auto connection = connection_.lock()) connection->proven = true;
    pool_->succeeded();
  }
  // A connection that broke before it ever brought an answer counts as a failed dial, so that a server
  // that accepts and hangs up is not dialled by each request.
  void broke(const Error& why) const {
    const auto connection = connection_.lock();
    if (connection == nullptr || connection->proven || !connection->http->closed()) return;
    connection->proven = true;  // counted once
    pool_->failed(Error(why));
  }
  void release() {
    if (stream_ == nullptr) return;
    stream_.reset();
    if (rides_) --pool_->writes;
    pool_->changed.wake_all();
    if (pool_->transport != nullptr) pool_->transport->exchange_ended();
  }

 private:
  std::unique_ptr<net::HttpStream> stream_;
  std::shared_ptr<Pool> pool_;
  std::weak_ptr<Connection> connection_;
  bool rides_ = false;
};

// The body of an answer; keeps the exchange until its end.
class HttpTransport::BodyStream final : public ResponseStream {
 public:
  explicit BodyStream(Exchange exchange) : exchange_(std::move(exchange)) {}
  Task<Result<std::string>> read(MonoTime deadline) override {
    if (over_) co_return std::string();
    auto reading = exchange_->read(deadline);
    auto bytes = co_await reading;
    over_ = bytes && bytes->empty();
    if (over_) exchange_.release();
    co_return bytes;
  }

 private:
  Exchange exchange_;
  bool over_ = false;
};

struct HttpTransport::Attempts {
  explicit Attempts(Request r) : request(std::move(r)) {}
  Request request;  // its body is moved into `http`
  net::HttpRequest http;
  CredentialPtr credential;
  bool streamed = false;  // its answer may be long
  int count = 0;
  bool refreshed = false;  // credentials, after a 401
};

}  // namespace gs::kube
