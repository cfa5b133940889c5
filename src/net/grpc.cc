#include "net/grpc.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace gs::net {
namespace {

constexpr size_t kFrameHead = 5;
// grpc-message may be as long as headers are; what goes into our errors need not.
constexpr size_t kMaxStatusText = 1024;

Result<std::string> inflate_gzip(std::string_view bytes, size_t limit) {
  z_stream z{};
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) return fail(Code::kInternal, "gRPC: zlib failed");
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int rc = Z_OK;
  while (rc == Z_OK && out.size() <= limit) {
    const size_t before = out.size();
    const size_t room = std::clamp<size_t>(before, 4096, 256 * 1024);
    out.resize(before + room);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    z.avail_out = static_cast<uInt>(room);
    rc = inflate(&z, Z_NO_FLUSH);
    out.resize(before + room - z.avail_out);
    if (rc == Z_OK && out.size() == before) rc = Z_BUF_ERROR;  // no progress: it is cut short
  }
  const bool all = z.avail_in == 0;
  inflateEnd(&z);
  if (out.size() > limit) return fail(Code::kTooLarge, "gRPC: message inflates to more than {} bytes", limit);
  if (rc != Z_STREAM_END || !all) return fail(Code::kInternal, "gRPC: compressed message is broken");
  return out;
}

// Percent-encoding as grpc-message has it: printable ASCII but '%' stays.
std::string encode_status_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && u < 0x7F && c != '%') {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", u);
    }
  }
  return out;
}

Error status_error(GrpcCode code, std::string_view text) {
  const std::string decoded = percent_decode(text, false).value_or(std::string(text));
  return Error(code_of_grpc(code), fmt::format("gRPC status {}: {}", static_cast<int>(code),
                                               truncate_utf8(decoded, kMaxStatusText)));
}

// The status in headers or trailers; nullopt where there is none.
std::optional<Status> status_in(const Headers& headers) {
  const std::string* code = find_header(headers, "grpc-status");
  if (code == nullptr) return std::nullopt;
  const std::string* message = find_header(headers, "grpc-message");
  const uint64_t number = parse_uint(*code).value_or(UINT64_MAX);
  if (number == 0) return ok();
  const GrpcCode known = number <= 16 ? static_cast<GrpcCode>(number) : GrpcCode::kUnknown;
  return fail(status_error(known, message != nullptr ? std::string_view(*message) : std::string_view()));
}

// doc/http-grpc-status-mapping.md, for answers that are not gRPC's.
Error http_error(int status) {
  Code code = Code::kInternal;
  switch (status) {
    case 401: code = Code::kUnauthorized; break;
    case 403: code = Code::kForbidden; break;
    case 404: code = Code::kUnsupported; break;
    case 429: case 502: case 503: case 504: code = Code::kUnavailable; break;
    default: break;
  }
  Error error(code, fmt::format("gRPC: the server answered with HTTP status {}", status));
  error.http_status = status;
  return error;
}

bool is_grpc_type(const std::string* type) {
  return type != nullptr && (*type == "application/grpc" || type->starts_with("application/grpc+") ||
                             type->starts_with("application/grpc;"));
}

Status check_encoding(const Headers& headers) {
  const std::string* encoding = find_header(headers, "grpc-encoding");
  if (encoding == nullptr || *encoding == "identity" || *encoding == "gzip") return ok();
  return fail(Code::kUnsupported, "gRPC: message encoding \"{}\" is not supported", truncate_utf8(*encoding, 64));
}

// At most eight digits and a unit.
std::string timeout_text(Duration left) {
  const int64_t ms = std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(left).count());
  if (ms < 100'000'000) return fmt::format("{}m", ms);
  return fmt::format("{}S", std::min<int64_t>(ms / 1000, 99'999'999));
}

void put_frame(std::string& out, std::string_view message) {
  const auto size = static_cast<uint32_t>(message.size());
  const char head[kFrameHead] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                                 static_cast<char>(size >> 8), static_cast<char>(size)};
  out.reserve(kFrameHead + message.size());
  out.append(head, kFrameHead).append(message);
}

Status check_size(std::string_view message) {
  if (message.size() <= kMaxGrpcMessage) return ok();
  return fail(Code::kTooLarge, "gRPC: message of {} bytes; at most {} are sent", message.size(), kMaxGrpcMessage);
}

}  // namespace

