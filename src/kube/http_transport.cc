#include "kube/http_transport.h"

#include <algorithm>
#include <utility>

#include "base/mutation.h"
#include "base/strings.h"
#include "kube/http_transport_internal.h"

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
    auto riding = open_on_watches(attempts);
    if (riding) co_return *std::move(riding);
    auto making = make_room(pool, attempts);
    GS_CO_TRY_STATUS(co_await making);
  }
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
  attempts.streamed = true;
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
