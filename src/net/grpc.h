// gRPC's framing over HTTP/2, both ends: what one bidirectional stream of messages needs.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace gs::net {

inline constexpr size_t kMaxGrpcMessage = 4 * 1024 * 1024;

enum class GrpcCode {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

Code code_of_grpc(GrpcCode code);
GrpcCode grpc_code_of(Code code);

// A message with its five bytes of frame head, uncompressed.
std::string grpc_frame(std::string_view message);

// Cuts a stream of bytes into messages; inflates those that are compressed with gzip. Pure.
class GrpcFrameDecoder {
 public:
  explicit GrpcFrameDecoder(size_t max_message = kMaxGrpcMessage) : max_message_(max_message) {}
  void feed(std::string_view bytes);
  // The next whole message, or nullopt. kTooLarge: a message, or what it inflates to, over the limit.
  // After an error nothing more is to be expected.
  Result<std::optional<std::string>> next();
  // Nothing of an unfinished message is held.
  bool empty() const { return taken_ == buffer_.size(); }

 private:
  size_t max_message_;
  std::string buffer_;
  size_t taken_ = 0;
};

// Client's side of a call.
class GrpcClientStream {
 public:
  // Sends the request's head. `deadline` is the whole call's and is told to the server; kNoDeadline
  // for streams that live. Metadata in lower case; -bin values are the caller's to encode.
  static Result<std::unique_ptr<GrpcClientStream>> open(Loop& loop, HttpConnection& connection,
                                                        const std::string& authority, const std::string& path,
                                                        const Headers& metadata, MonoTime deadline);

  // Buffers a message. kTooLarge above kMaxGrpcMessage. The caller watches unsent().
  Status send(std::string_view message);
  size_t unsent() const { return stream_->unsent(); }
  Task<Status> wait_unsent(size_t at_most, MonoTime deadline) { return stream_->wait_unsent(at_most, deadline); }
  void close_send() { stream_->end(); }

  // The next message; nullopt is the end with status OK; an error is the call's status or what broke
  // it. Messages that came before the error are given first.
  Task<Result<std::optional<std::string>>> receive(MonoTime deadline = kNoDeadline);

  bool may_have_been_processed() const { return stream_->may_have_been_processed(); }

 private:
  GrpcClientStream(std::unique_ptr<HttpStream> stream, MonoTime deadline)
      : stream_(std::move(stream)), deadline_(deadline) {}
  Task<Status> read_head(MonoTime deadline);
  Result<std::optional<std::string>> ended() const;

  std::unique_ptr<HttpStream> stream_;
  MonoTime deadline_;
  GrpcFrameDecoder decoder_;
  bool head_read_ = false;
  bool end_in_head_ = false;  // trailers-only with status OK
  std::optional<Error> broken_;
};

// Server's side of a call, within a handler's coroutine.
class GrpcServerStream {
 public:
  // The exchange outlives it.
  explicit GrpcServerStream(HttpExchange& exchange) : exchange_(exchange) {}

  // Is it gRPC that this client speaks?
  static bool matches(const HttpRequest& request);
  const std::string& path() const { return exchange_.request().target; }
  const Headers& metadata() const { return exchange_.request().headers; }

  Task<Result<std::optional<std::string>>> receive(MonoTime deadline = kNoDeadline);
  Task<Status> send(std::string_view message, MonoTime deadline = kNoDeadline);
  // Head without a message, for clients that wait for it.
  void start();
  // Ends the call; trailers only where nothing was sent. `message` may hold any text.
  void finish(GrpcCode code, std::string_view message = {});

 private:
  Task<Status> write(std::string frame, MonoTime deadline);
  HttpExchange& exchange_;
  GrpcFrameDecoder decoder_;
  bool started_ = false;
};

}  // namespace gs::net
