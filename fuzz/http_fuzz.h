// For fuzzers of HTTP: a simulated loop, a handler that reads and answers, and a peer that says the
// fuzzer's bytes. The first byte of the input chooses how the rest is cut into chunks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"
#include "net/http_server.h"
#include "runtime/sim_loop.h"
#include "runtime/task_scope.h"
#include "test/support/pipe_stream.h"

namespace gs::fuzz {

inline test::PipeStream::Chunker chunker_of(uint8_t choice) {
  if (choice % 4 == 0) return {};
  return [choice](size_t) { return size_t{1} + choice / 4; };
}

// Says what it is told and swallows what it hears.
class Peer final : private net::ByteStream::Handler {
 public:
  explicit Peer(std::unique_ptr<net::ByteStream> s) : stream(std::move(s)) { stream->start(*this); }
  std::unique_ptr<net::ByteStream> stream;
  size_t heard = 0;

 private:
  void on_data(std::string_view bytes) override { heard += bytes.size(); }
  void on_closed(const Error&) override {}
};

class EchoHandler final : public net::HttpHandler {
 public:
  Task<void> handle(net::HttpExchange& exchange) override {
    auto body = co_await exchange.read_all(1 << 20, kNoDeadline);
    if (!body) co_return;
    if (body->size() % 2 == 0) {
      exchange.respond(net::HttpHead(200), *body);
      co_return;
    }
    exchange.start(net::HttpHead(200));
    auto status = co_await exchange.write(*std::move(body), kNoDeadline);
    if (!status) co_return;
    net::Headers trailers;
    trailers.emplace_back("x-end", "1");
    exchange.finish(trailers);
  }
};

inline Task<void> read_to_end(net::HttpStream& stream) {
  auto head = co_await stream.head(kNoDeadline);
  while (head) {
    auto part = co_await stream.read(kNoDeadline);
    if (!part || part->empty()) break;
  }
}

// A server hears `bytes` from one client, then the client's end.
inline void serve_bytes(const uint8_t* data, size_t size, std::string_view before) {
  if (size == 0) return;
  SimWorld world(1);
  SimLoop& loop = world.add_loop();
  EchoHandler handler;
  net::HttpServer server(loop, handler);
  auto [client, remote] = test::PipeStream::make(loop, chunker_of(data[0]));
  Peer peer(std::move(client));
  server.accepted(std::move(remote));
  peer.stream->write(before);
  peer.stream->write({reinterpret_cast<const char*>(data + 1), size - 1});
  world.run_for(std::chrono::seconds(1));
  peer.stream->shutdown();
  world.run_for(std::chrono::seconds(600));
  GS_CHECK(server.exchanges() == 0);
  GS_CHECK(server.connections() == 0);
}

// A client with `requests` in flight hears `bytes`, then the server's end. Every exchange ends.
template <class Make>
void answer_with_bytes(const uint8_t* data, size_t size, std::string_view before, int requests, Make make) {
  if (size == 0) return;
  SimWorld world(1);
  SimLoop& loop = world.add_loop();
  auto [client, remote] = test::PipeStream::make(loop, chunker_of(data[0]));
  Peer peer(std::move(remote));
  std::unique_ptr<net::HttpConnection> connection = make(loop, std::move(client));
  std::vector<std::unique_ptr<net::HttpStream>> streams;
  TaskScope scope(loop);
  for (int i = 0; i < requests && connection->available(); ++i) {
    net::HttpRequest request("GET", "/");
    request.authority = "a";
    auto stream = connection->open(request, false);
    if (!stream) break;
    streams.push_back(*std::move(stream));
    scope.spawn(read_to_end(*streams.back()));
  }
  world.run_for(std::chrono::milliseconds(1));
  peer.stream->write(before);
  peer.stream->write({reinterpret_cast<const char*>(data + 1), size - 1});
  world.run_for(std::chrono::seconds(1));
  peer.stream->shutdown();
  world.run_for(std::chrono::seconds(1));
  GS_CHECK(scope.empty());
}

}  // namespace gs::fuzz
