// The embedded server over TCP with its objects in a file, to be killed: `crash_server FILE PORT` says its port
// on stdout once it serves.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "apiserver/api_server.h"
#include "net/http_server.h"
#include "net/tcp.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  gs::UvLoop loop;
  gs::apiserver::ApiServerOptions options;
  options.history.changes = 500;
  options.persistence.emplace();
  options.persistence->file.path = argv[1];
  auto server = gs::apiserver::ApiServer::open(loop, options);
  if (!server) {
    fmt::print(stderr, "{}\n", server.error().message);
    return 1;
  }
  gs::net::HttpServer http(loop, (*server)->handler());
  const auto port = static_cast<uint16_t>(std::strtoul(argv[2], nullptr, 10));
  auto listener = gs::net::TcpListener::listen(loop, "127.0.0.1", port, http);
  if (!listener) {
    fmt::print(stderr, "{}\n", listener.error().message);
    return 1;
  }
  fmt::print("{}\n", (*listener)->port());
  std::fflush(stdout);
  loop.run();
  return 0;
}
