#include <utility>

#include "base/strings.h"
#include "net/http2_session.h"
#include "net/http_message.h"
#include "net/http_server_internal.h"

namespace gs::net {
namespace {

class Http2Server;

class Http2Exchange final : public ServerExchange, public Http2Stream {
 public:
  explicit Http2Exchange(Http2Server& server);
  ~Http2Exchange() override;

  const HttpRequest& request() const override { return request_; }
  Task<Result<std::string>> read(MonoTime deadline) override { return read_some(deadline); }
  Task<Result<std::string>> read_all(size_t limit, MonoTime deadline) override {
    std::string body;
    while (true) {
      GS_CO_TRY(std::string part, co_await read_some(deadline));
      if (part.empty()) co_return body;
      if (body.size() + part.size() > limit) co_return fail(Code::kTooLarge, "body of more than {} bytes", limit);
      if (body.empty()) {
        body = std::move(part);
      } else {
        body += part;
      }
    }
  }
  void respond(const HttpHead& head, std::string_view whole_body) override {
    if (started_) return;
    const std::string length = std::to_string(whole_body.size());
    const bool has_body = !whole_body.empty() && request_.method != "HEAD";
    if (has_body) out_ = whole_body;
    out_ended_ = true;
    begin(head, whole_body.empty() ? nullptr : &length, has_body);
  }
  void start(const HttpHead& head) override {
    if (!started_) begin(head, nullptr, true);
  }
  Task<Status> write(std::string bytes, MonoTime deadline) override {
    if (closed_) co_return fail(Code::kUnavailable, "client is gone");
    put(bytes);
    if (waiting() <= ByteStream::kHighWater) co_return ok();
    bytes = std::string();
    co_return co_await wait_waiting(ByteStream::kHighWater, deadline);
  }
  void finish(const Headers& trailers) override {
    if (check_headers(trailers)) return put_end(trailers);
    put_end({});
  }
  bool client_gone() const override { return closed_; }
  Task<void> wait_client_gone() override {
    while (!closed_) {
      co_await gone_.wait();
    }
  }
  std::string peer_address() const override { return peer_; }
  const std::vector<std::string>& client_certificate_subject() const override { return subject_; }

  bool answered() const override { return started_; }
  Task<void> settle() override;

 private:
  friend class Http2Server;
  void begin(const HttpHead& head, const std::string* length, bool has_body);

  void headers_begin() override {}
  bool header(std::string_view name, std::string_view value) override;
  void headers_end() override;
  void closed(uint32_t) override { lost(Error(Code::kUnavailable, "client is gone")); }
  void lost(const Error& why) override {
    gone_.wake_all();
    if (!in_ended_ || !local_ended_) set_error(why);
  }

  Http2Server* server_;  // gone when session_ is null
  HttpRequest request_;
  std::string peer_;
  std::vector<std::string> subject_;
  Duration send_timeout_;
  size_t header_room_;
  uint64_t announced_ = 0;
  bool head_done_ = false;
  bool too_large_ = false;
  bool started_ = false;
  WaitQueue gone_;
};

Http2SessionOptions session_options(const HttpServerOptions& options) {
  Http2SessionOptions out;
  out.server = true;
  out.stream_window = options.stream_window;
  out.connection_window = options.connection_window;
  out.hpack_table_bytes = options.hpack_table_bytes;
  out.max_header_bytes = static_cast<uint32_t>(options.max_header_bytes);
  out.max_concurrent_streams = options.max_streams;
  out.ping_after = options.ping_after;
  out.ping_timeout = options.ping_timeout;
  return out;
}

class Http2Server final : public ServerProtocol, public Http2Session {
 public:
  explicit Http2Server(ServerConnection& connection)
      : Http2Session(connection.loop(), connection.stream(), session_options(connection.options())),
        connection_(connection) {}
  ~Http2Server() override {
    arriving_.reset();
    arrived_.clear();
    fail_session(Error(Code::kUnavailable, "connection closed"));
  }

  ServerConnection& connection() { return connection_; }
  size_t exchanges = 0;  // objects alive, also of clients that went away

  void on_data(std::string_view bytes) override {
    received_ += std::min<size_t>(bytes.size(), kGreeting);
    feed(bytes);
    // A handler that answers at once may bring no further arrivals: feed() is not running.
    std::vector<std::unique_ptr<Http2Exchange>> arrived;
    arrived.swap(arrived_);
    for (auto& exchange : arrived) {
      // Reset in the bytes that brought it: no handler is bothered.
      if (!exchange->client_gone()) connection_.serve(std::move(exchange));
    }
  }
  void on_closed(const Error& why) override { fail_session(why); }
  void on_drained() override { schedule_flush(); }
  void timed_out() override {
    if (over()) return;
    if (received_ < kGreeting) {
      return fail_session(Error(Code::kDeadlineExceeded, "no HTTP/2 preface in time"));
    }
    const Duration idle = connection_.options().idle_timeout;
    if (active_ == 0 && loop_.now() - idle_since_ >= idle) return go_away();
    connection_.set_timeout(active_ == 0 ? idle_since_ + idle - loop_.now() : idle);
  }
  void drain() override {
    if (over() || draining_) return;
    draining_ = true;
    // First a notice; what crosses it on the way is still served. The PING's answer says that the
    // client has read it.
    nghttp2_submit_shutdown_notice(session_);
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    schedule_flush();
  }
  void head_done(Http2Exchange& exchange) {
    if (arriving_.get() == &exchange) arrived_.push_back(std::move(arriving_));
  }

