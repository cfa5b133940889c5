#include <optional>
#include <utility>

#include "base/strings.h"
#include "net/http1_parser.h"
#include "net/http_message.h"
#include "net/http_server_internal.h"

namespace gs::net {
namespace {

// Of a body or of pipelined requests, held before the connection is paused.
constexpr size_t kReceiveWindow = 256 * 1024;

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
  }
}

class Http1Server;

class Http1Exchange final : public ServerExchange {
 public:
  Http1Exchange(Http1Server& server, HttpRequest request);
  ~Http1Exchange() override;

  const HttpRequest& request() const override { return request_; }
  Task<Result<std::string>> read(MonoTime deadline) override;
  Task<Result<std::string>> read_all(size_t limit, MonoTime deadline) override {
    std::string body;
    while (true) {
      GS_CO_TRY(std::string part, co_await read(deadline));
      if (part.empty()) co_return body;
      if (body.size() + part.size() > limit) co_return fail(Code::kTooLarge, "body of more than {} bytes", limit);
      if (body.empty()) {
        body = std::move(part);
      } else {
        body += part;
      }
    }
  }
  void respond(const HttpHead& head, std::string_view whole_body) override;
  void start(const HttpHead& head) override;
  Task<Status> write(std::string bytes, MonoTime deadline) override;
  void finish(const Headers& trailers) override;
  bool client_gone() const override { return server_ == nullptr; }
  Task<void> wait_client_gone() override {
    while (server_ != nullptr) {
      co_await gone_.wait();
    }
  }
  std::string peer_address() const override { return peer_; }
  const std::vector<std::string>& client_certificate_subject() const override { return subject_; }
  bool answered() const override { return started_; }
  Task<void> settle() override;

 private:
  friend class Http1Server;
  // Head of the answer; how its end is told depends on what is known.
  std::string head_text(const HttpHead& head, std::optional<size_t> length);
  void detach(const Error& why) {
    server_ = nullptr;
    if (!error_) error_ = why;
    readers_.wake_all();
    writers_.wake_all();
    gone_.wake_all();
  }

  Http1Server* server_;  // null once the client is gone or the exchange is over
  HttpRequest request_;
  std::string peer_;
  std::vector<std::string> subject_;
  std::string in_;
  bool in_ended_ = false;
  std::optional<Error> error_;
  bool expects_continue_ = false;
  bool http10_ = false;
  bool started_ = false;
  bool finished_ = false;
  bool no_body_ = false;  // HEAD, 204, 304
  bool chunked_ = false;
  WaitQueue readers_;
  WaitQueue writers_;
  WaitQueue gone_;
};

class Http1Server final : public ServerProtocol, private TurnEndHook {
 public:
  explicit Http1Server(ServerConnection& connection)
      : connection_(connection),
        parser_(Http1Parser::Kind::kRequest, connection.options().max_header_bytes) {}
  ~Http1Server() override { drop_exchange(Error(Code::kUnavailable, "connection closed")); }

  ServerConnection& connection() { return connection_; }
  ByteStream& stream() { return connection_.stream(); }

  void on_data(std::string_view bytes) override {
    if (close_) return;
    const bool begins = !parser_.started();
    const Status status = parser_.feed(bytes);
    if (!status) return refuse(status.error().code == Code::kTooLarge ? 431 : 400, status.error());
    if (between_) return;
    if (begins && current_ == nullptr && !parser_.head_done()) {
      connection_.set_timeout(connection_.options().head_timeout);
    }
    advance();
  }
  void on_closed(const Error& why) override { drop_exchange(why); }
  void on_drained() override {
    if (current_ != nullptr) current_->writers_.wake_all();
  }
  void timed_out() override { connection_.finished(); }
  void drain() override {
    draining_ = true;
    if (current_ == nullptr) connection_.finished();
  }

