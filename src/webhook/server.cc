#include "webhook/server.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "runtime/sync.h"

namespace gs::webhook {
namespace {

// A target answers within an API server's 30 s; one on another loop that has gone is not waited for longer.
constexpr Duration kServeTimeout = std::chrono::seconds(31);
constexpr size_t kMaxTimeoutText = 32;
constexpr int kClientGone = 0;

struct Route {
  std::string_view prefix, name;
  ReviewKind kind = ReviewKind::kAdmission;
};

// /[prefix/](admission|conversion)webhooks/<name>, as it stands: nothing in it is ever escaped.
std::optional<Route> parse_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() > 1024) return std::nullopt;
  const std::vector<std::string_view> parts = split(path.substr(1), '/');
  if (parts.size() < 2 || parts.size() > 3) return std::nullopt;
  Route route;
  if (parts.size() == 3) route.prefix = parts[0];
  route.name = parts.back();
  const std::string_view kind = parts[parts.size() - 2];
  if (kind == "conversionwebhooks") route.kind = ReviewKind::kConversion;
  const bool known = kind == "admissionwebhooks" || kind == "conversionwebhooks";
  if (!known || route.name.empty() || (parts.size() == 3 && route.prefix.empty())) return std::nullopt;
  return route;
}

// The text of ?timeout=; what is odd about it counts as absent.
std::string timeout_of(std::string_view query) {
  for (const std::string_view pair : split(query, '&')) {
    if (!pair.starts_with("timeout=")) continue;
    const std::optional<std::string> value = percent_decode(pair.substr(8), true);
    return value && value->size() <= kMaxTimeoutText ? *value : std::string();
  }
  return {};
}

bool is_json(const net::HttpRequest& request) {
  const std::string* type = net::find_header(request.headers, "content-type");
  if (type == nullptr) return false;
  return equals_ignore_case(trim(std::string_view(*type).substr(0, type->find(';'))), "application/json");
}

HttpAnswer try_later(std::string text) {
  HttpAnswer answer(429, std::move(text));
  answer.retry_after = 1;  // the API server's client then tries again by itself
  return answer;
}

HttpAnswer unread(const Error& error) {
  if (error.code == Code::kTooManyRequests) return try_later(error.message + "\n");
  if (error.code == Code::kTooLarge) return HttpAnswer(413, error.message + "\n");
  if (error.code == Code::kDeadlineExceeded) return HttpAnswer(408, "the body of the review did not arrive in time\n");
  return HttpAnswer(kClientGone, {});
}

void wake(void* event) { static_cast<Event*>(event)->set(); }

}  // namespace

// A review's share of its cluster's room, while it lives.
class WebhookServer::Place {
 public:
  Place(WebhookServer& server, std::string cluster) : server_(server), cluster_(std::move(cluster)), room_(server.rooms_[cluster_]) {
    ++room_.reviews;
    ++server_.in_flight_;
    server_.in_flight_gauge_.add(1);
    server_.last_review_ = server_.loop_.now();
  }
  ~Place() {
    --room_.reviews;
    room_.bytes -= bytes_;
    --server_.in_flight_;
    server_.in_flight_gauge_.add(-1);
    server_.last_review_ = server_.loop_.now();
    if (room_.reviews == 0) server_.rooms_.erase(cluster_);
  }
  Place(const Place&) = delete;

  bool over_reviews() const { return room_.reviews > server_.options_.max_cluster_reviews; }
  bool take_bytes(size_t bytes) {
    bytes_ += bytes;
    room_.bytes += bytes;
    return room_.bytes <= server_.options_.max_cluster_bytes;
  }

 private:
  WebhookServer& server_;
  std::string cluster_;
  Room& room_;
  size_t bytes_ = 0;
};

WebhookServer::WebhookServer(Loop& loop, Targets& targets, Metrics& metrics, WebhookServerOptions options)
    : loop_(loop),
      targets_(targets),
      metrics_(metrics),
      in_flight_gauge_(metrics.gauge("gulfstream_webhook_reviews_in_flight", "Reviews being answered")),
      options_(options),
      wrong_paths_(options.wrong_paths) {}

Task<void> WebhookServer::handle(net::HttpExchange& exchange) {
  Task<HttpAnswer> answering = answer(exchange);
  HttpAnswer answer = co_await std::move(answering);
  requests(answer.status).increment();
  if (answer.status == kClientGone) co_return;
  net::HttpHead head(answer.status);
  head.headers.emplace_back("content-type", answer.json ? "application/json" : "text/plain; charset=utf-8");
  if (answer.retry_after > 0) head.headers.emplace_back("retry-after", std::to_string(answer.retry_after));
  exchange.respond(head, answer.body);
}

