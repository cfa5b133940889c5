#include "net/http2_connection.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "net/http2_session.h"
#include "net/http_message.h"

namespace gs::net {
namespace {

// nghttp2 encodes no more than 64 KiB; its bound counts 12 bytes a field on top.
constexpr size_t kMaxSentHeaderBytes = 60 * 1024;

size_t head_size(const HttpRequest& request) {
  size_t size = 128 + request.target.size() + request.authority.size();
  for (const Header& header : request.headers) size += 12 + header.name.size() + header.value.size();
  return size;
}

Error reset_error(uint32_t code) {
  const std::string text = fmt::format("HTTP/2: stream reset by the server: {}", nghttp2_http2_strerror(code));
  switch (code) {
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_FRAME_SIZE_ERROR:
    case NGHTTP2_COMPRESSION_ERROR:
      return Error(Code::kInternal, text);
    case NGHTTP2_ENHANCE_YOUR_CALM:
      return Error(Code::kTooManyRequests, text);
    case NGHTTP2_HTTP_1_1_REQUIRED:
      return Error(Code::kUnsupported, text);
    case NGHTTP2_INADEQUATE_SECURITY:
      return Error(Code::kUnauthorized, text);
    default:
      return Error(Code::kUnavailable, text);
  }
}

class ClientStream final : public HttpStream, public Http2Stream {
 public:
  ClientStream(Http2Session& session, size_t max_header_bytes)
      : Http2Stream(session), header_room_(max_header_bytes), max_header_bytes_(max_header_bytes) {}

  Task<Result<HttpHead>> head(MonoTime deadline) override {
    while (!head_done_ && !error_) {
      const bool woken = co_await readers_.wait(deadline);
      if (!woken) co_return fail(Code::kDeadlineExceeded, "no answer in time");
    }
    if (!head_done_) co_return fail(Error(*error_));
    co_return std::move(head_);
  }
  Task<Result<std::string>> read(MonoTime deadline) override { return read_some(deadline); }
  const Headers& trailers() const override { return trailers_; }
  void write(std::string_view bytes) override { put(bytes); }
  size_t unsent() const override { return waiting(); }
  Task<Status> wait_unsent(size_t at_most, MonoTime deadline) override { return wait_waiting(at_most, deadline); }
  void end() override { put_end({}); }
  bool may_have_been_processed() const override { return processed_; }

  // The request's body, before the stream is submitted.
  void set_body(std::string_view body, bool keep_open) {
    out_ = body;
    out_ended_ = !keep_open;
  }

 private:
  void headers_begin() override { header_room_ = max_header_bytes_; }

  bool header(std::string_view name, std::string_view value) override {
    const size_t size = name.size() + value.size() + 32;
    if (size > header_room_) {
      set_error(Error(Code::kTooLarge, fmt::format("HTTP/2: headers of more than {} bytes", max_header_bytes_)));
      return false;
    }
    header_room_ -= size;
    if (head_done_) {
      trailers_.emplace_back(std::string(name), std::string(value));
    } else if (name == ":status") {
      head_.status = static_cast<int>(parse_uint(value).value_or(0));
    } else {
      head_.headers.emplace_back(std::string(name), std::string(value));
    }
    return true;
  }

  void headers_end() override {
    if (head_done_) return;
    if (head_.status / 100 == 1) {  // informational: the answer is still to come
      head_ = HttpHead();
      return;
    }
    head_done_ = true;
    readers_.wake_all();
  }

  void headers_sent() override { processed_ = true; }

  void closed(uint32_t code) override {
    if (code == NGHTTP2_REFUSED_STREAM) processed_ = false;
    if (in_ended_ && head_done_) return;
    if (!processed_ && code != NGHTTP2_REFUSED_STREAM) {
      return set_error(Error(Code::kUnavailable, "HTTP/2: connection takes no more requests"));
    }
    set_error(reset_error(code));
  }

  void lost(const Error& why) override {
    if (!in_ended_) set_error(why);
  }

