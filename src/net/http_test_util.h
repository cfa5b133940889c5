// For tests of HTTP: a simulated loop, a handler with some well-known paths, raw peers.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/http.h"
#include "net/http1_connection.h"
#include "net/http2_connection.h"
#include "net/http_server.h"
#include "runtime/sim_loop.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"
#include "test/support/pipe_stream.h"

namespace gs::net {

using test::PipeStream;
using namespace std::chrono_literals;

inline PipeStream::Chunker one_byte() {
  return [](size_t) { return size_t{1}; };
}
inline PipeStream::Chunker random_chunks(Random& random) {
  return [&random](size_t available) { return 1 + static_cast<size_t>(random.below(std::min<size_t>(available, 3000))); };
}

// Answers by path.
class TestHandler final : public HttpHandler {
 public:
  explicit TestHandler(Loop& loop) : go(loop) {}

  Task<void> handle(HttpExchange& exchange) override {
    ++started;
    const std::string path = exchange.request().target;
    last = exchange.request();
    if (path == "/echo") {
      auto body = co_await exchange.read_all(64 << 20, kNoDeadline);
      HttpHead head(200);
      head.headers.emplace_back("x-method", exchange.request().method);
      if (body) exchange.respond(head, *body);
    } else if (path == "/limited") {
      auto body = co_await exchange.read_all(10, kNoDeadline);
      exchange.respond(HttpHead(body ? 200 : 413), body ? "ok" : body.error().message);
    } else if (path == "/big") {
      exchange.respond(HttpHead(200), std::string(big_size, 'b'));
    } else if (path == "/stream") {
      exchange.start(HttpHead(200));
      for (int i = 0; i < parts; ++i) {
        std::string part(part_size, static_cast<char>('a' + i % 26));
        auto status = co_await exchange.write(std::move(part), kNoDeadline);
        if (!status) {
          ++write_failures;
          co_return;
        }
        written += part_size;
      }
      Headers trailers;
      trailers.emplace_back("x-checksum", "42");
      exchange.finish(trailers);
    } else if (path == "/cut") {
      exchange.start(HttpHead(200));
      auto status = co_await exchange.write("partial", kNoDeadline);
      if (!status) ++write_failures;
    } else if (path == "/nothing") {
      co_return;
    } else if (path == "/empty") {
      exchange.respond(HttpHead(204), {});
    } else if (path == "/wait") {
      co_await go.wait();
      exchange.respond(HttpHead(200), "went");
    } else if (path == "/gone") {
      co_await exchange.wait_client_gone();
      ++gone;
    } else {
      exchange.respond(HttpHead(404), "no such path");
    }
    ++finished;
  }

  Event go;
  HttpRequest last;
  size_t big_size = 3 << 20;
  int parts = 10;
  size_t part_size = 1000;
  size_t written = 0;
  int started = 0;
  int finished = 0;
  int gone = 0;
  int write_failures = 0;
};

struct Answer {
  Answer() = default;
  int status = 0;
  Headers headers;
  Headers trailers;
  std::string body;
};

inline Task<Result<Answer>> read_answer(HttpStream& stream, MonoTime deadline) {
  Answer answer;
  GS_CO_TRY(HttpHead head, co_await stream.head(deadline));
  answer.status = head.status;
  answer.headers = std::move(head.headers);
  while (true) {
    GS_CO_TRY(std::string part, co_await stream.read(deadline));
    if (part.empty()) break;
    answer.body += part;
  }
  answer.trailers = stream.trailers();
  co_return answer;
}

class HttpTest : public ::testing::Test {
 protected:
  HttpTest() : world(7), loop(world.add_loop()), handler(loop), server(std::make_unique<HttpServer>(loop, handler)) {}

  // Runs the world until the task is done; fails the test after a virtual day.
  template <class T>
  T wait(Task<T> task) {
    bool done = false;
    if (!task.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done)) {
      EXPECT_TRUE(world.run_until([&] { return done; }, world.now() + std::chrono::hours(24)));
    }
    return task.take_result();
  }
  void settle() { world.run_for(1ms); }

  void reset_server(HttpServerOptions options) {
    server = std::make_unique<HttpServer>(loop, handler, options);
  }
  std::unique_ptr<PipeStream> to_server(PipeStream::Chunker chunker = {}, std::string alpn = {}) {
    auto [client, remote] = PipeStream::make(loop, std::move(chunker), std::move(alpn));
    server->accepted(std::move(remote));
    return std::move(client);
  }
  std::unique_ptr<HttpConnection> connect(bool http2, PipeStream::Chunker chunker = {}) {
    auto stream = to_server(std::move(chunker));
    return http2 ? make_http2_connection(loop, std::move(stream)) : make_http1_connection(loop, std::move(stream));
  }
  std::unique_ptr<HttpStream> open(HttpConnection& connection, std::string method, std::string target, std::string body = {},
                                   bool keep_open = false) {
    HttpRequest request(std::move(method), std::move(target));
    request.authority = "server.example";
    request.body = std::move(body);
    auto stream = connection.open(request, keep_open);
    EXPECT_TRUE(stream.has_value()) << stream.error().to_string();
    return stream ? *std::move(stream) : nullptr;
  }
  Result<Answer> fetch(HttpConnection& connection, std::string method, std::string target, std::string body = {}) {
    auto stream = open(connection, std::move(method), std::move(target), std::move(body));
    return wait(read_answer(*stream, kNoDeadline));
  }

  SimWorld world;
  SimLoop& loop;
  TestHandler handler;
  std::unique_ptr<HttpServer> server;
};

// A peer that speaks bytes.
class RawPeer final : private ByteStream::Handler {
 public:
  explicit RawPeer(std::unique_ptr<ByteStream> s) : stream(std::move(s)) { stream->start(*this); }
  std::unique_ptr<ByteStream> stream;
  std::string received;
  bool closed = false;

 private:
  void on_data(std::string_view bytes) override { received += bytes; }
  void on_closed(const Error&) override { closed = true; }
};

}  // namespace gs::net