Counter& WebhookServer::requests(int status) {
  Counter*& counter = requests_[status];
  if (counter == nullptr) {
    counter = &metrics_.counter("gulfstream_webhook_http_requests_total", "Requests to the webhooks' port by status; 0: the client went away",
                                {{"code", std::to_string(status)}});
  }
  return *counter;
}

Task<HttpAnswer> WebhookServer::answer(net::HttpExchange& exchange) {
  const net::HttpRequest& request = exchange.request();
  const std::string_view target = request.target;
  const std::string_view path = target.substr(0, target.find('?'));
  if (path == "/readyz") co_return HttpAnswer(draining_ ? 503 : 200, draining_ ? "draining\n" : "ok\n");
  const std::optional<Route> route = parse_path(path);
  std::shared_ptr<Destination> destination = route ? targets_.find(route->prefix, route->kind, route->name) : nullptr;
  if (destination == nullptr) co_return not_found(exchange);
  if (request.method != "POST") co_return HttpAnswer(405, "reviews are sent by POST\n");
  if (!is_json(request)) co_return HttpAnswer(415, "a review must be of content-type application/json\n");
  std::string timeout = timeout_of(target.substr(std::min(path.size() + 1, target.size())));
  co_return co_await review(exchange, std::move(destination), route->kind, std::move(timeout));
}

Task<HttpAnswer> WebhookServer::review(net::HttpExchange& exchange, std::shared_ptr<Destination> destination, ReviewKind kind,
                                       std::string timeout) {
  const MonoTime received = loop_.now();
  Place place(*this, destination->cluster());
  if (place.over_reviews()) co_return try_later("too many reviews of this cluster at once\n");
  auto body = co_await read_body(exchange, place, received + options_.body_timeout);
  if (!body) co_return unread(body.error());
  Task<HttpAnswer> serving = destination->serve(kind, *std::move(body), std::move(timeout), received);
  co_return co_await unless_gone(exchange, std::move(serving));
}

Task<Result<std::string>> WebhookServer::read_body(net::HttpExchange& exchange, Place& place, MonoTime deadline) {
  std::string body;
  while (true) {
    GS_CO_TRY(std::string part, co_await exchange.read(deadline));
    if (part.empty()) co_return body;
    if (body.size() + part.size() > options_.max_body_bytes) {
      co_return fail(Code::kTooLarge, "a review may be {} bytes long: an API server takes 3 MiB, and it holds the new and the old object",
                     options_.max_body_bytes);
    }
    if (!place.take_bytes(part.size())) co_return fail(Code::kTooManyRequests, "too many bytes of reviews of this cluster at once");
    if (body.empty()) {
      body = std::move(part);
    } else {
      body += part;
    }
  }
}

// What nobody waits for any more is cancelled: its place is for the living.
Task<HttpAnswer> WebhookServer::unless_gone(net::HttpExchange& exchange, Task<HttpAnswer> serving) {
  Event either(loop_);
  if (serving.start(&wake, &either)) co_return serving.take_result();
  Task<void> gone = exchange.wait_client_gone();
  if (gone.start(&wake, &either)) co_return HttpAnswer(kClientGone, {});
  const bool woken = co_await either.wait(loop_.now() + kServeTimeout);
  if (serving.done()) co_return serving.take_result();
  if (woken) co_return HttpAnswer(kClientGone, {});
  co_return HttpAnswer(504, "the review was not answered in time\n");
}

HttpAnswer WebhookServer::not_found(const net::HttpExchange& exchange) {
  if (!wrong_paths_.take(exchange.peer_address(), loop_.now())) return try_later("too many requests for what is not here\n");
  return HttpAnswer(404, "404 page not found\n");
}

Task<void> WebhookServer::drain(Duration quiet, MonoTime deadline) {
  draining_ = true;
  const MonoTime began = loop_.now();
  while (loop_.now() < deadline) {
    const MonoTime quiet_at = std::max(began, last_review_) + quiet;
    if (in_flight_ == 0 && loop_.now() >= quiet_at) co_return;
    const MonoTime next = in_flight_ == 0 ? quiet_at : loop_.now() + std::min<Duration>(quiet, std::chrono::milliseconds(100));
    co_await sleep_until(loop_, std::min(next, deadline));
  }
}

}  // namespace gs::webhook
