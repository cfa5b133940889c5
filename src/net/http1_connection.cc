#include "net/http1_connection.h"

#include <optional>
#include <utility>

#include "net/http1_parser.h"
#include "net/http_message.h"
#include "net/stream_errors.h"
#include "runtime/sync.h"

namespace gs::net {
namespace {

class Http1Connection;

class Http1Stream final : public HttpStream {
 public:
  Http1Stream(Loop& loop, Http1Connection& connection) : connection_(&connection), readers_(loop) {}
  ~Http1Stream() override;

  Task<Result<HttpHead>> head(MonoTime deadline) override {
    while (!head_done_ && !error_) {
      const bool woken = co_await readers_.wait(deadline);
      if (!woken) co_return fail(Code::kDeadlineExceeded, "no answer in time");
    }
    if (!head_done_) co_return fail(Error(*error_));
    co_return std::move(head_);
  }
  Task<Result<std::string>> read(MonoTime deadline) override {
    while (in_.empty() && !ended_ && !error_) {
      const bool woken = co_await readers_.wait(deadline);
      if (!woken) co_return fail(Code::kDeadlineExceeded, "no data in time");
    }
    if (!in_.empty()) co_return take();
    if (!ended_) co_return fail(Error(*error_));
    co_return std::string();
  }
  const Headers& trailers() const override { return trailers_; }
  void write(std::string_view) override {}
  size_t unsent() const override { return 0; }
  Task<Status> wait_unsent(size_t, MonoTime) override { co_return ok(); }
  void end() override {}
  bool may_have_been_processed() const override { return processed_; }

 private:
  friend class Http1Connection;
  std::string take();
  void end_with(Error why, bool processed) {
    connection_ = nullptr;
    if (ended_) return;
    processed_ = processed;
    error_ = std::move(why);
    readers_.wake_all();
  }

  Http1Connection* connection_;  // null once the exchange is over
  HttpHead head_;
  Headers trailers_;
  std::string in_;
  std::optional<Error> error_;
  bool head_done_ = false;
  bool ended_ = false;
  bool processed_ = true;
  WaitQueue readers_;
};

class Http1Connection final : public HttpConnection, private ByteStream::Handler {
 public:
  Http1Connection(Loop& loop, std::unique_ptr<ByteStream> stream, Http1ClientOptions options)
      : loop_(loop),
        options_(options),
        idle_since_(loop.now()),
        parser_(Http1Parser::Kind::kResponse, options.max_header_bytes),
        transport_(std::move(stream)) {
    transport_->start(*this);
  }
  ~Http1Connection() override { close(Error(Code::kUnavailable, "HTTP/1.1: connection closed")); }

  Result<std::unique_ptr<HttpStream>> open(const HttpRequest& request, bool keep_open) override {
    GS_TRY_STATUS(check_request(request));
    if (keep_open) return fail(Code::kUnsupported, "HTTP/1.1 cannot stream a request's body");
    if (closed()) return fail(Code::kUnavailable, "HTTP/1.1: connection is closed");
    if (current_ != nullptr) return fail(Code::kUnavailable, "HTTP/1.1: connection is busy");
    auto stream = std::make_unique<Http1Stream>(loop_, *this);
    const Status ready = parser_.next(request.method == "HEAD");
    GS_CHECK(ready.has_value());  // nothing was left over
    head_request_ = request.method == "HEAD";
    current_ = stream.get();
    const std::string head = head_of(request);
    request_bytes_ = head.size() + request.body.size();
    transport_->write(head);
    if (!request.body.empty()) transport_->write(request.body);
    return std::unique_ptr<HttpStream>(std::move(stream));
  }
  bool available() const override { return !closed() && current_ == nullptr; }
  bool closed() const override { return transport_ == nullptr; }
  size_t active() const override { return current_ != nullptr ? 1 : 0; }
  MonoTime idle_since() const override { return idle_since_; }
  bool multiplexed() const override { return false; }

  void abandoned() {
    current_ = nullptr;
    close(Error(Code::kCancelled, "exchange was given up"));
  }
  void taken() {
    if (!paused_) return;
    paused_ = false;
    transport_->resume();
  }

