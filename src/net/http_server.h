// An HTTP server over accepted ByteStreams: HTTP/2 by ALPN or by its preface, HTTP/1.1 otherwise.
// One coroutine of the handler per exchange. All of it lives on one loop.
//
// What a client can make the server hold is bounded: heads by max_header_bytes, bodies by flow control
// until the handler takes them, exchanges per connection, connections in number and in idle time.
#pragma once

#include <list>
#include <memory>

#include "net/byte_stream.h"
#include "net/http.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::net {

class ServerExchange;

struct HttpServerOptions {
  size_t max_connections = 10'000;
  uint32_t max_streams = 250;  // at once, per HTTP/2 connection
  size_t max_header_bytes = 64 * 1024;
  // A request that announces a larger body is answered 413. A body of unannounced length is bounded
  // by the handler's read_all().
  uint64_t max_body_bytes = 64 * 1024 * 1024;
  Duration head_timeout = std::chrono::seconds(10);
  // Longer than clients keep connections (Go: 90 s), so that they close them and not we.
  Duration idle_timeout = std::chrono::seconds(180);
  // An answer of which the client takes nothing for so long is given up.
  Duration send_timeout = std::chrono::seconds(60);
  uint32_t stream_window = 256 * 1024;
  uint32_t connection_window = 1 << 20;
  uint32_t hpack_table_bytes = 4096;
  Duration ping_after = std::chrono::seconds(30);
  Duration ping_timeout = std::chrono::seconds(15);
};

class HttpServer final : public Listener::Acceptor {
 public:
  // The handler outlives the server.
  HttpServer(Loop& loop, HttpHandler& handler, HttpServerOptions options = {});
  // Cancels the handlers and drops all connections.
  ~HttpServer();

  void accepted(std::unique_ptr<ByteStream> stream) override;

  // No new connections; GOAWAY or "connection: close" on those there are, and waits for what is in
  // flight. True: all of it ended before the deadline. Destroying the server ends the rest.
  Task<bool> drain(MonoTime deadline);

  size_t connections() const { return connections_.size(); }
  size_t exchanges() const { return scope_.size(); }

 private:
  class Connection;
  class Reaper;
  Task<void> run(std::unique_ptr<ServerExchange> exchange);
  void connection_over();
  void reap();

  Loop& loop_;
  HttpHandler& handler_;
  HttpServerOptions options_;
  bool draining_ = false;
  WaitQueue emptied_;
  std::list<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<Reaper> reaper_;
  TaskScope scope_;
};

}  // namespace gs::net