  bool keeps_alive() const { return parser_.done() && parser_.keep_alive() && !draining_ && !close_; }
  void must_close() { close_ = true; }
  void body_taken() {
    if (paused_) {
      paused_ = false;
      stream().resume();
    }
  }
  void exchange_over(bool complete) {
    current_ = nullptr;
    between_ = true;
    if (!complete || !keeps_alive() || announced_close_) {
      close_ = true;
      return connection_.finished();
    }
    body_taken();
    connection_.set_timeout(connection_.options().idle_timeout);
    connection_.loop().at_turn_end(*this);
  }
  void announce_close() { announced_close_ = true; }

 private:
  // The next request, which may have come already.
  void turn_ended() override {
    between_ = false;
    if (close_ || current_ != nullptr || !parser_.done()) return;
    const Status status = parser_.next();
    if (!status) return refuse(status.error().code == Code::kTooLarge ? 431 : 400, status.error());
    advance();
  }

  void advance() {
    if (current_ == nullptr && parser_.head_done() && !served_head()) return;
    if (current_ != nullptr) {
      std::string body = parser_.take_body();
      if (!body.empty()) current_->in_ = current_->in_.empty() ? std::move(body) : std::move(current_->in_) + body;
      current_->in_ended_ = parser_.done();
      current_->readers_.wake_all();
      if (!paused_ && current_->in_.size() + parser_.pending() > kReceiveWindow) {
        paused_ = true;
        stream().pause();
      }
    }
    if (fresh_ != nullptr) connection_.serve(std::move(fresh_));
  }

  // A head is complete: makes its exchange, or refuses it.
  bool served_head() {
    HttpRequest request;
    request.method = std::move(parser_.method());
    request.target = std::move(parser_.target());
    bool expects = false;
    size_t hosts = 0;
    for (Header& header : parser_.headers()) {
      if (header.name == "host") {
        ++hosts;
        request.authority = std::move(header.value);
      } else if (header.name == "expect") {
        expects = equals_ignore_case(header.value, "100-continue");
      } else if (header.name != "content-length" && !is_connection_header(header.name)) {
        request.headers.push_back(std::move(header));
      }
    }
    const bool http10 = parser_.version() == 10;
    if (hosts > 1 || (hosts == 0 && !http10)) return refuse(400, Error(Code::kInvalid, "not exactly one host")), false;
    if (parser_.content_length().value_or(0) > connection_.options().max_body_bytes) {
      return refuse(413, Error(Code::kTooLarge, "request body is too large")), false;
    }
    connection_.clear_timeout();
    fresh_ = std::make_unique<Http1Exchange>(*this, std::move(request));
    current_ = fresh_.get();
    current_->expects_continue_ = expects && !parser_.done();
    current_->http10_ = http10;
    return true;
  }

  // An answer of the server itself, and the end of the connection.
  void refuse(int status, const Error& why) {
    const bool answer = current_ == nullptr || !current_->answered();
    close_ = true;
    drop_exchange(why);
    if (answer) {
      const std::string body = why.message + "\n";
      stream().write(fmt::format("HTTP/1.1 {} {}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{}",
                                 status, reason(status), body.size(), body));
    }
    connection_.finished();
  }

  void drop_exchange(const Error& why) {
    if (Http1Exchange* exchange = std::exchange(current_, nullptr); exchange != nullptr) exchange->detach(why);
  }

  ServerConnection& connection_;
  Http1Parser parser_;
  Http1Exchange* current_ = nullptr;
  std::unique_ptr<Http1Exchange> fresh_;  // made, not yet served
  bool paused_ = false;
  bool between_ = false;  // an exchange is over, the next one not looked for yet
  bool draining_ = false;
  bool close_ = false;
  bool announced_close_ = false;
};

Http1Exchange::Http1Exchange(Http1Server& server, HttpRequest request)
    : server_(&server),
      request_(std::move(request)),
      peer_(server.stream().peer_address()),
      subject_(server.connection().client_subject()),
      readers_(server.connection().loop()),
      writers_(server.connection().loop()),
      gone_(server.connection().loop()) {}

Http1Exchange::~Http1Exchange() {
  if (server_ != nullptr) server_->exchange_over(false);
}

