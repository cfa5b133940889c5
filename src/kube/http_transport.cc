#include "kube/http_transport.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/mutation.h"
#include "base/strings.h"
#include "net/http1_connection.h"
#include "net/http2_connection.h"

#ifndef GULFSTREAM_VERSION
#define GULFSTREAM_VERSION "0.0.0"
#endif
#if defined(__aarch64__)
#define GULFSTREAM_ARCHITECTURE "arm64"
#else
#define GULFSTREAM_ARCHITECTURE "amd64"
#endif

namespace gs::kube {
namespace {

constexpr int kMaxAttempts = 3;
constexpr size_t kMaxErrorBody = 64 * 1024;
constexpr Duration kPatience = std::chrono::seconds(1);
constexpr Duration kAuthoritiesPeriod = std::chrono::minutes(1);

std::string header_or_empty(const net::Headers& headers, std::string_view name) {
  const std::string* value = net::find_header(headers, name);
  return value != nullptr ? *value : std::string();
}

std::string joined(const net::Headers& headers, std::string_view name) {
  std::string out;
  for (const net::Header& header : headers) {
    if (header.name == name) out += (out.empty() ? "" : ", ") + header.value;
  }
  return out;
}

// Room for the whole body at once, as far as the server's word is to be trusted.
size_t expected_size(const net::Headers& headers) {
  const std::string* length = net::find_header(headers, "content-length");
  return length == nullptr ? 0 : std::min<uint64_t>(parse_uint(*length).value_or(0), 1 << 20);
}

}  // namespace

std::string default_user_agent() { return "gulfstream/v" GULFSTREAM_VERSION " (linux/" GULFSTREAM_ARCHITECTURE ")"; }

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
    pool_->changed.wake_all();
    if (pool_->transport != nullptr) pool_->transport->exchange_ended();
  }

 private:
  std::unique_ptr<net::HttpStream> stream_;
  std::shared_ptr<Pool> pool_;
  std::weak_ptr<Connection> connection_;
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
  int count = 0;
  bool refreshed = false;  // credentials, after a 401
};

HttpTransport::HttpTransport(Loop& loop, net::Connector& connector, const ConnectionConfig& config, HttpTransportOptions options)
    : loop_(loop),
      server_(config.server),
      options_(std::move(options)),
      authority_(server_.authority()),
      connector_(connector),
      watch_(std::make_shared<Pool>(loop, options_, options_.watch_idle_close, options_.max_http1_watches)),
      request_(std::make_shared<Pool>(loop, options_, options_.idle_close, options_.max_http1_requests)),
      idle_(loop, [this] { close_idle(); }),
      scope_(loop) {
  auto credentials = make_credentials(loop, config, nullptr);
  if (credentials) {
    credentials_ = *std::move(credentials);
  } else {
    no_credentials_ = Error(Code::kUnauthorized, credentials.error().message);
  }
  watch_->transport = request_->transport = this;
}

HttpTransport::HttpTransport(Loop& loop, std::unique_ptr<SecureConnector> connector,
                             std::unique_ptr<CredentialSource> credentials, const ConnectionConfig& config, HttpTransportOptions options)
    : loop_(loop),
      server_(config.server),
      options_(std::move(options)),
      authority_(server_.authority()),
      secure_(std::move(connector)),
      connector_(*secure_),
      credentials_(std::move(credentials)),
      watch_(std::make_shared<Pool>(loop, options_, options_.watch_idle_close, options_.max_http1_watches)),
      request_(std::make_shared<Pool>(loop, options_, options_.idle_close, options_.max_http1_requests)),
      idle_(loop, [this] { close_idle(); }),
      scope_(loop) {
  watch_->transport = request_->transport = this;
}

HttpTransport::~HttpTransport() {
  for (Pool* pool : {watch_.get(), request_.get()}) {
    pool->transport = nullptr;
    pool->connections.clear();
  }
}

size_t HttpTransport::connections() const { return watch_->connections.size() + request_->connections.size(); }

Error HttpTransport::explain_refusal(Error refusal) const {
  const auto ends = secure_ != nullptr ? secure_->identity_ends() : std::nullopt;
  if (ends && *ends <= loop_.wall_now()) refusal.message += "; our client certificate expired at " + format_rfc3339(*ends);
  return refusal;
}

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