Code code_of_grpc(GrpcCode code) {
  switch (code) {
    case GrpcCode::kCancelled: return Code::kCancelled;
    case GrpcCode::kInvalidArgument: return Code::kInvalid;
    case GrpcCode::kDeadlineExceeded: return Code::kDeadlineExceeded;
    case GrpcCode::kNotFound: return Code::kNotFound;
    case GrpcCode::kAlreadyExists: return Code::kAlreadyExists;
    case GrpcCode::kPermissionDenied: return Code::kForbidden;
    case GrpcCode::kResourceExhausted: return Code::kTooManyRequests;
    case GrpcCode::kFailedPrecondition: return Code::kInvalid;
    case GrpcCode::kAborted: return Code::kConflict;
    case GrpcCode::kOutOfRange: return Code::kInvalid;
    case GrpcCode::kUnimplemented: return Code::kUnsupported;
    case GrpcCode::kUnavailable: return Code::kUnavailable;
    case GrpcCode::kUnauthenticated: return Code::kUnauthorized;
    case GrpcCode::kOk:
    case GrpcCode::kUnknown:
    case GrpcCode::kInternal:
    case GrpcCode::kDataLoss: return Code::kInternal;
  }
  return Code::kInternal;
}

GrpcCode grpc_code_of(Code code) {
  switch (code) {
    case Code::kCancelled: return GrpcCode::kCancelled;
    case Code::kDeadlineExceeded: return GrpcCode::kDeadlineExceeded;
    case Code::kUnavailable: return GrpcCode::kUnavailable;
    case Code::kUnknownOutcome: return GrpcCode::kUnknown;
    case Code::kUnauthorized: return GrpcCode::kUnauthenticated;
    case Code::kForbidden: return GrpcCode::kPermissionDenied;
    case Code::kNotFound: return GrpcCode::kNotFound;
    case Code::kAlreadyExists: return GrpcCode::kAlreadyExists;
    case Code::kConflict: return GrpcCode::kAborted;
    case Code::kExpired: return GrpcCode::kOutOfRange;
    case Code::kInvalid: return GrpcCode::kInvalidArgument;
    case Code::kTooManyRequests: return GrpcCode::kResourceExhausted;
    case Code::kTooLarge: return GrpcCode::kResourceExhausted;
    case Code::kUnsupported: return GrpcCode::kUnimplemented;
    case Code::kInternal: return GrpcCode::kInternal;
  }
  return GrpcCode::kUnknown;
}

std::string grpc_frame(std::string_view message) {
  std::string out;
  put_frame(out, message);
  return out;
}

void GrpcFrameDecoder::feed(std::string_view bytes) {
  // What was taken is dropped here, once for many messages.
  if (taken_ > 0) buffer_.erase(0, std::exchange(taken_, 0));
  buffer_.append(bytes);
}

Result<std::optional<std::string>> GrpcFrameDecoder::next() {
  const std::string_view rest = std::string_view(buffer_).substr(taken_);
  if (rest.empty()) {
    buffer_ = std::string();  // an idle stream holds nothing
    taken_ = 0;
    return std::nullopt;
  }
  if (rest.size() < kFrameHead) return std::nullopt;
  size_t size = 0;
  for (size_t i = 1; i < kFrameHead; ++i) size = size << 8 | static_cast<unsigned char>(rest[i]);
  const char flag = rest[0];
  if (flag != 0 && flag != 1) return fail(Code::kInternal, "gRPC: frame with flag {}", static_cast<int>(flag));
  if (size > max_message_) {
    return fail(Code::kTooLarge, "gRPC: message of {} bytes; at most {} are taken", size, max_message_);
  }
  if (rest.size() - kFrameHead < size) return std::nullopt;
  const std::string_view message = rest.substr(kFrameHead, size);
  taken_ += kFrameHead + size;
  if (flag == 0) return std::string(message);
  GS_TRY(std::string inflated, inflate_gzip(message, max_message_));
  return inflated;
}

Result<std::unique_ptr<GrpcClientStream>> GrpcClientStream::open(Loop& loop, HttpConnection& connection,
                                                                 const std::string& authority,
                                                                 const std::string& path, const Headers& metadata,
                                                                 MonoTime deadline) {
  HttpRequest request("POST", path);
  request.authority = authority;
  request.headers.reserve(metadata.size() + 5);
  if (deadline != kNoDeadline) {
    const Duration left = deadline - loop.now();
    if (left <= Duration::zero()) return fail(Code::kDeadlineExceeded, "gRPC: deadline exceeded");
    request.headers.emplace_back("grpc-timeout", timeout_text(left));
  }
  request.headers.emplace_back("te", "trailers");
  request.headers.emplace_back("content-type", "application/grpc+proto");
  request.headers.emplace_back("grpc-accept-encoding", "identity,gzip");
  if (find_header(metadata, "user-agent") == nullptr) request.headers.emplace_back("user-agent", "gulfstream");
  for (const Header& header : metadata) request.headers.push_back(header);
  GS_TRY(auto stream, connection.open(request, true));
  return std::unique_ptr<GrpcClientStream>(new GrpcClientStream(std::move(stream), deadline));
}

