// HttpTransport: a KubeTransport over connections that it opens, keeps and closes. One long-lived
// connection carries a cluster's watches, and a small write now and then; another, opened on demand and closed when
// idle, the rest.
// Lives on its cluster's loop.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kube/credentials.h"
#include "kube/kubeconfig.h"
#include "kube/server_url.h"
#include "kube/transport.h"
#include "net/byte_stream.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::kube {

enum class HttpProtocol { kHttp1, kHttp2 };

// "gulfstream/v0.1.0 (linux/amd64)": one identity for all requests, so that an administrator can write a
// FlowSchema for it.
std::string default_user_agent();

struct HttpTransportOptions {
  std::string user_agent = default_user_agent();
  Duration dial_timeout = std::chrono::seconds(30);
  Duration idle_close = std::chrono::seconds(30);        // of the request lane
  Duration watch_idle_close = std::chrono::minutes(2);   // of the watch lane, once it carries no watch
  // Between dials that fail, so that a dead cluster is not dialled by each request.
  Duration first_backoff = std::chrono::milliseconds(100);
  Duration last_backoff = std::chrono::seconds(10);
  // Where a request has no deadline of its own.
  Duration request_timeout = std::chrono::seconds(30);
  size_t max_request = 16 * 1024 * 1024;
  size_t max_response = 64 * 1024 * 1024;
  // Per lane; what needs one more waits.
  size_t max_http2_connections = 16;
  size_t max_http1_requests = 16;
  size_t max_http1_watches = 256;
  // So many small writes at once take the watches' connection (HTTP/2) while no other is open. 0: none do. A handshake
  // costs more than all else about a write, and a cluster of a large fleet is written to now and then.
  size_t writes_on_watches = 0;
  // What a stream speaks whose TLS chose nothing, or that has no TLS.
  HttpProtocol without_alpn = HttpProtocol::kHttp2;
};

// A connector whose TLS may change under living connections (cluster_connector.h).
class SecureConnector : public net::Connector {
 public:
  // The client certificate from the next dial on; empty: none. kInvalid where it cannot be read.
  virtual Status set_identity(const std::string& certificate_pem, const std::string& key_pem) = 0;
  // Whether refresh() may find something new.
  virtual bool watches_files() const = 0;
  virtual Task<void> refresh() = 0;
  // Grows when what is dialled from now on has another client certificate or other authorities than
  // what was dialled before.
  virtual uint64_t generation() const = 0;
  // When the client certificate ends; none without one.
  virtual std::optional<WallTime> identity_ends() const { return std::nullopt; }
};

class HttpTransport final : public KubeTransport {
 public:
  // `connector` outlives the transport; TLS is its own matter. Credentials are as `config` says, but no
  // exec plugin is run.
  HttpTransport(Loop& loop, net::Connector& connector, const ConnectionConfig& config, HttpTransportOptions options);
  // With a client certificate and authorities that follow the credentials. See make_transport().
  HttpTransport(Loop& loop, std::unique_ptr<SecureConnector> connector, std::unique_ptr<CredentialSource> credentials,
                const ConnectionConfig& config, HttpTransportOptions options);
  ~HttpTransport() override;

  Task<Result<Response>> send(Request request) override;
  Task<Result<std::unique_ptr<ResponseStream>>> open(Request request) override;
  Task<Status> ready(Lane lane, MonoTime deadline) override;
  // Says it where our client certificate has expired: API servers answer that with a bare 401.
  Error explain_refusal(Error refusal) const;
  // Open connections, for metrics.
  size_t connections() const;

 private:
  struct Connection;
  struct Pool;
  class Exchange;
  class BodyStream;
  // What one request was until an attempt succeeded or was given up.
  struct Attempts;

  Attempts attempts_of(Request request) const;
  Task<Status> authenticate(Attempts& attempts);
  Task<Result<Exchange>> begin(Attempts& attempts);
  // Waits for a dial that may make room, or for room; a while, then the caller looks again.
  Task<Status> make_room(Pool& pool, const Attempts& attempts);
  std::optional<Result<Exchange>> open_on_pooled(Pool& pool, const net::HttpRequest& http);
  std::optional<Result<Exchange>> open_on_watches(const Attempts& attempts);
  Task<void> dial(Pool& pool);
  std::unique_ptr<net::HttpConnection> speak(std::unique_ptr<net::ByteStream> stream) const;
  bool repeat(Attempts& attempts, const Exchange& exchange, const Error& why);
  Task<bool> renew(Attempts& attempts);
  uint64_t generation() const { return secure_ != nullptr ? secure_->generation() : 0; }
  Pool& pool_of(Lane lane) { return lane == Lane::kWatch ? *watch_ : *request_; }
  void exchange_ended();
  void close_idle();
  Task<void> refresh_authorities();

  Loop& loop_;
  ServerUrl server_;  // nothing else of the config: its PEM texts would be kept for each cluster
  HttpTransportOptions options_;
  std::string authority_;
  std::unique_ptr<SecureConnector> secure_;  // null: connector_ is somebody else's
  net::Connector& connector_;
  std::unique_ptr<CredentialSource> credentials_;
  Error no_credentials_{Code::kUnauthorized, ""};
  uint64_t identity_ = 0;  // of the credential that secure_ has
  MonoTime authorities_read_{};
  std::shared_ptr<Pool> watch_;
  std::shared_ptr<Pool> request_;
  CallbackTimer idle_;
  TaskScope scope_;
};

}  // namespace gs::kube
