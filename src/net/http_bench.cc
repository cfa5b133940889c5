// What HTTP costs, client and server together in one thread and memory: no sockets, no TLS.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "net/grpc.h"
#include "net/http1_connection.h"
#include "net/http2_connection.h"
#include "net/http_server.h"
#include "runtime/sim_loop.h"
#include "runtime/task_scope.h"
#include "test/support/pipe_stream.h"

namespace gs::net {
namespace {

class BenchHandler final : public HttpHandler {
 public:
  Task<void> handle(HttpExchange& exchange) override {
    if (GrpcServerStream::matches(exchange.request())) {
      GrpcServerStream stream(exchange);
      while (true) {
        auto message = co_await stream.receive();
        if (!message || !*message) break;
        auto sent = co_await stream.send(**message);
        if (!sent) break;
      }
      stream.finish(GrpcCode::kOk);
      co_return;
    }
    if (exchange.request().target == "/watch") {
      exchange.start(HttpHead(200));
      const std::string event(event_size, 'e');
      while (true) {
        auto sent = co_await exchange.write(event, kNoDeadline);
        if (!sent) co_return;
      }
    }
    auto body = co_await exchange.read_all(1 << 20, kNoDeadline);
    HttpHead head(200);
    head.headers.emplace_back("content-type", "application/json");
    exchange.respond(head, answer);
  }
  size_t event_size = 1024;
  std::string answer = std::string(1024, 'a');
};

struct Bench {
  explicit Bench(bool http2) : world(1), loop(world.add_loop()), server(loop, handler), scope(loop) {
    auto [client, remote] = test::PipeStream::make(loop);
    server.accepted(std::move(remote));
    connection = http2 ? make_http2_connection(loop, std::move(client)) : make_http1_connection(loop, std::move(client));
  }
  SimWorld world;
  SimLoop& loop;
  BenchHandler handler;
  HttpServer server;
  std::unique_ptr<HttpConnection> connection;
  int64_t done = 0;
  int64_t wanted = 0;
  TaskScope scope;
};

Task<void> ask(Bench& bench) {
  HttpRequest request("POST", "/apis/apps/v1/namespaces/default/deployments?fieldManager=x");
  request.authority = "cluster.example:6443";
  request.headers.emplace_back("authorization", "Bearer 0123456789abcdef0123456789abcdef");
  request.headers.emplace_back("content-type", "application/json");
  request.headers.emplace_back("user-agent", "gulfstream");
  request.body = std::string(1024, 'q');
  while (bench.done < bench.wanted) {
    auto stream = bench.connection->open(request, false);
    GS_CHECK(stream.has_value());
    auto head = co_await (*stream)->head(kNoDeadline);
    GS_CHECK(head && head->status == 200);
    while (true) {
      auto part = co_await (*stream)->read(kNoDeadline);
      GS_CHECK(part.has_value());
      if (part->empty()) break;
    }
    ++bench.done;
  }
}

void BM_Requests(benchmark::State& state) {
  Bench bench(state.range(0) == 2);
  for (auto _ : state) {
    bench.wanted += 1000;
    for (int i = 0; i < state.range(1); ++i) bench.scope.spawn(ask(bench));
    bench.world.run_until([&] { return bench.scope.empty(); }, kNoDeadline);
  }
  state.SetItemsProcessed(bench.done);
}
BENCHMARK(BM_Requests)->ArgNames({"http", "at_once"})->Args({1, 1})->Args({2, 1})->Args({2, 16})->Args({2, 64});

Task<void> watch(Bench& bench, HttpStream& stream) {
  while (bench.done < bench.wanted) {
    auto part = co_await stream.read(kNoDeadline);
    GS_CHECK(part && !part->empty());
    bench.done += static_cast<int64_t>(part->size());
  }
}

// Events of 1 KiB that the server writes one by one.
void BM_WatchEvents(benchmark::State& state) {
  Bench bench(state.range(0) == 2);
  HttpRequest request("GET", "/watch");
  request.authority = "a";
  auto stream = bench.connection->open(request, false);
  GS_CHECK(stream.has_value());
  for (auto _ : state) {
    bench.wanted = bench.done + 10'000 * 1024;
    bench.scope.spawn(watch(bench, **stream));
    bench.world.run_until([&] { return bench.done >= bench.wanted; }, kNoDeadline);
  }
  state.SetItemsProcessed(bench.done / 1024);
}
BENCHMARK(BM_WatchEvents)->ArgName("http")->Arg(1)->Arg(2);

Task<void> converse(Bench& bench, GrpcClientStream& stream) {
  const std::string message(200, 'm');
  while (bench.done < bench.wanted) {
    GS_CHECK(stream.send(message).has_value());
    auto reply = co_await stream.receive();
    GS_CHECK(reply && *reply);
    ++bench.done;
  }
}

void BM_GrpcPingPong(benchmark::State& state) {
  Bench bench(true);
  auto stream = GrpcClientStream::open(bench.loop, *bench.connection, "a", "/p.S/M", {}, kNoDeadline);
  GS_CHECK(stream.has_value());
  for (auto _ : state) {
    bench.wanted += 1000;
    bench.scope.spawn(converse(bench, **stream));
    bench.world.run_until([&] { return bench.scope.empty(); }, kNoDeadline);
  }
  state.SetItemsProcessed(bench.done);
}
BENCHMARK(BM_GrpcPingPong);

}  // namespace
}  // namespace gs::net
