// HTTP as the rest of the project sees it, the same over HTTP/1.1 and HTTP/2, client and server.
// All of it lives on one loop.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "runtime/task.h"

namespace gs::net {

struct Header {
  Header(std::string n, std::string v) : name(std::move(n)), value(std::move(v)) {}
  std::string name;  // lower case
  std::string value;
};
using Headers = std::vector<Header>;

// The first value of a header, or nullptr. `name` in lower case.
const std::string* find_header(const Headers& headers, std::string_view name);

struct HttpRequest {
  HttpRequest() = default;
  HttpRequest(std::string m, std::string t) : method(std::move(m)), target(std::move(t)) {}
  std::string method;     // GET, POST, ...
  std::string target;     // path and query
  std::string authority;  // host[:port]
  Headers headers;        // without host and content-length
  std::string body;       // whole, unless more is written to the stream (HTTP/2)
};

struct HttpHead {
  HttpHead() = default;
  explicit HttpHead(int s) : status(s) {}
  int status = 0;
  Headers headers;
};

// One exchange, client's side. Destroying it cancels it: RST_STREAM(CANCEL) over HTTP/2; over
// HTTP/1.1 an unfinished exchange takes its connection with it.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  // The answer's status and headers; waits for them and gives them over, once. Errors: kUnavailable
  // with may_have_been_processed() telling whether the server may have acted, kDeadlineExceeded.
  virtual Task<Result<HttpHead>> head(MonoTime deadline) = 0;
  // The next bytes of the body, whatever has arrived; an empty string is its end. The flow-control
  // window is given back as bytes are taken.
  virtual Task<Result<std::string>> read(MonoTime deadline) = 0;
  // Trailers, complete once read() has returned the end.
  virtual const Headers& trailers() const = 0;

  // Request body beyond HttpRequest::body; only where open() was told to keep it open (HTTP/2).
  // Buffered; unsent() tells how much waits for the window and the connection.
  virtual void write(std::string_view bytes) = 0;
  virtual size_t unsent() const = 0;
  // Waits until at most so much is unsent.
  virtual Task<Status> wait_unsent(size_t at_most, MonoTime deadline) = 0;
  virtual void end() = 0;

  // False only where it is certain that the server did not act on the request: never sent, refused
  // stream, or above the last stream of a GOAWAY. Such a request may be repeated.
  virtual bool may_have_been_processed() const = 0;
};

// A client connection that speaks HTTP/1.1 or HTTP/2.
class HttpConnection {
 public:
  virtual ~HttpConnection() = default;
  // Sends the request's head and body. `keep_open`: more body follows (HTTP/2 only).
  // kUnavailable when the connection takes no more (closed, GOAWAY, at its stream limit).
  virtual Result<std::unique_ptr<HttpStream>> open(const HttpRequest& request, bool keep_open) = 0;
  // Takes another exchange now: connected, not draining, below its limit (1 over HTTP/1.1).
  virtual bool available() const = 0;
  // Will never take another exchange.
  virtual bool closed() const = 0;
  virtual size_t active() const = 0;
  virtual MonoTime idle_since() const = 0;
  virtual bool multiplexed() const = 0;
};

// One exchange, server's side. Lives until its handler's coroutine returns.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual const HttpRequest& request() const = 0;  // body empty: read it
  virtual Task<Result<std::string>> read(MonoTime deadline) = 0;  // empty: end of the request's body
  // The whole body, at most `limit` bytes, else kTooLarge.
  virtual Task<Result<std::string>> read_all(size_t limit, MonoTime deadline) = 0;
  virtual void respond(const HttpHead& head, std::string_view whole_body) = 0;
  virtual void start(const HttpHead& head) = 0;
  // Waits while more than the high-water mark is unsent. kUnavailable once the client is gone.
  virtual Task<Status> write(std::string bytes, MonoTime deadline) = 0;
  virtual void finish(const Headers& trailers = {}) = 0;
  virtual bool client_gone() const = 0;
  virtual Task<void> wait_client_gone() = 0;
  virtual std::string peer_address() const = 0;
  // Subject of the verified client certificate's leaf in DER-independent form: common name and
  // organisations, as Kubernetes reads them (CN = user, O = groups). Empty without one; {""}: one not to be trusted.
  virtual const std::vector<std::string>& client_certificate_subject() const = 0;
};

class HttpHandler {
 public:
  // One coroutine per exchange, owned by the server.
  virtual Task<void> handle(HttpExchange& exchange) = 0;

 protected:
  ~HttpHandler() = default;
};

}  // namespace gs::net
