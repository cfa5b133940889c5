// The connections of a transport: dialled one at a time for a lane, closed when idle or of the past.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/mutation.h"
#include "kube/http_transport_internal.h"
#include "net/http1_connection.h"
#include "net/http2_connection.h"

namespace gs::kube {
namespace {

constexpr Duration kPatience = std::chrono::seconds(1);
constexpr Duration kAuthoritiesPeriod = std::chrono::minutes(1);
constexpr size_t kSmallWrite = 16 * 1024;

}  // namespace

void HttpTransport::exchange_ended() {
  if (!idle_.armed()) idle_.arm_after(std::min(options_.idle_close, options_.watch_idle_close));
}

// Armed only while something may have to be closed or read again: an idle cluster costs no wake-ups.
void HttpTransport::close_idle() {
  if (mutated(Mutation::kIdleConnectionsKept)) return;
  MonoTime next = kNoDeadline;
  for (Pool* pool : {watch_.get(), request_.get()}) {
    pool->prune(generation());
    std::erase_if(pool->connections, [&](const auto& c) {
      return c->http->active() == 0 && loop_.now() - c->http->idle_since() >= pool->idle_close;
    });
    for (const auto& c : pool->connections) {
      if (c->http->active() == 0) next = std::min(next, saturating_add(c->http->idle_since(), pool->idle_close));
    }
  }
  if (secure_ != nullptr && secure_->watches_files() && connections() > 0) {
    const MonoTime due = saturating_add(authorities_read_, kAuthoritiesPeriod);
    if (loop_.now() >= due) {
      authorities_read_ = loop_.now();
      scope_.spawn(refresh_authorities());
    }
    next = std::min(next, saturating_add(authorities_read_, kAuthoritiesPeriod));
  }
  idle_.arm_at(next);
}

Task<void> HttpTransport::refresh_authorities() {
  auto refresh = secure_->refresh();
  co_await refresh;
  for (Pool* pool : {watch_.get(), request_.get()}) pool->prune(generation());
}

std::unique_ptr<net::HttpConnection> HttpTransport::speak(std::unique_ptr<net::ByteStream> stream) const {
  const std::string_view alpn = stream->alpn();
  const bool http2 = alpn.empty() ? options_.without_alpn == HttpProtocol::kHttp2 : alpn == "h2";
  if (!http2) return net::make_http1_connection(loop_, std::move(stream));
  net::Http2ClientOptions http2_options;
  http2_options.scheme = server_.tls ? "https" : "http";
  return net::make_http2_connection(loop_, std::move(stream), http2_options);
}

// One dial at a time for a lane, however many wait; its failure is everybody's.
Task<void> HttpTransport::dial(Pool& pool) {
  if (secure_ != nullptr && secure_->watches_files()) {
    authorities_read_ = loop_.now();
    auto refresh = secure_->refresh();
    co_await refresh;
  }
  const net::Endpoint endpoint(server_.host, server_.port);
  // Where it changes meanwhile, the connection is of the past at once, and another is dialled.
  const uint64_t dialled_generation = generation();
  auto dialling = connector_.connect(endpoint, saturating_add(loop_.now(), options_.dial_timeout));
  auto stream = co_await dialling;
  pool.dialling = false;
  if (stream) {
    pool.connections.push_back(std::make_shared<Connection>(speak(*std::move(stream)), dialled_generation));
    if (secure_ != nullptr && secure_->watches_files() && !idle_.armed()) idle_.arm_after(kAuthoritiesPeriod);
  } else {
    ++pool.failures;
    Error why = std::move(stream).error();
    // Most errors of a dial name the server already.
    const bool named = why.message.find(authority_) != std::string::npos;
    pool.failed(named ? std::move(why) : std::move(why).with_context("connecting to " + authority_));
  }
  pool.changed.wake_all();
}

// nullopt: no connection takes it.
std::optional<Result<HttpTransport::Exchange>> HttpTransport::open_on_pooled(Pool& pool, const net::HttpRequest& http) {
  for (const auto& connection : pool.connections) {
    if (connection->generation != generation() || !connection->http->available()) continue;
    auto stream = connection->http->open(http, false);
    if (!stream && stream.error().code == Code::kUnavailable) continue;
    if (!stream) return Result<Exchange>(fail(std::move(stream).error()));
    std::shared_ptr<Pool> owner = &pool == watch_.get() ? watch_ : request_;
    return Result<Exchange>(Exchange(*std::move(stream), std::move(owner), connection));
  }
  return std::nullopt;
}

// A write, for its answer is as small as it is: a list would keep the events of the watches waiting. On a first attempt,
// for the connection may be what was wrong; and on one that has brought answers.
std::optional<Result<HttpTransport::Exchange>> HttpTransport::open_on_watches(const Attempts& attempts) {
  const bool small_write = attempts.request.method != "GET" && !attempts.streamed && attempts.http.body.size() <= kSmallWrite;
  if (!small_write || attempts.request.lane != Lane::kRequest || attempts.count > 0 || watch_->writes >= options_.writes_on_watches) return std::nullopt;
  for (const auto& connection : watch_->connections) {
    const bool fit = connection->generation == generation() && connection->proven && connection->http->multiplexed() && connection->http->available();
    if (!fit) continue;
    auto stream = connection->http->open(attempts.http, false);
    if (!stream) continue;
    Exchange out(*std::move(stream), watch_, connection);
    out.ride();
    return Result<Exchange>(std::move(out));
  }
  return std::nullopt;
}

Task<Status> HttpTransport::make_room(Pool& pool, const Attempts& attempts) {
  const MonoTime deadline = attempts.request.deadline;
  pool.prune(generation());
  if (!pool.dialling && !pool.full()) {
    if (loop_.now() < pool.not_before) {
      // A request that broke off on its way waits out a short backoff; others hear of the failure at once.
      const bool patient = attempts.count > 0 && pool.not_before - loop_.now() <= kPatience;
      if (!patient || pool.not_before >= deadline) co_return fail(Error(pool.failure));
      co_await sleep_until(loop_, pool.not_before);
      co_return ok();
    }
    pool.dialling = true;
    scope_.spawn(dial(pool));
    // It may have ended at once.
    if (!pool.dialling && loop_.now() < pool.not_before) co_return fail(Error(pool.failure));
    if (!pool.dialling) co_return ok();
  }
  const uint64_t failures = pool.failures;
  const bool in_time = co_await pool.changed.wait(deadline);
  if (!in_time) co_return fail(Code::kDeadlineExceeded, "connecting to {}: deadline exceeded", authority_);
  if (pool.failures != failures) co_return fail(Error(pool.failure));
  co_return ok();
}

}  // namespace gs::kube