// The headers of the next attempt, with the credential of the moment.
Task<Status> HttpTransport::authenticate(Attempts& attempts) {
  if (credentials_ == nullptr) co_return fail(Error(no_credentials_));
  CredentialPtr credential = credentials_->current();
  if (credential == nullptr) {
    auto getting = credentials_->get(attempts.request.deadline);
    GS_CO_TRY(credential, co_await getting);
  }
  if (secure_ != nullptr && credential->identity != identity_) {
    const Status status = secure_->set_identity(credential->certificate_pem, credential->key_pem);
    if (!status) co_return fail(Code::kUnauthorized, "{}", status.error().message);
    identity_ = credential->identity;
  }
  if (credential == attempts.credential) co_return ok();
  const Request& request = attempts.request;
  net::Headers& headers = attempts.http.headers;
  headers.clear();
  headers.reserve(4 + credential->impersonation.size() + request.headers.size());
  headers.emplace_back("user-agent", options_.user_agent);
  headers.emplace_back("accept", request.accept);
  if (!request.content_type.empty()) headers.emplace_back("content-type", request.content_type);
  if (!credential->authorization.empty()) headers.emplace_back("authorization", credential->authorization);
  for (const auto& [name, value] : credential->impersonation) headers.emplace_back(name, value);
  headers.insert(headers.end(), request.headers.begin(), request.headers.end());
  attempts.credential = std::move(credential);
  co_return ok();
}

// The request as it goes to this server, with a deadline.
HttpTransport::Attempts HttpTransport::attempts_of(Request request) const {
  Attempts out(std::move(request));
  if (out.request.deadline == kNoDeadline) out.request.deadline = saturating_add(loop_.now(), options_.request_timeout);
  out.http.method = out.request.method;
  out.http.target = server_.path_prefix + out.request.target;
  out.http.authority = authority_;
  out.http.body = std::move(out.request.body);
  return out;
}

