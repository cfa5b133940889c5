// TLS 1.2 and 1.3 over any stream. Handshakes verify chain and host name against the loop's wall
// clock; refusals are kUnauthorized and say why in words. Session tickets are not kept,
// renegotiation is off, buffers are freed when a connection is idle.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/byte_stream.h"
#include "net/tls_context.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::net {

enum class TlsVersion { k1_2, k1_3 };

struct TlsOptions {
  TlsOptions() = default;
  std::shared_ptr<const TrustStore> trust;    // null: the machine's authorities
  std::shared_ptr<const Identity> identity;   // client certificate; null: none
  std::string server_name;                    // sent and verified; empty: the host that is dialled
  std::vector<std::string> alpn;              // in order of preference
  TlsVersion min_version = TlsVersion::k1_2;
  bool insecure_skip_verify = false;
};

class TlsConnector final : public Connector {
 public:
  // All of them outlive the connector; context and loop also its streams.
  TlsConnector(Loop& loop, TlsContext& context, Connector& lower, TlsOptions options)
      : loop_(loop), context_(context), lower_(lower), options_(std::move(options)) {}
  // From the next dial on (rotated certificates or authorities).
  void set_options(TlsOptions options) { options_ = std::move(options); }
  // Handshakes that run at once take a place of `places` (null: no limit; outlives the connector): what thousands of
  // them need for a moment would be spread over the heap between what stays. A peer that accepts and is silent has
  // its place for kPlaceTime only.
  void limit(Semaphore* places) { places_ = places; }
  static constexpr Duration kPlaceTime = std::chrono::milliseconds(500);
  Task<Result<std::unique_ptr<ByteStream>>> connect(Endpoint endpoint, MonoTime deadline) override;

 private:
  Loop& loop_;
  TlsContext& context_;
  Connector& lower_;
  TlsOptions options_;
  Semaphore* places_ = nullptr;
};

// The client's side over a stream that is already open.
Task<Result<std::unique_ptr<ByteStream>>> tls_connect(Loop& loop, TlsContext& context,
                                                      std::unique_ptr<ByteStream> lower, TlsOptions options,
                                                      MonoTime deadline);

enum class ClientCertificate {
  kNone,
  kRequested,  // may be absent or not verify; the PeerCertificate says which
  kRequired,   // the handshake fails without a valid one
};

struct TlsServerOptions {
  TlsServerOptions() = default;
  std::shared_ptr<const Identity> identity;
  std::shared_ptr<const TrustStore> client_trust;
  ClientCertificate client_certificate = ClientCertificate::kNone;
  std::vector<std::string> alpn;
  TlsVersion min_version = TlsVersion::k1_2;
};

Task<Result<std::unique_ptr<ByteStream>>> tls_accept(Loop& loop, TlsContext& context,
                                                     std::unique_ptr<ByteStream> lower, TlsServerOptions options,
                                                     MonoTime deadline);

// Who presented a certificate, as Kubernetes reads it: the user is the CN, the groups are the Os.
struct PeerCertificate {
  std::string common_name;
  std::vector<std::string> organizations;
  std::string not_verified;  // why it is not to be trusted; empty when it is
};
// nullopt: not a TLS stream, or no certificate.
std::optional<PeerCertificate> peer_certificate(const ByteStream& stream);

// Put between a Listener and an Acceptor: handshakes each connection, within a time and a number.
class TlsAcceptor final : public Listener::Acceptor {
 public:
  static constexpr Duration kHandshakeTime = std::chrono::seconds(10);
  static constexpr size_t kHandshakesAtOnce = 1024;

  TlsAcceptor(Loop& loop, TlsContext& context, TlsServerOptions options, Listener::Acceptor& next)
      : loop_(loop), context_(context), options_(std::move(options)), next_(next), scope_(loop) {}
  // For connections accepted from now on: a rotated serving certificate.
  void set_options(TlsServerOptions options) { options_ = std::move(options); }
  void accepted(std::unique_ptr<ByteStream> stream) override;

 private:
  Task<void> handshake(std::unique_ptr<ByteStream> stream);

  Loop& loop_;
  TlsContext& context_;
  TlsServerOptions options_;
  Listener::Acceptor& next_;
  TaskScope scope_;
};

}  // namespace gs::net
