#include "net/http2_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/mutation.h"

namespace gs::net {
namespace {

// Out of 64 KiB that were sent, the front of a buffer is given up.
constexpr size_t kCompactAt = 64 * 1024;
// Frames that the peer makes us answer (PING, SETTINGS) and that wait for the connection.
constexpr size_t kMaxOutboundAcks = 256;
constexpr size_t kMaxSettings = 64;
// Frames of any kind that wait for the connection: a thousand streams have some of each. More is a peer
// that makes us talk (opens and resets streams) and does not listen.
constexpr size_t kMaxOutboundFrames = 8192;

}  // namespace

nghttp2_nv http2_field(std::string_view name, std::string_view value) {
  // nghttp2 copies both; its structure merely lacks the const.
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

Http2Stream::Http2Stream(Http2Session& session)
    : session_(&session), readers_(session.loop_), writers_(session.loop_) {}

Http2Stream::~Http2Stream() {
  if (session_ == nullptr || session_->over() || id_ == 0) return;
  nghttp2_session* raw = session_->session_;
  if (!closed_) {
    nghttp2_session_set_stream_user_data(raw, id_, nullptr);
    nghttp2_submit_rst_stream(raw, NGHTTP2_FLAG_NONE, id_, reset_code_);
  }
  if (!in_.empty()) nghttp2_session_consume(raw, id_, in_.size());
  session_->schedule_flush();
}

void Http2Stream::set_error(Error error) {
  if (!error_) error_ = std::make_unique<Error>(std::move(error));
  readers_.wake_all();
  writers_.wake_all();
}

std::string Http2Stream::take() {
  std::string bytes = std::exchange(in_, {});
  if (session_ != nullptr && !session_->over()) {
    nghttp2_session_consume(session_->session_, id_, bytes.size());
    if (nghttp2_session_want_write(session_->session_) != 0) session_->schedule_flush();
  }
  return bytes;
}

Task<Result<std::string>> Http2Stream::read_some(MonoTime deadline) {
  while (in_.empty() && !in_ended_ && !error_) {
    const bool woken = co_await readers_.wait(deadline);
    if (!woken) co_return fail(Code::kDeadlineExceeded, "no data in time");
  }
  if (!in_.empty()) co_return take();
  if (!in_ended_) co_return fail(Error(*error_));
  co_return std::string();
}

void Http2Stream::put(std::string_view bytes) {
  if (session_ == nullptr || closed_ || out_ended_) return;
  out_.append(bytes);
  if (out_deferred_) {
    out_deferred_ = false;
    nghttp2_session_resume_data(session_->session_, id_);
  }
  session_->schedule_flush();
}

void Http2Stream::put_end(const Headers& trailers) {
  if (session_ == nullptr || closed_ || out_ended_) return;
  out_trailers_ = trailers;
  put({});
  out_ended_ = true;
}

Task<Status> Http2Stream::wait_waiting(size_t at_most, MonoTime deadline) {
  while (waiting() > at_most && !error_ && !closed_) {
    const bool woken = co_await writers_.wait(deadline);
    if (!woken) co_return fail(Code::kDeadlineExceeded, "peer did not take the data in time");
  }
  if (error_) co_return fail(Error(*error_));
  co_return ok();
}

// nghttp2 asks for the next DATA frame's payload.
ssize_t Http2Stream::produce(uint8_t* buffer, size_t length, uint32_t* flags) {
  const size_t size = std::min(length, waiting());
  if (size == 0 && !out_ended_) {
    out_deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  std::memcpy(buffer, out_.data() + out_taken_, size);
  out_taken_ += size;
  if (waiting() == 0) {
    out_taken_ = 0;
    out_ = std::string();
    if (out_ended_) *flags |= NGHTTP2_DATA_FLAG_EOF;
  } else if (out_taken_ >= kCompactAt && out_taken_ * 2 >= out_.size()) {
    out_.erase(0, out_taken_);
    out_taken_ = 0;
  }
  if (!writers_.empty() && waiting() <= ByteStream::kHighWater / 2) writers_.wake_all();
  if ((*flags & NGHTTP2_DATA_FLAG_EOF) != 0 && !out_trailers_.empty()) {
    std::vector<nghttp2_nv> fields;
    for (const Header& header : out_trailers_) fields.push_back(http2_field(header.name, header.value));
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session_->session_, id_, fields.data(), fields.size());
  }
  return static_cast<ssize_t>(size);
}

struct Http2Session::Callbacks {
  static Http2Session& self(void* user) { return *static_cast<Http2Session*>(user); }
  static Http2Stream* stream(nghttp2_session* raw, int32_t id) {
    return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(raw, id));
  }
  static std::string_view view(const uint8_t* data, size_t size) {
    return {reinterpret_cast<const char*>(data), size};
  }

  static int begin_headers(nghttp2_session* raw, const nghttp2_frame* frame, void* user) {
    const int32_t id = frame->hd.stream_id;
    Http2Stream* known = stream(raw, id);
    if (known == nullptr && self(user).options_.server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      known = self(user).stream_arrived(id);
      if (known == nullptr) {
        nghttp2_submit_rst_stream(raw, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
        ++self(user).active_;  // stream_close takes it off again
        return 0;
      }
      self(user).adopt(*known, id);
      nghttp2_session_set_stream_user_data(raw, id, known);
    }
    if (known != nullptr) known->headers_begin();
    return 0;
  }

  static int header(nghttp2_session* raw, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void*) {
    Http2Stream* s = stream(raw, frame->hd.stream_id);
    if (s == nullptr) return 0;
    return s->header(view(name, name_size), view(value, value_size)) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int frame_received(nghttp2_session* raw, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_GOAWAY) self(user).goaway_received();
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) self(user).ping_acknowledged();
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Http2Stream* s = stream(raw, frame->hd.stream_id);
    if (s == nullptr) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      s->in_ended_ = true;
      s->readers_.wake_all();
    }
    if (frame->hd.type == NGHTTP2_HEADERS) s->headers_end();
    return 0;
  }