Task<Result<HttpTransport::Exchange>> HttpTransport::begin(Attempts& attempts) {
  auto authenticating = authenticate(attempts);
  GS_CO_TRY_STATUS(co_await authenticating);
  Pool& pool = pool_of(attempts.request.lane);
  while (true) {
    auto opened = open_on_pooled(pool, attempts.http);
    if (opened) co_return *std::move(opened);
    auto making = make_room(pool, attempts);
    GS_CO_TRY_STATUS(co_await making);
  }
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

Task<Status> HttpTransport::ready(Lane lane, MonoTime deadline) {
  Request request;
  request.lane = lane;
  request.deadline = deadline;
  Attempts attempts(std::move(request));
  auto authenticating = authenticate(attempts);
  GS_CO_TRY_STATUS(co_await authenticating);
  Pool& pool = pool_of(lane);
  while (!pool.has_room(generation())) {
    auto making = make_room(pool, attempts);
    GS_CO_TRY_STATUS(co_await making);
  }
  co_return ok();
}

// Whether the request goes again after an attempt that failed.
bool HttpTransport::repeat(Attempts& attempts, const Exchange& exchange, const Error& why) {
  exchange.broke(why);
  const bool harmless = !exchange->may_have_been_processed() || attempts.request.repeatable || mutated(Mutation::kWritesRepeated);
  return why.code == Code::kUnavailable && harmless && ++attempts.count < kMaxAttempts;
}

// After a 401: whether another attempt is worth it: once, where another credential can be had.
Task<bool> HttpTransport::renew(Attempts& attempts) {
  const uint64_t refused = attempts.credential->generation;
  credentials_->invalidate(refused);
  if (std::exchange(attempts.refreshed, true)) co_return false;
  CredentialPtr fresh = credentials_->current();
  if (fresh == nullptr) {
    auto getting = credentials_->get(attempts.request.deadline);
    const auto got = co_await getting;
    if (got) fresh = *got;
  }
  co_return fresh != nullptr && fresh->generation != refused;
}

namespace {

Task<Result<std::string>> read_body(net::HttpStream& stream, size_t expected, size_t limit, MonoTime deadline) {
  std::string body;
  body.reserve(expected);
  while (true) {
    auto reading = stream.read(deadline);
    GS_CO_TRY(std::string part, co_await reading);
    if (part.empty()) co_return body;
    if (body.size() + part.size() > limit) co_return fail(Code::kTooLarge, "an answer of more than {} bytes", limit);
    if (body.empty() && expected <= part.size()) {
      body = std::move(part);
    } else {
      body += part;
    }
  }
}

// An error of a request that never left is known to have done nothing.
Error not_sent(Error why, const Request& request) {
  if (why.code != Code::kDeadlineExceeded || request.repeatable) return why;
  return Error(Code::kUnavailable, "not sent: " + why.message);
}

// An error of a request that was sent.
Error after_sending(Error why, bool may_have_been_processed, const Request& request) {
  const bool harmless = !may_have_been_processed || request.repeatable || mutated(Mutation::kUnknownOutcomeDenied);
  if (harmless || why.code == Code::kDeadlineExceeded || why.code == Code::kUnauthorized) return why;
  return Error(Code::kUnknownOutcome, "the outcome of the write is unknown: " + why.message);
}

bool is_encoded(const net::Headers& headers) {
  const std::string* encoding = net::find_header(headers, "content-encoding");
  return encoding != nullptr && !encoding->empty() && !equals_ignore_case(*encoding, "identity");
}

Error redirected(const net::HttpHead& head) {
  const std::string location = truncate_utf8(header_or_empty(head.headers, "location"), 200);
  Error out(Code::kInternal, fmt::format("the server redirects to \"{}\" (status {}); redirects are not followed", location, head.status));
  out.http_status = head.status;
  return out;
}

}  // namespace

// send() and open() await the head themselves: a coroutine between would hand an answer on a turn of the ready queue
// later, behind the watch event of the write that it answers, and own writes would be taken for others'.
Task<Result<Response>> HttpTransport::send(Request sent_request) {
  if (sent_request.body.size() > options_.max_request) {
    co_return fail(Code::kTooLarge, "a request's body of {} bytes; at most {} are sent", sent_request.body.size(), options_.max_request);
  }
  Attempts attempts = attempts_of(std::move(sent_request));
  const Request& request = attempts.request;
  while (true) {
    auto beginning = begin(attempts);
    auto exchange = co_await beginning;
    if (!exchange) co_return fail(not_sent(std::move(exchange).error(), request));
    auto heading = (*exchange)->head(request.deadline);
    auto head = co_await heading;
    if (!head) {
      if (repeat(attempts, *exchange, head.error())) continue;
      co_return fail(after_sending(std::move(head).error(), (*exchange)->may_have_been_processed(), request));
    }
    exchange->answered();
    auto reading = read_body(*exchange->operator->(), expected_size(head->headers), options_.max_response, request.deadline);
    auto body = co_await reading;
    if (body && is_encoded(head->headers)) {
      body = fail(Code::kInternal, "an answer in an encoding that was not asked for");
    }
    if (!body) {
      if (repeat(attempts, *exchange, body.error())) continue;
      co_return fail(after_sending(std::move(body).error(), true, request));
    }
    Response response;
    response.status = head->status;
    response.content_type = header_or_empty(head->headers, "content-type");
    response.retry_after = header_or_empty(head->headers, "retry-after");
    response.warning = joined(head->headers, "warning");
    response.body = *std::move(body);
    if (response.status != 401) co_return response;
    auto renewing = renew(attempts);
    const bool again = co_await renewing;
    if (!again) co_return response;
  }
}

Task<Result<std::unique_ptr<ResponseStream>>> HttpTransport::open(Request opened_request) {
  Attempts attempts = attempts_of(std::move(opened_request));
  const Request& request = attempts.request;
  while (true) {
    auto beginning = begin(attempts);
    auto exchange = co_await beginning;
    if (!exchange) co_return fail(not_sent(std::move(exchange).error(), request));
    auto heading = (*exchange)->head(request.deadline);
    auto head = co_await heading;
    if (!head) {
      if (repeat(attempts, *exchange, head.error())) continue;
      co_return fail(after_sending(std::move(head).error(), (*exchange)->may_have_been_processed(), request));
    }
    exchange->answered();
    if (head->status == 401) {
      auto renewing = renew(attempts);
      const bool again = co_await renewing;
      if (again) continue;
    }
    if (head->status >= 300 && head->status < 400) co_return fail(redirected(*head));
    if (head->status >= 200 && head->status < 300) {
      if (is_encoded(head->headers)) co_return fail(Code::kInternal, "an answer in an encoding that was not asked for");
      std::unique_ptr<ResponseStream> stream = std::make_unique<BodyStream>(*std::move(exchange));
      co_return stream;
    }
    auto reading = read_body(*exchange->operator->(), 0, kMaxErrorBody, request.deadline);
    const auto body = co_await reading;
    const std::string retry_after = header_or_empty(head->headers, "retry-after");
    Error refusal = status_error(head->status, body ? *body : std::string(), retry_after, loop_.wall_now());
    co_return fail(head->status == 401 ? explain_refusal(std::move(refusal)) : std::move(refusal));
  }
}

}  // namespace gs::kube
