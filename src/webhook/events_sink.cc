#include "webhook/events_sink.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "json/scan.h"
#include "json/writer.h"
#include "kube/kubeconfig.h"
#include "net/http1_connection.h"
#include "webhook/digest.h"

namespace gs::webhook {
namespace {

constexpr Duration kTokenAge = std::chrono::seconds(60);
constexpr Duration kFirstPause = std::chrono::milliseconds(500);
constexpr size_t kMaxTokenBytes = 16 * 1024;
constexpr size_t kMaxAnswerBody = 64 * 1024;  // of the sink, which is read only to keep its connection

std::string content_digest(std::string_view body) {
  Sha256 hash;
  hash.update(body);
  const Digest digest = hash.finish();
  return "sha-256=:" + base64_encode(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size())) + ":";
}

// .request, without what a Secret holds.
void write_request(json::Writer& writer, const AdmissionRequest& request) {
  const bool secret = request.resource.group.empty() && request.resource.name == "secrets";
  if (!secret) return void(writer.raw(request.request));
  writer.begin_object();
  json::for_each_member(request.request, [&](std::string_view key, std::string_view value) {
    if (key != "object" && key != "oldObject") writer.key(key).raw(value);
  });
  writer.end_object();
}

std::string event_body(const AdmissionRequest& request, const AdmissionAnswer& answer) {
  const std::string answered = to_json(request, answer);
  std::string out;
  out.reserve(request.request.size() + answered.size() + 256);
  json::Writer writer(out);
  writer.begin_object();
  writer.key("actor").begin_object().key("subject").string(request.user_name).end_object();
  writer.key("body").begin_object();
  writer.key("kind").string("AdmissionReview");
  writer.key("apiVersion").string(api_version_of(ReviewKind::kAdmission, request.version));
  write_request(writer.key("request"), request);
  writer.key("response").raw(json::raw_at(answered, "response").value_or("null"));
  writer.end_object().end_object();
  return out;
}

// CloudEvents' HTTP binding: what is not printable ASCII is percent-encoded, and so are spaces, quotes and percent signs.
std::string header_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Counter& counter(Metrics& metrics, const char* outcome) {
  return metrics.counter("gulfstream_webhook_events_total", "Events of decisions, by what became of them", {{"outcome", outcome}});
}

}  // namespace

EventsSink::EventsSink(Loop& loop, net::Connector& connector, Metrics& metrics, EventsSinkOptions options)
    : loop_(loop),
      connector_(connector),
      options_(std::move(options)),
      delivered_(counter(metrics, "delivered")),
      refused_(counter(metrics, "refused")),
      failed_(counter(metrics, "failed")),
      dropped_(counter(metrics, "dropped")),
      work_(loop),
      empty_(loop),
      scope_(loop) {
  scope_.spawn(run());
}

EventsSink::~EventsSink() = default;

// The first of those that went wrong is logged, and the first that did not.
void EventsSink::told(Counter& outcome, const std::string& why) {
  outcome.increment();
  const bool failing = &outcome != &delivered_;
  if (failing == failing_) return;
  failing_ = failing;
  const std::string sink = options_.url.authority();
  if (failing) log::warning("events of decisions do not reach their sink", {{"sink", sink}, {"err", why}});
  if (!failing) log::info("events of decisions reach their sink again", {{"sink", sink}});
}

Task<size_t> EventsSink::drain(MonoTime deadline) {
  while (!queue_.empty() && loop_.now() < deadline) {
    co_await empty_.wait(deadline);
  }
  co_return queue_.size();
}

void EventsSink::offer(std::string_view webhook, std::string_view cluster_id, const AdmissionRequest& request, const AdmissionAnswer& answer) {
  // Before the body is made: a sink that is behind costs nothing.
  if (queue_.size() >= options_.max_events || queued_bytes_ + request.request.size() > options_.max_bytes) return dropped_.increment();
  Told event;
  event.id = header_value(request.uid);
  event.source = header_value("k8s://" + std::string(cluster_id));
  event.subject = header_value(webhook);
  event.time = format_rfc3339_micro(loop_.wall_now());
  event.body = event_body(request, answer);
  queued_bytes_ += event.body.size();
  queue_.push_back(std::move(event));
  work_.wake_one();
}

