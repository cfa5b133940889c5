// An HTTP/2 client connection over any ByteStream.
#pragma once

#include <memory>
#include <string>

#include "net/byte_stream.h"
#include "net/http.h"
#include "runtime/sync.h"

namespace gs::net {

struct Http2ClientOptions {
  std::string scheme = "https";
  // What the server may send before we take it. A connection of an idle fleet takes less.
  uint32_t stream_window = 1 << 20;
  uint32_t connection_window = 4 << 20;
  uint32_t hpack_table_bytes = 4096;
  uint32_t max_header_bytes = 64 * 1024;
  // Upper bound of our own on concurrent exchanges, below the server's.
  size_t max_streams = 1000;
  // Liveness as in client-go: nothing read for this long, then a PING that must be answered.
  // Zero: no PINGs.
  Duration ping_after = std::chrono::seconds(30);
  Duration ping_timeout = std::chrono::seconds(15);
  // Set when the server says that it will end the connection (GOAWAY), for users of long streams.
  // May be null; outlives the connection.
  Event* going_away = nullptr;
};

// Takes a connected stream (ALPN "h2", or prior knowledge) that has not been started. Never fails at
// once; a broken connection shows in its exchanges and in closed(). Exchanges may outlive it: they
// then fail.
std::unique_ptr<HttpConnection> make_http2_connection(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                      Http2ClientOptions options = {});

}  // namespace gs::net