  static int data(nghttp2_session* raw, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void*) {
    Http2Stream* s = stream(raw, id);
    if (s == nullptr) {
      nghttp2_session_consume(raw, id, size);  // nobody will: keep the connection's window open
      return 0;
    }
    s->in_.append(view(bytes, size));
    s->readers_.wake_all();
    return 0;
  }

  static int frame_sent(nghttp2_session* raw, const nghttp2_frame* frame, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Http2Stream* s = stream(raw, frame->hd.stream_id);
    if (s == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) s->headers_sent();
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      s->local_ended_ = true;
      s->writers_.wake_all();
    }
    return 0;
  }

  static int stream_close(nghttp2_session* raw, int32_t id, uint32_t code, void* user) {
    Http2Session& session = self(user);
    if (session.active_ > 0) --session.active_;
    if (Http2Stream* s = stream(raw, id); s != nullptr) {
      s->closed_ = true;
      s->closed(code);
      s->readers_.wake_all();
      s->writers_.wake_all();
    }
    session.stream_closed();
    return 0;
  }

  static int problem(nghttp2_session*, int, const char* text, size_t size, void* user) {
    self(user).problem_.assign(text, std::min<size_t>(size, 200));
    return 0;
  }

  static ssize_t read(nghttp2_session* raw, int32_t id, uint8_t* buffer, size_t length, uint32_t* flags,
                      nghttp2_data_source*, void*) {
    Http2Stream* s = stream(raw, id);
    return s == nullptr ? ssize_t{NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE} : s->produce(buffer, length, flags);
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* c = nullptr;
    GS_CHECK(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_close);
    nghttp2_session_callbacks_set_error_callback2(c, problem);
    return c;
  }
};

