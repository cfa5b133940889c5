#include "net/tcp.h"

#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/log.h"
#include "net/stream_errors.h"
#include "runtime/sync.h"

namespace gs::net {
namespace {

constexpr Duration kStagger = std::chrono::milliseconds(250);
constexpr unsigned kKeepAliveSeconds = 30;
constexpr int kBacklog = 1024;
constexpr size_t kReadBuffer = 64 * 1024;

// One per loop's thread, valid only during a read callback.
thread_local char t_read_buffer[kReadBuffer];

// libuv writes without MSG_NOSIGNAL: a peer that went away must be an error, not the process' end.
void ignore_broken_pipes() {
  static const bool kOnce = [] {
    struct sigaction present {};
    sigaction(SIGPIPE, nullptr, &present);
    if (present.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
    return true;
  }();
  static_cast<void>(kOnce);
}

using ByteStreamResult = Result<std::unique_ptr<ByteStream>>;

std::string address_of(const sockaddr_storage& storage) {
  const auto ip = IpAddress::from_sockaddr(reinterpret_cast<const sockaddr&>(storage));
  return ip ? ip->to_string() : std::string();
}

// A connected socket. The handle belongs to the loop: closing it finishes after this object is gone.
class TcpStream final : public ByteStream, private TurnEndHook {
 public:
  TcpStream(UvLoop& loop, uv_tcp_t* handle) : loop_(loop), handle_(handle) {
    ignore_broken_pipes();
    handle_->data = this;
    uv_tcp_nodelay(handle_, 1);
    uv_tcp_keepalive(handle_, 1, kKeepAliveSeconds);
  }
  ~TcpStream() override {
    handle_->data = nullptr;
    UvLoop::close_and_delete(handle_);
  }

  void start(Handler& handler) override {
    handler_ = &handler;
    set_reading(true);
  }
  void write(std::string_view bytes) override {
    if (bytes.empty() || write_failed_ || shutdown_wanted_) return;
    out_.append(bytes);
    above_high_water_ |= buffered() > kHighWater;
    loop_.at_turn_end(*this);
  }
  size_t buffered() const override { return out_.size() + queued_; }
  void pause() override {
    paused_ = true;
    set_reading(false);
  }
  void resume() override {
    paused_ = false;
    if (write_failed_) loop_.at_turn_end(*this);
    set_reading(true);
  }
  void shutdown() override {
    if (shutdown_wanted_) return;
    shutdown_wanted_ = true;
    loop_.at_turn_end(*this);
  }
  std::string peer_address() const override {
    sockaddr_storage storage{};
    int size = sizeof storage;
    if (uv_tcp_getpeername(handle_, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
    return address_of(storage);
  }

 private:
  // Owns the bytes of a write that the kernel did not take at once.
  struct WriteRequest {
    uv_write_t request{};
    std::string bytes;
  };

  uv_stream_t* stream() const { return reinterpret_cast<uv_stream_t*>(handle_); }

  void set_reading(bool on) {
    if (ended_ || handler_ == nullptr) return;
    if (!on) {
      uv_read_stop(stream());
      return;
    }
    const int rc = uv_read_start(
        stream(), [](uv_handle_t*, size_t, uv_buf_t* buffer) { *buffer = uv_buf_init(t_read_buffer, kReadBuffer); },
        [](uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer) {
          auto* self = static_cast<TcpStream*>(handle->data);
          if (self == nullptr || size == 0) return;
          const UvLoop::Activation activation(self->loop_);
          self->read(size, buffer->base);
        });
    if (rc == 0 || rc == UV_EALREADY) return;
    read_error_ = rc;  // said at the end of the turn, not from inside start()
    loop_.at_turn_end(*this);
  }

  void read(ssize_t size, const char* bytes) {
    if (size > 0) {
      handler_->on_data(std::string_view(bytes, static_cast<size_t>(size)));
    } else {
      ended(static_cast<int>(size));
    }
  }

  void ended(int status) {
    if (ended_) return;
    ended_ = true;
    uv_read_stop(stream());
    if (status == UV_EOF && write_error_ != 0) status = write_error_;
    if (status == UV_EOF) {
      handler_->on_closed(closed_by_peer());
    } else {
      handler_->on_closed(Error(Code::kUnavailable, uv_strerror(status)));
    }
  }

  void turn_ended() override {
    if (read_error_ != 0) {
      ended(read_error_);
      return;
    }
    if (queued_ == 0 && !out_.empty()) flush();
    if (write_failed_) {
      // Unless paused, reading tells the failure after what the peer still said.
      if (paused_) ended(write_error_);
      return;
    }
    if (shutdown_wanted_ && queued_ == 0 && !std::exchange(shutdown_sent_, true)) send_shutdown();
    maybe_drained();
  }

  void flush() {
    uv_buf_t buffer = uv_buf_init(out_.data(), static_cast<unsigned>(out_.size()));
    const int written = uv_try_write(stream(), &buffer, 1);
    if (written < 0 && written != UV_EAGAIN) {
      write_broke(written);
      return;
    }
    std::string bytes = std::move(out_);
    out_ = std::string();
    const size_t done = written > 0 ? static_cast<size_t>(written) : 0;
    if (done == bytes.size()) return;
    auto* request = new WriteRequest();
    request->bytes = std::move(bytes);
    queued_ = request->bytes.size() - done;
    uv_buf_t rest = uv_buf_init(request->bytes.data() + done, static_cast<unsigned>(queued_));
    request->request.data = request;
    const int rc = uv_write(&request->request, stream(), &rest, 1, [](uv_write_t* r, int status) {
      const std::unique_ptr<WriteRequest> owned(static_cast<WriteRequest*>(r->data));
      auto* self = static_cast<TcpStream*>(r->handle->data);
      if (self == nullptr) return;
      const UvLoop::Activation activation(self->loop_);
      self->written(status);
    });
    if (rc == 0) return;
    delete request;
    write_broke(rc);
  }

  void written(int status) {
    queued_ = 0;
    if (status < 0) write_broke(status);
    turn_ended();
  }

  void write_broke(int status) {
    write_failed_ = true;
    write_error_ = status;
    queued_ = 0;
    out_ = std::string();
  }

  void send_shutdown() {
    auto* request = new uv_shutdown_t{};
    const int rc = uv_shutdown(request, stream(), [](uv_shutdown_t* r, int) { delete r; });
    if (rc != 0) delete request;
  }

  void maybe_drained() {
    if (buffered() != 0 || !std::exchange(above_high_water_, false) || ended_) return;
    handler_->on_drained();
  }

  UvLoop& loop_;
  uv_tcp_t* handle_;
  Handler* handler_ = nullptr;
  std::string out_;      // written in this turn, or while an earlier write is with libuv
  size_t queued_ = 0;    // with libuv
  int read_error_ = 0;
  int write_error_ = 0;
  bool above_high_water_ = false;
  bool paused_ = false;
  bool ended_ = false;   // on_closed was called
  bool write_failed_ = false;
  bool shutdown_wanted_ = false;
  bool shutdown_sent_ = false;
};

// The attempts of one dial; lives in the frame, its sockets in the loop.
class Dial {
 public:
  Dial(UvLoop& loop, uint16_t port) : loop_(loop), port_(port), changed_(loop) {}
  ~Dial() {
    for (Attempt* attempt : attempts_) abandon(attempt);
    if (winner_ != nullptr) UvLoop::close_and_delete(winner_);
  }
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

  void attempt(const IpAddress& address) {
    auto* attempt = new Attempt();
    attempt->dial = this;
    attempt->address = address.to_string();
    attempt->handle = new uv_tcp_t{};
    attempt->request.data = attempt;
    GS_CHECK(uv_tcp_init(loop_.uv(), attempt->handle) == 0);
    sockaddr_storage target{};
    address.to_sockaddr(port_, target);
    const int rc = uv_tcp_connect(&attempt->request, attempt->handle, reinterpret_cast<sockaddr*>(&target),
                                  [](uv_connect_t* r, int status) { answered(static_cast<Attempt*>(r->data), status); });
    if (rc == 0) {
      attempts_.push_back(attempt);
      return;
    }
    failed(*attempt, rc);
    UvLoop::close_and_delete(attempt->handle);
    delete attempt;
  }

  bool pending() const { return !attempts_.empty(); }
  uv_tcp_t* take_winner() { return std::exchange(winner_, nullptr); }
  bool won() const { return winner_ != nullptr; }
  const std::string& why() const { return why_; }
  Event& changed() { return changed_; }

 private:
  struct Attempt {
    uv_connect_t request{};
    uv_tcp_t* handle = nullptr;
    Dial* dial = nullptr;
    std::string address;
  };

  // libuv answers the request with UV_ECANCELED, which frees it.
  static void abandon(Attempt* attempt) {
    attempt->dial = nullptr;
    UvLoop::close_and_delete(attempt->handle);
  }

  static void answered(Attempt* raw, int status) {
    const std::unique_ptr<Attempt> attempt(raw);
    if (attempt->dial == nullptr) return;
    Dial& dial = *attempt->dial;
    const UvLoop::Activation activation(dial.loop_);
    std::erase(dial.attempts_, raw);
    if (status == 0 && dial.winner_ == nullptr) {
      dial.winner_ = attempt->handle;
    } else {
      if (status != 0) dial.failed(*attempt, status);
      UvLoop::close_and_delete(attempt->handle);
    }
    dial.changed_.set();
  }

  void failed(const Attempt& attempt, int status) {
    if (!why_.empty()) why_ += "; ";
    why_ += fmt::format("{}: {}", attempt.address, uv_strerror(status));
  }

  UvLoop& loop_;
  uint16_t port_;
  Event changed_;
  std::vector<Attempt*> attempts_;
  uv_tcp_t* winner_ = nullptr;
  std::string why_;
};

// Families alternate, so that a broken IPv6 costs one stagger at most.
std::vector<IpAddress> alternate_families(const std::vector<IpAddress>& addresses) {
  std::vector<IpAddress> first;
  std::vector<IpAddress> second;
  for (const auto& address : addresses) {
    (address.is_v4() == addresses.front().is_v4() ? first : second).push_back(address);
  }
  std::vector<IpAddress> mixed;
  for (size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) mixed.push_back(first[i]);
    if (i < second.size()) mixed.push_back(second[i]);
  }
  return mixed;
}

Status drop_forbidden(const DestinationFilter& filter, std::vector<IpAddress>& addresses) {
  Status refusal;
  std::erase_if(addresses, [&](const IpAddress& address) {
    Status verdict = filter.check(address);
    if (verdict) return false;
    refusal = std::move(verdict);
    return true;
  });
  if (addresses.empty()) return refusal;
  return ok();
}

}  // namespace

Task<ByteStreamResult> TcpConnector::connect(Endpoint endpoint, MonoTime deadline) {
  auto resolving = resolver_.resolve(endpoint.host, deadline);
  auto resolved = co_await std::move(resolving);
  if (!resolved) co_return fail(std::move(resolved).error());
  std::vector<IpAddress> addresses = *std::move(resolved);
  if (filter_ != nullptr) {
    Status allowed = drop_forbidden(*filter_, addresses);
    if (!allowed) {
      const std::string where = fmt::format("dial {}", endpoint.host);
      co_return fail(std::move(allowed).error().with_context(where));
    }
  }
  addresses = alternate_families(addresses);

  Dial dial(loop_, endpoint.port);
  size_t next = 0;
  while (!dial.won()) {
    if (next < addresses.size()) dial.attempt(addresses[next++]);
    const bool last = next == addresses.size();
    if (last && !dial.pending()) break;
    if (!last && !dial.pending()) continue;  // failed at once
    const MonoTime until = last ? deadline : std::min(deadline, saturating_add(loop_.now(), kStagger));
    const bool answered = co_await dial.changed().wait(until);
    dial.changed().clear();
    if (!answered && deadline != kNoDeadline && loop_.now() >= deadline) {
      co_return fail(Code::kDeadlineExceeded, "dial {}:{}: deadline exceeded", endpoint.host, endpoint.port);
    }
  }
  if (!dial.won()) {
    co_return fail(Code::kUnavailable, "dial {}:{}: {}", endpoint.host, endpoint.port, dial.why());
  }
  std::unique_ptr<ByteStream> stream = std::make_unique<TcpStream>(loop_, dial.take_winner());
  co_return stream;
}

Result<std::unique_ptr<TcpListener>> TcpListener::listen(UvLoop& loop, const std::string& host, uint16_t port,
                                                         Acceptor& acceptor, bool share_port) {
  std::unique_ptr<TcpListener> listener(new TcpListener(loop, acceptor));
  Status opened = listener->open(host, port, share_port);
  if (!opened) return fail(std::move(opened).error().with_context(fmt::format("listen on {}:{}", host, port)));
  return listener;
}

Status TcpListener::open(const std::string& host, uint16_t port, bool share_port) {
  const auto address = IpAddress::parse(host);
  if (!address) return fail(Code::kInvalid, "not a numeric address");
  sockaddr_storage storage{};
  address->to_sockaddr(port, storage);
  handle_ = new uv_tcp_t{};
  // With a family the socket is made at once, so that it can be told before it is bound.
  GS_CHECK(uv_tcp_init_ex(loop_.uv(), handle_, storage.ss_family) == 0);
  handle_->data = this;
  uv_os_fd_t fd = -1;
  const int on = 1;
  if (share_port && (uv_fileno(reinterpret_cast<uv_handle_t*>(handle_), &fd) != 0 || ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)) {
    return fail(Code::kUnavailable, "the port cannot be shared: {}", std::strerror(errno));
  }
  int rc = uv_tcp_bind(handle_, reinterpret_cast<sockaddr*>(&storage), 0);
  if (rc == 0) {
    rc = uv_listen(reinterpret_cast<uv_stream_t*>(handle_), kBacklog, [](uv_stream_t* server, int status) {
      auto* self = static_cast<TcpListener*>(server->data);
      if (self == nullptr) return;
      const UvLoop::Activation activation(self->loop_);
      self->connection_ready(status);
    });
  }
  if (rc != 0) return fail(Code::kUnavailable, "{}", uv_strerror(rc));
  int size = sizeof storage;
  uv_tcp_getsockname(handle_, reinterpret_cast<sockaddr*>(&storage), &size);
  port_ = ntohs(storage.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(storage).sin_port
                                             : reinterpret_cast<sockaddr_in6&>(storage).sin6_port);
  return ok();
}

TcpListener::~TcpListener() {
  if (handle_ == nullptr) return;
  handle_->data = nullptr;
  UvLoop::close_and_delete(handle_);
}

void TcpListener::connection_ready(int status) {
  if (status < 0) {
    log::warning("accepting a connection failed", {{"error", uv_strerror(status)}});
    return;
  }
  auto* handle = new uv_tcp_t{};
  GS_CHECK(uv_tcp_init(loop_.uv(), handle) == 0);
  if (uv_accept(reinterpret_cast<uv_stream_t*>(handle_), reinterpret_cast<uv_stream_t*>(handle)) != 0) {
    UvLoop::close_and_delete(handle);
    return;
  }
  acceptor_.accepted(std::make_unique<TcpStream>(loop_, handle));
}

}  // namespace gs::net