Task<void> EventsSink::run() {
  while (true) {
    while (queue_.empty()) {
      co_await work_.wait();
    }
    // In the queue until it is over, so that the bounds count it.
    co_await deliver(queue_.front());
    queued_bytes_ -= queue_.front().body.size();
    queue_.pop_front();
    if (queue_.empty()) empty_.wake_all();
  }
}

Task<void> EventsSink::deliver(const Told& event) {
  Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    auto status = co_await post(event);
    if (status && *status >= 200 && *status < 300) co_return told(delivered_, "");
    const bool again = !status || *status == 429 || *status >= 500;
    const std::string why = status ? fmt::format("it answered {}", *status) : status.error().message;
    if (!again) co_return told(refused_, why);
    if (attempt >= options_.attempts) co_return told(failed_, why);
    co_await sleep_for(loop_, loop_.random().jitter(pause, 0.5));
    pause *= 4;
  }
}

// The status that the sink answered. Over one connection, kept between events.
Task<Result<int>> EventsSink::post(const Told& event) {
  GS_CO_TRY_STATUS(co_await read_token());
  const MonoTime deadline = loop_.now() + options_.timeout;
  if (connection_ == nullptr || !connection_->available()) {
    connection_.reset();
    const net::Endpoint endpoint(options_.url.host, options_.url.port);
    GS_CO_TRY(std::unique_ptr<net::ByteStream> stream, co_await connector_.connect(endpoint, deadline));
    connection_ = net::make_http1_connection(loop_, std::move(stream));
  }
  const net::HttpRequest request = request_for(event);
  GS_CO_TRY(std::unique_ptr<net::HttpStream> stream, connection_->open(request, false));
  GS_CO_TRY(const net::HttpHead head, co_await stream->head(deadline));
  // An answer that is not read to its end takes the connection with it.
  for (size_t read = 0; read <= kMaxAnswerBody;) {
    auto part = co_await stream->read(deadline);
    if (!part || part->empty()) break;
    read += part->size();
  }
  co_return head.status;
}

net::HttpRequest EventsSink::request_for(const Told& event) const {
  net::HttpRequest request("POST", options_.url.path_prefix.empty() ? "/" : options_.url.path_prefix);
  request.authority = options_.url.authority();
  request.headers.emplace_back("content-type", "application/json");
  request.headers.emplace_back("ce-specversion", "1.0");
  request.headers.emplace_back("ce-id", event.id);
  request.headers.emplace_back("ce-source", event.source);
  request.headers.emplace_back("ce-type", "dev.gulfstream.admission.v1");
  request.headers.emplace_back("ce-subject", event.subject);
  request.headers.emplace_back("ce-time", event.time);
  request.headers.emplace_back("content-digest", content_digest(event.body));
  request.headers.emplace_back("user-agent", "gulfstream");
  if (!token_.empty()) request.headers.emplace_back("authorization", "Bearer " + token_);
  request.body = event.body;
  return request;
}

// Off the loop. A file that breaks later leaves the token that was read last.
Task<Status> EventsSink::read_token() {
  if (options_.token_file.empty() || (!token_.empty() && loop_.now() - token_read_ < kTokenAge)) co_return ok();
  struct Job {
    explicit Job(Loop& loop) : done(loop) {}
    Event done;
    Result<std::string> text = fail(Code::kInternal, "not read");
  };
  const auto job = std::make_shared<Job>(loop_);
  std::function<void()> work = [job, path = options_.token_file] { job->text = kube::read_file(path); };
  std::function<void()> done = [job] { job->done.set(); };
  loop_.run_blocking(std::move(work), std::move(done));
  co_await job->done.wait();
  const std::string token(job->text ? trim(*job->text) : "");
  if (!token.empty() && token.size() <= kMaxTokenBytes) token_ = token;
  token_read_ = loop_.now();
  if (token_.empty()) co_return fail(Code::kUnauthorized, "{}: no token in it", options_.token_file);
  co_return ok();
}

}  // namespace gs::webhook
