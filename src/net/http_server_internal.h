// Between HttpServer and the two protocols that it serves. Internal to src/net.
#pragma once

#include <memory>

#include "net/byte_stream.h"
#include "net/http.h"
#include "net/http_server.h"

namespace gs::net {

class ServerExchange : public HttpExchange {
 public:
  // Answered by the server itself; no handler is asked.
  virtual bool answered() const = 0;
  // The handler returned. Completes the answer where it did not; ends when nothing is left to send.
  virtual Task<void> settle() = 0;
};

// A connection, as its protocol sees it.
class ServerConnection {
 public:
  virtual Loop& loop() = 0;
  virtual ByteStream& stream() = 0;
  virtual const HttpServerOptions& options() const = 0;
  virtual const std::vector<std::string>& client_subject() const = 0;
  virtual void serve(std::unique_ptr<ServerExchange> exchange) = 0;
  // timed_out() comes after `delay`, once; asking again replaces it.
  virtual void set_timeout(Duration delay) = 0;
  virtual void clear_timeout() = 0;
  // Sends what is buffered and closes. The protocol is destroyed later.
  virtual void finished() = 0;

 protected:
  ~ServerConnection() = default;
};

class ServerProtocol {
 public:
  virtual ~ServerProtocol() = default;
  virtual void on_data(std::string_view bytes) = 0;
  virtual void on_closed(const Error& why) = 0;
  virtual void on_drained() = 0;
  virtual void timed_out() = 0;
  virtual void drain() = 0;
};

std::unique_ptr<ServerProtocol> make_http1_server(ServerConnection& connection);
std::unique_ptr<ServerProtocol> make_http2_server(ServerConnection& connection);

}  // namespace gs::net