 private:
  static std::string head_of(const HttpRequest& request) {
    std::string out;
    out.reserve(256 + request.target.size() + request.headers.size() * 64);
    out.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\nhost: ");
    out.append(request.authority).append("\r\n");
    for (const Header& header : request.headers) {
      if (is_connection_header(header.name)) continue;
      out.append(header.name).append(": ").append(header.value).append("\r\n");
    }
    const bool may_have_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
    if (!request.body.empty() || may_have_body) {
      out.append("content-length: ").append(std::to_string(request.body.size())).append("\r\n");
    }
    return out.append("\r\n");
  }

  // Ends the connection and, with `why`, the exchange.
  void close(const Error& why, bool processed = true) {
    if (Http1Stream* stream = std::exchange(current_, nullptr); stream != nullptr) stream->end_with(why, processed);
    transport_.reset();
  }

  void on_data(std::string_view bytes) override {
    if (current_ == nullptr) return close(Error(Code::kInternal, "HTTP/1.1: an answer without a request"));
    const Status status = parser_.feed(bytes);
    if (!status) return broken(status.error());
    // Informational answers come before the real one.
    while (parser_.done() && parser_.status() / 100 == 1) {
      if (parser_.status() == 101) return close(Error(Code::kUnsupported, "HTTP/1.1: server switches protocols"));
      const Status next = parser_.next(head_request_);
      if (!next) return broken(next.error());
    }
    deliver();
  }

  void broken(const Error& why) {
    const Code code = why.code == Code::kTooLarge ? Code::kTooLarge : Code::kInternal;
    close(Error(code, why.message));
  }

  void deliver() {
    Http1Stream& stream = *current_;
    if (!stream.head_done_ && parser_.head_done() && parser_.status() / 100 != 1) {
      stream.head_.status = parser_.status();
      stream.head_.headers = std::move(parser_.headers());
      stream.head_done_ = true;
      stream.readers_.wake_all();
    }
    std::string body = parser_.take_body();
    if (!body.empty()) {
      stream.in_ = stream.in_.empty() ? std::move(body) : std::move(stream.in_) + body;
      stream.readers_.wake_all();
    }
    if (parser_.done()) return finished();
    if (stream.in_.size() > options_.receive_window && !paused_) {
      paused_ = true;
      transport_->pause();
    }
  }

  void finished() {
    Http1Stream& stream = *std::exchange(current_, nullptr);
    stream.trailers_ = std::move(parser_.trailers());
    stream.ended_ = true;
    stream.connection_ = nullptr;
    stream.readers_.wake_all();
    idle_since_ = loop_.now();
    const bool clean = parser_.pending() == 0 && transport_->buffered() == 0;
    if (!clean || !parser_.keep_alive()) transport_.reset();
  }

  void on_closed(const Error& why) override {
    if (current_ == nullptr) return close(why);
    const bool begun = parser_.started();
    // Only an orderly end ends a body that has no other: what broke off may be cut short.
    if (parser_.head_done() && is_closed_by_peer(why) && parser_.finish()) {
      deliver();
      transport_.reset();
      return;
    }
    if (begun) return close(Error(Code::kUnavailable, why.message + " in the middle of an answer"));
    // Certain only where not a byte of the request has left.
    close(Error(Code::kUnavailable, why.message + " before it answered"), transport_->buffered() < request_bytes_);
  }

  Loop& loop_;
  Http1ClientOptions options_;
  MonoTime idle_since_;
  Http1Parser parser_;
  Http1Stream* current_ = nullptr;
  size_t request_bytes_ = 0;
  bool head_request_ = false;
  bool paused_ = false;
  std::unique_ptr<ByteStream> transport_;
};

Http1Stream::~Http1Stream() {
  if (connection_ != nullptr) connection_->abandoned();
}

std::string Http1Stream::take() {
  std::string bytes = std::exchange(in_, {});
  if (connection_ != nullptr) connection_->taken();
  return bytes;
}

}  // namespace

std::unique_ptr<HttpConnection> make_http1_connection(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                      Http1ClientOptions options) {
  return std::make_unique<Http1Connection>(loop, std::move(stream), options);
}

}  // namespace gs::net
