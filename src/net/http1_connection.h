// An HTTP/1.1 client connection over any ByteStream: one exchange at a time, kept alive between them.
#pragma once

#include <memory>

#include "net/byte_stream.h"
#include "net/http.h"

namespace gs::net {

struct Http1ClientOptions {
  size_t max_header_bytes = 64 * 1024;
  // Of a body that nobody reads, so much is held before the connection is paused.
  size_t receive_window = 1 << 20;
};

// Takes a connected stream that has not been started. A request with `keep_open` is kUnsupported.
// An exchange that is destroyed before its end takes the connection with it.
std::unique_ptr<HttpConnection> make_http1_connection(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                      Http1ClientOptions options = {});

}  // namespace gs::net
