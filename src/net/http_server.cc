#include "net/http_server.h"

#include <algorithm>
#include <utility>

#include "net/http_server_internal.h"
#include "net/tls.h"

namespace gs::net {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// After our last byte the client has so long to close; until then what it sends is thrown away, lest
// a reset overtake the answer.
constexpr Duration kLinger = std::chrono::seconds(5);

std::vector<std::string> subject_of(const ByteStream& stream) {
  std::vector<std::string> subject;
  const auto certificate = peer_certificate(stream);
  if (!certificate) return subject;
  if (!certificate->not_verified.empty()) return {""};
  subject.push_back(certificate->common_name);
  for (const std::string& organization : certificate->organizations) subject.push_back(organization);
  return subject;
}

}  // namespace

// Destroys finished connections at the end of the turn, never from inside their own calls.
class HttpServer::Reaper final : public TurnEndHook {
 public:
  explicit Reaper(HttpServer& server) : server_(server) {}
  void turn_ended() override { server_.reap(); }

 private:
  HttpServer& server_;
};

class HttpServer::Connection final : public ServerConnection, private ByteStream::Handler {
 public:
  Connection(HttpServer& server, std::unique_ptr<ByteStream> stream)
      : server_(server),
        subject_(subject_of(*stream)),
        timeout_(server.loop_, [this] { timer_fired(); }),
        stream_(std::move(stream)) {}

  void start() {
    timeout_.arm_after(server_.options_.head_timeout);
    if (stream_->alpn() == "h2") protocol_ = make_http2_server(*this);
    if (stream_->alpn() == "http/1.1") protocol_ = make_http1_server(*this);
    stream_->start(*this);
  }
  void drain() {
    if (over_) return;
    if (protocol_ == nullptr) return finished();
    protocol_->drain();
  }
  bool dead() const { return dead_; }

  Loop& loop() override { return server_.loop_; }
  ByteStream& stream() override { return *stream_; }
  const HttpServerOptions& options() const override { return server_.options_; }
  const std::vector<std::string>& client_subject() const override { return subject_; }
  void serve(std::unique_ptr<ServerExchange> exchange) override {
    server_.scope_.spawn(server_.run(std::move(exchange)));
  }
  void set_timeout(Duration delay) override {
    if (!over_) timeout_.arm_after(delay);
  }
  void clear_timeout() override {
    if (!over_) timeout_.disarm();
  }
  void finished() override {
    if (std::exchange(over_, true)) return;
    stream_->shutdown();
    timeout_.arm_after(kLinger);
  }

 private:
  void on_data(std::string_view bytes) override {
    if (over_) return;
    if (protocol_ != nullptr) return protocol_->on_data(bytes);
    // Without ALPN the first bytes tell.
    first_.append(bytes);
    const size_t common = std::min(first_.size(), kPreface.size());
    const bool http2 = first_.compare(0, common, kPreface, 0, common) == 0;
    if (http2 && first_.size() < kPreface.size()) return;
    protocol_ = http2 ? make_http2_server(*this) : make_http1_server(*this);
    const std::string first = std::exchange(first_, {});
    protocol_->on_data(first);
  }
  void on_closed(const Error& why) override {
    over_ = true;
    if (protocol_ != nullptr) protocol_->on_closed(why);
    die();
  }
  void on_drained() override {
    if (protocol_ != nullptr && !over_) protocol_->on_drained();
  }
  void timer_fired() {
    if (over_) {  // lingered long enough
      if (protocol_ != nullptr) protocol_->on_closed(Error(Code::kUnavailable, "connection closed"));
      return die();
    }
    if (protocol_ != nullptr) return protocol_->timed_out();
    finished();
  }
  void die() {
    dead_ = true;
    timeout_.disarm();
    server_.connection_over();
  }

  HttpServer& server_;
  std::vector<std::string> subject_;
  CallbackTimer timeout_;
  std::string first_;
  bool over_ = false;
  bool dead_ = false;
  std::unique_ptr<ByteStream> stream_;
  std::unique_ptr<ServerProtocol> protocol_;  // destroyed before the stream
};

HttpServer::HttpServer(Loop& loop, HttpHandler& handler, HttpServerOptions options)
    : loop_(loop),
      handler_(handler),
      options_(options),
      emptied_(loop),
      reaper_(std::make_unique<Reaper>(*this)),
      scope_(loop) {}

HttpServer::~HttpServer() = default;

void HttpServer::accepted(std::unique_ptr<ByteStream> stream) {
  if (draining_ || connections_.size() >= options_.max_connections) return;
  connections_.push_back(std::make_unique<Connection>(*this, std::move(stream)));
  connections_.back()->start();
}

Task<void> HttpServer::run(std::unique_ptr<ServerExchange> exchange) {
  if (!exchange->answered()) {
    Task<void> handling = handler_.handle(*exchange);
    co_await handling;
  }
  Task<void> settling = exchange->settle();
  co_await settling;
}

void HttpServer::connection_over() { loop_.at_turn_end(*reaper_); }

void HttpServer::reap() {
  connections_.remove_if([](const auto& connection) { return connection->dead(); });
  if (connections_.empty()) emptied_.wake_all();
}

Task<bool> HttpServer::drain(MonoTime deadline) {
  draining_ = true;
  for (auto& connection : connections_) connection->drain();
  while (!connections_.empty()) {
    const bool woken = co_await emptied_.wait(deadline);
    if (!woken) break;
  }
  const bool joined = co_await scope_.join(deadline);
  co_return joined && connections_.empty();
}

}  // namespace gs::net
