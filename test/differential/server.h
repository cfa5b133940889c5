// One of the two servers, as a client that hides nothing: every answer is handed over as it came. A kubeconfig's
// server over TLS, or an embedded one in this process over loopback. One HTTP/2 connection, one loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kube/cluster_connector.h"
#include "net/http.h"
#include "net/tcp.h"
#include "runtime/task_scope.h"
#include "runtime/uv_loop.h"

namespace gs::differential {

struct Reply {
  int status = 0;  // 0: there was no answer; `body` says why
  net::Headers headers;
  std::string body;
};

// A watch whose events are read as they come.
struct Watch {
  explicit Watch(Loop& loop) : scope(loop) {}
  Reply reply;               // its body is empty where the watch was opened
  std::string bytes;         // events, one a line
  // Events that came whole; not bookmarks that come now and then, when they like.
  std::vector<std::string_view> events() const;
  MonoTime last{};           // when the last bytes came
  bool ended = false;        // by the server
  std::unique_ptr<net::HttpStream> stream;
  TaskScope scope;
};

class Server {
 public:
  // What all servers of a loop share.
  struct Deps {
    explicit Deps(UvLoop& l) : loop(l), resolver(l), tcp(l, resolver, nullptr), connector(l, tls, tcp) {}
    UvLoop& loop;
    net::TlsContext tls;
    net::CaresResolver resolver;
    net::TcpConnector tcp;
    kube::ConnectorDeps connector;
  };

  Server(Deps& deps, const kube::ConnectionConfig& config);
  ~Server();
  Task<Reply> ask(std::string method, std::string target, net::Headers headers, std::string body, bool anonymous);
  Task<std::shared_ptr<Watch>> watch(std::string target, net::Headers headers, bool anonymous);

 private:
  Task<Result<std::unique_ptr<net::HttpStream>>> open(net::HttpRequest request, bool anonymous);
  static Task<void> read_watch(Loop& loop, Watch& watch);

  Deps& deps_;
  kube::ConnectionConfig config_;
  std::unique_ptr<kube::ClusterConnector> connector_;
  std::unique_ptr<net::HttpConnection> connection_;
};

}  // namespace gs::differential
