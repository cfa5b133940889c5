// TCP on the real loop.
#pragma once

#include <memory>
#include <string>

#include "net/byte_stream.h"
#include "net/dns.h"
#include "runtime/uv_loop.h"

namespace gs::net {

// Dials all addresses of a name, the next one 250 ms after the last or as soon as it failed, and
// keeps the first that answers (RFC 8305 in spirit). Outlives its dials, not its streams.
class TcpConnector final : public Connector {
 public:
  // `filter` may be null: nothing is refused.
  TcpConnector(UvLoop& loop, Resolver& resolver, const DestinationFilter* filter)
      : loop_(loop), resolver_(resolver), filter_(filter) {}
  Task<Result<std::unique_ptr<ByteStream>>> connect(Endpoint endpoint, MonoTime deadline) override;

 private:
  UvLoop& loop_;
  Resolver& resolver_;
  const DestinationFilter* filter_;
};

class TcpListener final : public Listener {
 public:
  // `host` is numeric ("127.0.0.1", "::"), port 0 any free one. `acceptor` outlives the listener. `share_port`: several
  // loops of this user may listen there, and the kernel spreads connections over them (SO_REUSEPORT).
  static Result<std::unique_ptr<TcpListener>> listen(UvLoop& loop, const std::string& host, uint16_t port,
                                                     Acceptor& acceptor, bool share_port = false);
  ~TcpListener() override;
  uint16_t port() const override { return port_; }

 private:
  TcpListener(UvLoop& loop, Acceptor& acceptor) : loop_(loop), acceptor_(acceptor) {}
  Status open(const std::string& host, uint16_t port, bool share_port);
  void connection_ready(int status);

  UvLoop& loop_;
  Acceptor& acceptor_;
  uv_tcp_t* handle_ = nullptr;
  uint16_t port_ = 0;
};

}  // namespace gs::net
