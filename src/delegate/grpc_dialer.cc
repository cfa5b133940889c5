#include "delegate/grpc_dialer.h"

#include "net/grpc.h"
#include "net/http2_connection.h"

namespace gs::delegate {
namespace {

constexpr const char* kMethod = "/gulfstream.delegate.v1.Delegate/Session";
constexpr size_t kMostAddresses = 64;

class GrpcStream final : public MessageStream {
 public:
  explicit GrpcStream(Loop& loop) : going_away_(loop) {}
  Status open(Loop& loop, std::unique_ptr<net::ByteStream> bytes, const kube::ServerUrl& url, const net::Headers& metadata) {
    net::Http2ClientOptions options;
    options.scheme = url.tls ? "https" : "http";
    // Liveness is the session's own Ping. gRPC servers punish PINGs of HTTP/2 that come more often than
    // every 5 minutes (ENHANCE_YOUR_CALM, too_many_pings).
    options.ping_after = Duration::zero();
    options.going_away = &going_away_;
    connection_ = net::make_http2_connection(loop, std::move(bytes), options);
    GS_TRY(stream_, net::GrpcClientStream::open(loop, *connection_, url.authority(), url.path_prefix + kMethod, metadata, kNoDeadline));
    return ok();
  }

  // The session sends nothing that is too large.
  void send(const std::string& message) override { GS_CHECK(stream_->send(message).has_value()); }
  size_t unsent() const override { return stream_->unsent(); }
  Task<Status> wait_unsent(size_t at_most, MonoTime deadline) override { return stream_->wait_unsent(at_most, deadline); }
  Task<Result<std::optional<std::string>>> receive(MonoTime deadline) override { return stream_->receive(deadline); }
  void half_close() override { stream_->close_send(); }
  Task<void> wait_going_away() override { co_await going_away_.wait(); }

 private:
  Event going_away_;
  std::unique_ptr<net::HttpConnection> connection_;
  std::unique_ptr<net::GrpcClientStream> stream_;
};

}  // namespace

Task<Result<std::vector<std::string>>> GrpcDialer::resolve(MonoTime deadline) {
  GS_CO_TRY(const auto addresses, co_await deps_.resolver.resolve(url_.host, deadline));
  std::vector<std::string> out;
  for (const net::IpAddress& address : addresses) {
    if (out.size() < kMostAddresses) out.push_back(address.to_string());
  }
  co_return std::move(out);
}

Task<Result<std::unique_ptr<MessageStream>>> GrpcDialer::dial(std::string address, MonoTime deadline) {
  GS_CO_TRY(Credential credential, credential_for(deps_, url_));
  net::Headers metadata;
  metadata.emplace_back("user-agent", deps_.user_agent);
  if (!credential.token.empty()) metadata.emplace_back("authorization", "Bearer " + credential.token);
  std::vector<std::string> alpn = {"h2"};
  auto dialling = dial_delegate(deps_, url_, std::move(address), std::move(alpn), std::move(credential), deadline);
  GS_CO_TRY(auto bytes, co_await std::move(dialling));
  if (url_.tls && bytes->alpn() != "h2") co_return fail(Code::kUnsupported, "{} does not speak HTTP/2, so it is no gRPC server", url_.text);
  auto stream = std::make_unique<GrpcStream>(deps_.loop);
  GS_CO_TRY_STATUS(stream->open(deps_.loop, std::move(bytes), url_, metadata));
  co_return std::move(stream);
}

}  // namespace gs::delegate
