// What an idle connection of a cluster costs the client: TLS 1.3, HTTP/2, two open watches. The servers live
// in a process of their own. Prints a JSON line.
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <vector>

#include "net/http2_connection.h"
#include "net/http_server.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"
#include "test/support/certs.h"

namespace gs::net {
namespace {

constexpr size_t kConnections = 500;

// Answers with the head of a watch, one event, and then nothing.
class WatchHandler final : public HttpHandler {
 public:
  Task<void> handle(HttpExchange& exchange) override {
    HttpHead head(200);
    head.headers.emplace_back("content-type", "application/json");
    exchange.start(head);
    std::string event(4096, 'e');
    auto sent = co_await exchange.write(std::move(event), kNoDeadline);
    if (!sent) co_return;
    co_await exchange.wait_client_gone();
  }
};

[[noreturn]] void serve(const test::KeyPair& pair, int port_pipe) {
  UvLoop loop;
  TlsContext context;
  WatchHandler handler;
  HttpServer server(loop, handler);
  TlsServerOptions options;
  options.identity = *context.identity(pair.cert_pem, pair.key_pem);
  options.alpn = {"h2"};
  TlsAcceptor acceptor(loop, context, options, server);
  auto listener = *TcpListener::listen(loop, "127.0.0.1", 0, acceptor);
  const uint16_t port = listener->port();
  if (write(port_pipe, &port, sizeof port) != sizeof port) _exit(1);
  loop.run();
  _exit(0);
}

struct Cluster {
  std::unique_ptr<HttpConnection> connection;
  std::vector<std::unique_ptr<HttpStream>> watches;
};

Task<void> attach(Loop& loop, Connector& connector, uint16_t port, std::vector<Cluster>& clusters, size_t& done) {
  const Endpoint endpoint("127.0.0.1", port);
  for (Cluster& cluster : clusters) {
    auto stream = co_await connector.connect(endpoint, kNoDeadline);
    GS_CHECK(stream.has_value());
    cluster.connection = make_http2_connection(loop, *std::move(stream));
    for (const char* target : {"/api/v1/namespaces?watch=1", "/api/v1/configmaps?watch=1"}) {
      HttpRequest request("GET", target);
      request.authority = "cluster.example";
      request.headers.emplace_back("authorization", "Bearer " + std::string(900, 't'));
      cluster.watches.push_back(*cluster.connection->open(request, false));
      auto head = co_await cluster.watches.back()->head(kNoDeadline);
      GS_CHECK(head.has_value());
      auto event = co_await cluster.watches.back()->read(kNoDeadline);
      GS_CHECK(event.has_value());
    }
    ++done;
  }
}

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t size = 0;
  size_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void run() {
  const auto ca = test::make_ca("bench");
  int pipe_ends[2];
  GS_CHECK(pipe(pipe_ends) == 0);
  const pid_t child = fork();
  if (child == 0) serve(test::make_server_cert(ca, {"127.0.0.1"}), pipe_ends[1]);
  uint16_t port = 0;
  GS_CHECK(read(pipe_ends[0], &port, sizeof port) == sizeof port);

  UvLoop loop;
  TlsContext context;
  CaresResolver resolver(loop);
  TcpConnector tcp(loop, resolver, nullptr);
  TlsOptions options;
  options.trust = *context.trust(ca.cert_pem);
  options.alpn = {"h2"};
  TlsConnector connector(loop, context, tcp, options);
  const auto attach_all = [&](std::vector<Cluster>& clusters) {
    TaskScope scope(loop);
    size_t done = 0;
    loop.post([&] { scope.spawn(attach(loop, connector, port, clusters, done)); });
    loop.run_until([&] { return done == clusters.size() && scope.empty(); });
  };
  std::vector<Cluster> first(20);  // what is there once, whatever the number
  attach_all(first);
  const size_t heap_before = mallinfo2().uordblks;
  const size_t resident_before = resident_bytes();
  std::vector<Cluster> clusters(kConnections);
  attach_all(clusters);
  malloc_trim(0);
  const auto each = [&](size_t before, size_t after) { return (after - before) / kConnections; };
  std::printf("{\"name\": \"idle_connection_heap_bytes\", \"value\": %zu, \"unit\": \"B\"}\n",
              each(heap_before, mallinfo2().uordblks));
  std::printf("{\"name\": \"idle_connection_resident_bytes\", \"value\": %zu, \"unit\": \"B\"}\n",
              each(resident_before, resident_bytes()));
  kill(child, SIGTERM);
  waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace gs::net

int main() {
  gs::net::run();
  return 0;
}