Task<Result<std::string>> Http1Exchange::read(MonoTime deadline) {
  if (expects_continue_ && !started_ && server_ != nullptr && !in_ended_ && in_.empty()) {
    expects_continue_ = false;
    server_->stream().write("HTTP/1.1 100 Continue\r\n\r\n");
  }
  while (in_.empty() && !in_ended_ && !error_) {
    const bool woken = co_await readers_.wait(deadline);
    if (!woken) co_return fail(Code::kDeadlineExceeded, "no data in time");
  }
  if (!in_.empty()) {
    if (server_ != nullptr) server_->body_taken();
    co_return std::exchange(in_, {});
  }
  if (!in_ended_) co_return fail(Error(*error_));
  co_return std::string();
}

std::string Http1Exchange::head_text(const HttpHead& head, std::optional<size_t> length) {
  if (!check_headers(head.headers)) return head_text(HttpHead(500), length);  // a fault of the handler
  std::string out;
  out.reserve(128 + head.headers.size() * 64 + length.value_or(0));
  out.append("HTTP/1.1 ").append(std::to_string(head.status)).append(" ").append(reason(head.status)).append("\r\n");
  for (const Header& header : head.headers) {
    if (is_connection_header(header.name) || header.name == "content-length") continue;
    out.append(header.name).append(": ").append(header.value).append("\r\n");
  }
  no_body_ = request_.method == "HEAD" || head.status == 204 || head.status == 304;
  const bool bodiless_status = head.status == 204 || head.status == 304;
  if (length && !bodiless_status) out.append("content-length: ").append(std::to_string(*length)).append("\r\n");
  chunked_ = !length && !no_body_ && !http10_;
  if (chunked_) out.append("transfer-encoding: chunked\r\n");
  // A request that is not read to its end, and a body that only the end of the connection ends.
  if (!server_->keeps_alive() || (!length && !chunked_ && !no_body_)) {
    server_->announce_close();
    out.append("connection: close\r\n");
  } else if (http10_) {
    out.append("connection: keep-alive\r\n");
  }
  return out.append("\r\n");
}

void Http1Exchange::respond(const HttpHead& head, std::string_view whole_body) {
  if (started_) return;
  started_ = finished_ = true;
  if (server_ == nullptr) return;
  std::string out = head_text(head, whole_body.size());
  if (!no_body_) out.append(whole_body);
  server_->stream().write(out);
}

void Http1Exchange::start(const HttpHead& head) {
  if (started_) return;
  started_ = true;
  if (server_ != nullptr) server_->stream().write(head_text(head, std::nullopt));
}

Task<Status> Http1Exchange::write(std::string bytes, MonoTime deadline) {
  if (server_ == nullptr) co_return fail(Code::kUnavailable, "client is gone");
  if (finished_ || !started_ || no_body_ || bytes.empty()) co_return ok();
  ByteStream& stream = server_->stream();
  if (chunked_) {
    stream.write(fmt::format("{:x}\r\n", bytes.size()));
    bytes.append("\r\n");
  }
  stream.write(bytes);
  bytes = std::string();
  while (server_ != nullptr && server_->stream().buffered() > ByteStream::kHighWater) {
    const bool woken = co_await writers_.wait(deadline);
    if (!woken) co_return fail(Code::kDeadlineExceeded, "client did not take the data in time");
  }
  if (server_ == nullptr) co_return fail(Code::kUnavailable, "client is gone");
  co_return ok();
}

void Http1Exchange::finish(const Headers& trailers) {
  if (finished_ || !started_) return;
  finished_ = true;
  if (server_ == nullptr || !chunked_) return;
  std::string out = "0\r\n";
  if (check_headers(trailers)) {
    for (const Header& header : trailers) out.append(header.name).append(": ").append(header.value).append("\r\n");
  }
  server_->stream().write(out.append("\r\n"));
}

Task<void> Http1Exchange::settle() {
  if (!started_) respond(HttpHead(500), "the handler gave no answer\n");
  if (Http1Server* server = std::exchange(server_, nullptr); server != nullptr) server->exchange_over(finished_);
  co_return;
}

}  // namespace

std::unique_ptr<ServerProtocol> make_http1_server(ServerConnection& connection) {
  return std::make_unique<Http1Server>(connection);
}

}  // namespace gs::net