  HttpHead head_;
  Headers trailers_;
  size_t header_room_;
  size_t max_header_bytes_;
  bool head_done_ = false;
  bool processed_ = false;  // sent, and not refused since
};

// The session is a base so that it is destroyed before the transport, which `Transport` owns.
struct Transport {
  explicit Transport(std::unique_ptr<ByteStream> s) : stream(std::move(s)) {}
  std::unique_ptr<ByteStream> stream;
};

Http2SessionOptions session_options(const Http2ClientOptions& options) {
  Http2SessionOptions out;
  out.stream_window = options.stream_window;
  out.connection_window = options.connection_window;
  out.hpack_table_bytes = options.hpack_table_bytes;
  out.max_header_bytes = options.max_header_bytes;
  out.ping_after = options.ping_after;
  out.ping_timeout = options.ping_timeout;
  return out;
}

class Http2Connection final : public HttpConnection, private ByteStream::Handler, private Transport, public Http2Session {
 public:
  Http2Connection(Loop& loop, std::unique_ptr<ByteStream> stream, Http2ClientOptions options)
      : Transport(std::move(stream)),
        Http2Session(loop, *Transport::stream, session_options(options)),
        scheme_(std::move(options.scheme)),
        max_streams_(options.max_streams),
        going_away_(options.going_away),
        idle_since_(loop.now()) {
    Transport::stream->start(*this);
  }
  ~Http2Connection() override { fail_session(Error(Code::kUnavailable, "HTTP/2: connection closed")); }

  Result<std::unique_ptr<HttpStream>> open(const HttpRequest& request, bool keep_open) override {
    GS_TRY_STATUS(check_request(request));
    if (head_size(request) > kMaxSentHeaderBytes) {
      return fail(Code::kTooLarge, "HTTP/2: request with headers of {} bytes", head_size(request));
    }
    if (closed()) return fail(Code::kUnavailable, "HTTP/2: connection takes no more requests");
    if (!available()) return fail(Code::kUnavailable, "HTTP/2: connection is at its limit of {} streams", limit());
    if (request.authority.empty()) return fail(Code::kInvalid, "HTTP/2: request without an authority");
    auto stream = std::make_unique<ClientStream>(*this, options_.max_header_bytes);
    std::vector<nghttp2_nv> fields;
    fields.reserve(request.headers.size() + 5);
    fields.push_back(http2_field(":method", request.method));
    fields.push_back(http2_field(":scheme", scheme_));
    fields.push_back(http2_field(":authority", request.authority));
    fields.push_back(http2_field(":path", request.target));
    for (const Header& header : request.headers) {
      if (is_connection_header(header.name)) continue;
      fields.push_back(http2_field(header.name, header.value));
    }
    const std::string length = std::to_string(request.body.size());
    if (!keep_open && !request.body.empty()) fields.push_back(http2_field("content-length", length));
    const bool has_body = keep_open || !request.body.empty();
    stream->set_body(request.body, keep_open);
    const nghttp2_data_provider provider = body_provider();
    const int32_t id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                              has_body ? &provider : nullptr, static_cast<Http2Stream*>(stream.get()));
    if (id < 0) {
      draining_ = true;  // stream ids are used up, or no memory
      return fail(Code::kUnavailable, "HTTP/2: {}", nghttp2_strerror(id));
    }
    adopt(*stream, id);
    schedule_flush();
    return std::unique_ptr<HttpStream>(std::move(stream));
  }
  bool available() const override { return !closed() && active_ < limit(); }
  bool closed() const override { return over() || draining_; }
  size_t active() const override { return active_; }
  MonoTime idle_since() const override { return idle_since_; }
  bool multiplexed() const override { return true; }

 private:
  size_t limit() const {
    const uint32_t theirs = nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    // Until its SETTINGS arrive a server is taken to allow what RFC 9113 recommends as the least.
    return std::min<size_t>(settled_ ? theirs : std::min<uint32_t>(theirs, 100), max_streams_);
  }

  void on_data(std::string_view bytes) override {
    settled_ = true;  // the first frame of a server is its SETTINGS
    feed(bytes);
  }
  void on_closed(const Error& why) override { fail_session(why); }
  void on_drained() override { schedule_flush(); }

  void stream_closed() override {
    if (active_ == 0) idle_since_ = loop_.now();
    schedule_flush();
  }
  // Not in stream_closed(): that may be inside nghttp2_session_mem_recv(), which would forget it and read on.
  void before_flush() override {
    if (draining_ && active_ == 0) nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  }
  void goaway_received() override {
    draining_ = true;
    if (going_away_ != nullptr) going_away_->set();
    schedule_flush();
  }
  void session_over(const Error&) override { Transport::stream->shutdown(); }

  std::string scheme_;
  size_t max_streams_;
  Event* going_away_;
  MonoTime idle_since_;
  bool draining_ = false;
  bool settled_ = false;
};

}  // namespace

std::unique_ptr<HttpConnection> make_http2_connection(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                      Http2ClientOptions options) {
  return std::make_unique<Http2Connection>(loop, std::move(stream), std::move(options));
}

}  // namespace gs::net