Status GrpcClientStream::send(std::string_view message) {
  GS_TRY_STATUS(check_size(message));
  stream_->write(grpc_frame(message));
  return ok();
}

Task<Status> GrpcClientStream::read_head(MonoTime deadline) {
  GS_CO_TRY(const HttpHead head, co_await stream_->head(deadline));
  head_read_ = true;
  // Trailers-only: the status is in the head, and nothing follows.
  if (auto status = status_in(head.headers); status && !*status) co_return fail(status->error());
  const std::string* type = find_header(head.headers, "content-type");
  if (head.status != 200) co_return fail(http_error(head.status));
  if (!is_grpc_type(type)) {
    const std::string shown = type != nullptr ? truncate_utf8(*type, 64) : std::string();
    co_return fail(Code::kInternal, "gRPC: the server answered with content type \"{}\"", shown);
  }
  if (status_in(head.headers)) end_in_head_ = true;
  co_return check_encoding(head.headers);
}

Result<std::optional<std::string>> GrpcClientStream::ended() const {
  if (!decoder_.empty()) return fail(Code::kInternal, "gRPC: the stream ended in the middle of a message");
  if (end_in_head_) return std::nullopt;
  const std::optional<Status> status = status_in(stream_->trailers());
  if (!status) return fail(Code::kInternal, "gRPC: the stream ended without a status");
  if (!*status) return fail(status->error());
  return std::nullopt;
}

Task<Result<std::optional<std::string>>> GrpcClientStream::receive(MonoTime deadline) {
  const MonoTime until = std::min(deadline, deadline_);
  if (broken_) co_return fail(Error(*broken_));
  if (!head_read_) {
    const Status status = co_await read_head(until);
    if (!status) {
      if (head_read_) broken_ = status.error();
      co_return fail(status.error());
    }
  }
  while (true) {
    auto message = decoder_.next();
    if (!message) broken_ = message.error();
    if (!message || *message) co_return message;
    auto bytes = co_await stream_->read(until);
    if (!bytes) co_return fail(std::move(bytes).error());
    if (bytes->empty()) co_return ended();
    decoder_.feed(*bytes);
  }
}

bool GrpcServerStream::matches(const HttpRequest& request) {
  return request.method == "POST" && is_grpc_type(find_header(request.headers, "content-type"));
}

void GrpcServerStream::start() {
  if (std::exchange(started_, true)) return;
  HttpHead head(200);
  head.headers.emplace_back("content-type", "application/grpc+proto");
  head.headers.emplace_back("grpc-accept-encoding", "identity,gzip");
  exchange_.start(head);
}

Task<Result<std::optional<std::string>>> GrpcServerStream::receive(MonoTime deadline) {
  GS_CO_TRY_STATUS(check_encoding(exchange_.request().headers));
  while (true) {
    auto message = decoder_.next();
    if (!message || *message) co_return message;
    auto bytes = co_await exchange_.read(deadline);
    if (!bytes) co_return fail(std::move(bytes).error());
    if (bytes->empty()) {
      if (!decoder_.empty()) co_return fail(Code::kInternal, "gRPC: the stream ended in the middle of a message");
      co_return std::nullopt;
    }
    decoder_.feed(*bytes);
  }
}

// Not a coroutine itself: the frame is made before anything suspends, so `message` need not live on.
Task<Status> GrpcServerStream::send(std::string_view message, MonoTime deadline) {
  start();
  // An empty frame stands for a message that is too large; a real frame is never empty.
  return write(check_size(message) ? grpc_frame(message) : std::string(), deadline);
}

Task<Status> GrpcServerStream::write(std::string frame, MonoTime deadline) {
  if (frame.empty()) co_return fail(Code::kTooLarge, "gRPC: message of more than {} bytes", kMaxGrpcMessage);
  co_return co_await exchange_.write(std::move(frame), deadline);
}

void GrpcServerStream::finish(GrpcCode code, std::string_view message) {
  Headers status;
  status.emplace_back("grpc-status", std::to_string(static_cast<int>(code)));
  if (!message.empty()) {
    status.emplace_back("grpc-message", encode_status_text(truncate_utf8(message, kMaxStatusText)));
  }
  if (started_) return exchange_.finish(status);
  started_ = true;
  HttpHead head(200);
  head.headers = std::move(status);
  head.headers.emplace_back("content-type", "application/grpc+proto");
  exchange_.respond(head, {});
}

}  // namespace gs::net
