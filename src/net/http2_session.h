// What both ends of an HTTP/2 connection share: nghttp2's session over a ByteStream, and a stream's
// two buffers. Internal; only http2*.cc include it.
//
// nghttp2's callbacks only enqueue data and make coroutines ready; users' code never runs inside one.
// All that a turn produced is handed to the ByteStream at the end of the turn.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <optional>
#include <string>

#include "net/byte_stream.h"
#include "net/http.h"
#include "net/http2_memory.h"
#include "runtime/sync.h"

namespace gs::net {

class Http2Session;

// One stream: what was received and not yet taken, what was written and not yet sent. The owner may
// destroy it at any time; a stream that is still open is then reset.
class Http2Stream : public ListNode {
 public:
  explicit Http2Stream(Http2Session& session);
  virtual ~Http2Stream();

 protected:
  friend class Http2Session;

  virtual void headers_begin() = 0;
  // False: too much; the stream is reset.
  virtual bool header(std::string_view name, std::string_view value) = 0;
  virtual void headers_end() = 0;
  // HEADERS of ours went out.
  virtual void headers_sent() {}
  // The stream ended, orderly or not; `code` is HTTP/2's.
  virtual void closed(uint32_t code) = 0;
  // The connection is gone.
  virtual void lost(const Error& why) = 0;

  // Everything received so far; gives its window back.
  std::string take();
  // Next bytes of the body; empty at the end.
  Task<Result<std::string>> read_some(MonoTime deadline);
  void put(std::string_view bytes);
  void put_end(const Headers& trailers);
  size_t waiting() const { return out_.size() - out_taken_; }
  Task<Status> wait_waiting(size_t at_most, MonoTime deadline);
  void set_error(Error error);

  Http2Session* session_;  // null once the connection is gone
  int32_t id_ = 0;         // 0: not a stream yet
  bool closed_ = false;
  bool in_ended_ = false;     // END_STREAM received
  bool local_ended_ = false;  // END_STREAM sent
  bool out_ended_ = false;
  bool out_deferred_ = false;
  uint32_t reset_code_ = NGHTTP2_CANCEL;  // where destruction resets it
  std::string in_;
  std::string out_;
  size_t out_taken_ = 0;
  Headers out_trailers_;
  std::unique_ptr<Error> error_;
  WaitQueue readers_;
  WaitQueue writers_;

 private:
  ssize_t produce(uint8_t* buffer, size_t length, uint32_t* flags);
};

struct Http2SessionOptions {
  bool server = false;
  uint32_t stream_window = 1 << 20;
  uint32_t connection_window = 4 << 20;
  uint32_t hpack_table_bytes = 4096;
  uint32_t max_header_bytes = 64 * 1024;
  uint32_t max_concurrent_streams = 0;  // of the peer; 0: none
  Duration ping_after{0};               // 0: never
  Duration ping_timeout{0};
};

class Http2Session : private TurnEndHook {
 public:
  Http2Session(Loop& loop, ByteStream& transport, const Http2SessionOptions& options);
  virtual ~Http2Session();

  Loop& loop() { return loop_; }
  bool over() const { return session_ == nullptr; }
  nghttp2_session* raw() { return session_; }
  void schedule_flush() { loop_.at_turn_end(*this); }
  static nghttp2_data_provider body_provider();

 protected:
  friend class Http2Stream;

  void feed(std::string_view bytes);
  // Ends the session and tells all streams.
  void fail_session(const Error& why);
  // Registers `stream` under the id that nghttp2 knows it by.
  void adopt(Http2Stream& stream, int32_t id);

  // A request arrives (server): the stream for it, or null to refuse it.
  virtual Http2Stream* stream_arrived(int32_t) { return nullptr; }
  virtual void stream_closed() {}
  virtual void goaway_received() {}
  virtual void ping_acknowledged() {}
  // At the end of a turn, never inside nghttp2: the place for what ends the session.
  virtual void before_flush() {}
  // After fail_session(), or when both sides are done.
  virtual void session_over(const Error& why) = 0;

  Loop& loop_;
  ByteStream& transport_;
  Http2SessionOptions options_;
  Http2Memory memory_;
  nghttp2_session* session_ = nullptr;
  IntrusiveList<Http2Stream> streams_;
  size_t active_ = 0;

 private:
  struct Callbacks;
  void turn_ended() override;
  void liveness_due();

  std::string problem_;  // what nghttp2 said of the peer's last fault
  CallbackTimer liveness_;
  MonoTime last_read_;
  MonoTime ping_sent_ = kNoDeadline;  // kNoDeadline: none outstanding
};

nghttp2_nv http2_field(std::string_view name, std::string_view value);

}  // namespace gs::net