Http2Session::Http2Session(Loop& loop, ByteStream& transport, const Http2SessionOptions& options)
    : loop_(loop),
      transport_(transport),
      options_(options),
      liveness_(loop, [this] { liveness_due(); }),
      last_read_(loop.now()) {
  nghttp2_option* tuning = nullptr;
  GS_CHECK(nghttp2_option_new(&tuning) == 0);
  nghttp2_option_set_no_auto_window_update(tuning, 1);
  nghttp2_option_set_no_closed_streams(tuning, 1);
  nghttp2_option_set_max_reserved_remote_streams(tuning, 0);  // no pushes, even before SETTINGS say so
  nghttp2_option_set_max_outbound_ack(tuning, kMaxOutboundAcks);
  nghttp2_option_set_max_settings(tuning, kMaxSettings);
  nghttp2_option_set_max_deflate_dynamic_table_size(tuning, options.hpack_table_bytes);
  nghttp2_session_callbacks* callbacks = Callbacks::make();
  const int rc = options.server ? nghttp2_session_server_new3(&session_, callbacks, this, tuning, memory_.get())
                                : nghttp2_session_client_new3(&session_, callbacks, this, tuning, memory_.get());
  GS_CHECK(rc == 0);
  memory_.session_made();
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(tuning);

  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.max_header_bytes},
      {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options.hpack_table_bytes}};
  if (!options.server) settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  if (options.max_concurrent_streams != 0) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams});
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(options.connection_window));
  if (options.ping_after > Duration::zero()) liveness_.arm_after(options.ping_after);
  schedule_flush();
}

Http2Session::~Http2Session() {
  while (!streams_.empty()) {
    Http2Stream& stream = streams_.front();
    stream.unlink();
    stream.session_ = nullptr;
  }
  nghttp2_session_del(session_);
}

nghttp2_data_provider Http2Session::body_provider() {
  nghttp2_data_provider provider{};
  provider.read_callback = &Callbacks::read;
  return provider;
}

void Http2Session::adopt(Http2Stream& stream, int32_t id) {
  stream.id_ = id;
  streams_.push_back(stream);
  ++active_;
}

void Http2Session::feed(std::string_view bytes) {
  if (over()) return;
  last_read_ = loop_.now();
  const ssize_t used =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (used < 0) {
    const char* text = nghttp2_strerror(static_cast<int>(used));
    return fail_session(Error(Code::kInternal, fmt::format("HTTP/2: {}", text)));
  }
  if (nghttp2_session_get_outbound_queue_size(session_) > kMaxOutboundFrames) {
    return fail_session(Error(Code::kInternal, "HTTP/2: the peer causes more frames than it reads"));
  }
  if (nghttp2_session_want_write(session_) != 0 || nghttp2_session_want_read(session_) == 0) schedule_flush();
}

void Http2Session::turn_ended() {
  if (over()) return;
  before_flush();
  // Above the high-water mark the rest waits for on_drained().
  while (transport_.buffered() <= ByteStream::kHighWater) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) {
      const char* text = nghttp2_strerror(static_cast<int>(size));
      return fail_session(Error(Code::kInternal, fmt::format("HTTP/2: {}", text)));
    }
    if (size == 0) break;
    transport_.write({reinterpret_cast<const char*>(data), static_cast<size_t>(size)});
  }
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) {
    if (problem_.empty()) return fail_session(Error(Code::kUnavailable, "HTTP/2: connection finished"));
    fail_session(Error(Code::kInternal, fmt::format("HTTP/2: {}", problem_)));
  }
}

void Http2Session::fail_session(const Error& why) {
  if (over()) return;
  nghttp2_session_del(std::exchange(session_, nullptr));
  liveness_.disarm();
  active_ = 0;
  while (!streams_.empty()) {
    Http2Stream& stream = streams_.front();
    stream.unlink();
    stream.session_ = nullptr;
    if (stream.closed_) continue;
    stream.closed_ = true;
    stream.lost(why);
    stream.readers_.wake_all();
    stream.writers_.wake_all();
  }
  session_over(why);
}

void Http2Session::liveness_due() {
  if (over()) return;
  const MonoTime now = loop_.now();
  if (ping_sent_ != kNoDeadline && last_read_ < ping_sent_ && !mutated(Mutation::kDeadConnectionKept)) {
    return fail_session(Error(Code::kUnavailable, "HTTP/2: no answer to a PING; the connection is dead"));
  }
  ping_sent_ = kNoDeadline;
  if (now - last_read_ < options_.ping_after) return liveness_.arm_at(last_read_ + options_.ping_after);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  ping_sent_ = now;
  liveness_.arm_after(options_.ping_timeout);
  schedule_flush();
}

}  // namespace gs::net