 private:
  static constexpr size_t kGreeting = 24 + 9;  // preface and the head of a SETTINGS frame

  Http2Stream* stream_arrived(int32_t) override {
    if (exchanges >= 2 * size_t{connection_.options().max_streams}) return nullptr;
    arriving_ = std::make_unique<Http2Exchange>(*this);
    return arriving_.get();
  }
  void stream_closed() override {
    if (active_ == 0) idle_since_ = loop_.now();
  }
  void ping_acknowledged() override {
    if (draining_) go_away();
  }
  void go_away() {
    draining_ = true;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                          NGHTTP2_NO_ERROR, nullptr, 0);
    schedule_flush();
  }
  void session_over(const Error&) override { connection_.finished(); }

  ServerConnection& connection_;
  std::unique_ptr<Http2Exchange> arriving_;  // its HEADERS are not complete
  std::vector<std::unique_ptr<Http2Exchange>> arrived_;
  size_t received_ = 0;
  MonoTime idle_since_ = loop_.now();
  bool draining_ = false;
};

Http2Exchange::Http2Exchange(Http2Server& server)
    : Http2Stream(server),
      server_(&server),
      peer_(server.connection().stream().peer_address()),
      subject_(server.connection().client_subject()),
      send_timeout_(server.connection().options().send_timeout),
      header_room_(server.connection().options().max_header_bytes),
      gone_(server.loop()) {
  ++server.exchanges;
  reset_code_ = NGHTTP2_INTERNAL_ERROR;
}

Http2Exchange::~Http2Exchange() {
  if (session_ != nullptr) --server_->exchanges;
}

bool Http2Exchange::header(std::string_view name, std::string_view value) {
  const size_t size = name.size() + value.size() + 32;
  if (head_done_) return size <= header_room_ ? (header_room_ -= size, true) : false;  // trailers: not kept
  if (size > header_room_) too_large_ = true;
  if (too_large_) return true;
  header_room_ -= size;
  if (name == ":method") {
    request_.method = value;
  } else if (name == ":path") {
    request_.target = value;
  } else if (name == ":authority" || name == "host") {
    if (request_.authority.empty()) request_.authority = value;
  } else if (name == "content-length") {
    announced_ = parse_uint(value).value_or(UINT64_MAX);
  } else if (!name.starts_with(':')) {
    request_.headers.emplace_back(std::string(name), std::string(value));
  }
  return true;
}

void Http2Exchange::headers_end() {
  if (head_done_) return;
  head_done_ = true;
  if (too_large_) {
    respond(HttpHead(431), "request headers are too large\n");
  } else if (announced_ > server_->connection().options().max_body_bytes) {
    respond(HttpHead(413), "request body is too large\n");
  }
  server_->head_done(*this);
}

void Http2Exchange::begin(const HttpHead& head, const std::string* length, bool has_body) {
  started_ = true;
  if (closed_) return;
  if (!check_headers(head.headers)) {  // a fault of the handler
    out_.clear();
    out_ended_ = true;
    return begin(HttpHead(500), nullptr, false);
  }
  const std::string status = std::to_string(head.status);
  std::vector<nghttp2_nv> fields;
  fields.reserve(head.headers.size() + 2);
  fields.push_back(http2_field(":status", status));
  for (const Header& header : head.headers) {
    if (is_connection_header(header.name)) continue;
    fields.push_back(http2_field(header.name, header.value));
  }
  if (length != nullptr) fields.push_back(http2_field("content-length", *length));
  const nghttp2_data_provider provider = Http2Session::body_provider();
  nghttp2_submit_response(server_->raw(), id_, fields.data(), fields.size(), has_body ? &provider : nullptr);
  server_->schedule_flush();
}

Task<void> Http2Exchange::settle() {
  if (!started_) respond(HttpHead(500), "the handler gave no answer\n");
  if (!out_ended_) co_return;  // cut short: the destructor resets it
  while (!local_ended_ && !closed_) {
    const size_t before = waiting();
    const bool woken = co_await writers_.wait(saturating_add(gone_.loop().now(), send_timeout_));
    if (!woken && waiting() == before) co_return;
  }
  reset_code_ = NGHTTP2_NO_ERROR;  // answered; what is left of the request is not wanted
}

}  // namespace

std::unique_ptr<ServerProtocol> make_http2_server(ServerConnection& connection) {
  return std::make_unique<Http2Server>(connection);
}

}  // namespace gs::net
