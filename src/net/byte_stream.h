// ByteStream: a connected, full-duplex stream of bytes. TCP, TLS over another stream, a proxied
// connection and the simulated network all are one. Lives on one loop.
//
// Reading is by push, from a receive buffer that belongs to the loop: an idle connection holds none.
// Writing never blocks: bytes are buffered and go out once at the end of the turn, so that all that
// a turn produced for a connection is one write. Whoever writes watches buffered().
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "runtime/task.h"

namespace gs::net {

class ByteStream {
 public:
  class Handler {
   public:
    // The bytes are valid during the call only. The stream may be destroyed from inside the call.
    virtual void on_data(std::string_view bytes) = 0;
    // The peer finished (kUnavailable, message "connection closed by peer") or the connection failed.
    // The last call of all; never called from inside a method of the stream.
    virtual void on_closed(const Error& why) = 0;
    // buffered() fell to zero after having been above kHighWater.
    virtual void on_drained() {}

   protected:
    ~Handler() = default;
  };

  static constexpr size_t kHighWater = 256 * 1024;

  // Destroying a stream aborts it: nothing is called any more, unsent bytes are lost.
  virtual ~ByteStream() = default;

  // Begins reading. Called once, before anything else; `handler` outlives the stream.
  virtual void start(Handler& handler) = 0;
  virtual void write(std::string_view bytes) = 0;
  // Bytes written and not yet taken by the kernel (or the layer below).
  virtual size_t buffered() const = 0;
  // Back-pressure: no on_data between pause() and resume().
  virtual void pause() = 0;
  virtual void resume() = 0;
  // Sends what is buffered, then the end of stream (TLS: close_notify). Reading goes on.
  virtual void shutdown() = 0;
  // "h2", "http/1.1" or empty: what TLS's ALPN chose.
  virtual std::string_view alpn() const { return {}; }
  // Numeric address of the peer, for logs and rules; empty in a simulation without one.
  virtual std::string peer_address() const { return {}; }
};

// Where to dial. Names are resolved at each dial.
struct Endpoint {
  Endpoint(std::string h, uint16_t p) : host(std::move(h)), port(p) {}
  std::string host;  // a DNS name or a numeric address (IPv6 without brackets)
  uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

// Opens connections: to the real network, the simulated one, through TLS or a proxy.
class Connector {
 public:
  virtual ~Connector() = default;
  // Errors: kUnavailable (refused, unreachable, name not found), kDeadlineExceeded, kForbidden (a
  // destination that the rules refuse), kUnauthorized (TLS: certificate not trusted).
  virtual Task<Result<std::unique_ptr<ByteStream>>> connect(Endpoint endpoint, MonoTime deadline) = 0;
};

// Accepts connections until destroyed.
class Listener {
 public:
  class Acceptor {
   public:
    virtual void accepted(std::unique_ptr<ByteStream> stream) = 0;

   protected:
    ~Acceptor() = default;
  };
  virtual ~Listener() = default;
  virtual uint16_t port() const = 0;
};

}  // namespace gs::net
