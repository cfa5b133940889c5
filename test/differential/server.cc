#include "test/differential/server.h"

#include "base/check.h"
#include "base/strings.h"
#include "net/http2_connection.h"

namespace gs::differential {
namespace {

constexpr Duration kPatience = std::chrono::seconds(20);

}  // namespace

std::vector<std::string_view> Watch::events() const {
  std::vector<std::string_view> out = split(bytes, '\n');
  out.pop_back();
  std::erase_if(out, [](std::string_view line) {
    return line.find(R"("type":"BOOKMARK")") < 64 && line.find("k8s.io/initial-events-end") == std::string_view::npos;
  });
  return out;
}

Server::Server(Deps& deps, const kube::ConnectionConfig& config) : deps_(deps), config_(config) {
  auto made = kube::ClusterConnector::make(deps.connector, config);
  if (!made) check_failed(__FILE__, __LINE__, made.error().to_string().c_str());
  connector_ = *std::move(made);
}

Server::~Server() = default;

Task<Result<std::unique_ptr<net::HttpStream>>> Server::open(net::HttpRequest request, bool anonymous) {
  if (connection_ == nullptr || !connection_->available()) {
    connection_.reset();
    net::Endpoint endpoint(config_.server.host, config_.server.port);
    auto dialling = connector_->connect(std::move(endpoint), deps_.loop.now() + kPatience);
    GS_CO_TRY(std::unique_ptr<net::ByteStream> stream, co_await dialling);
    net::Http2ClientOptions options;
    options.scheme = config_.server.tls ? "https" : "http";
    connection_ = net::make_http2_connection(deps_.loop, std::move(stream), options);
  }
  request.authority = config_.server.authority();
  if (!anonymous && !config_.token.empty()) request.headers.emplace_back("authorization", "Bearer " + config_.token);
  co_return connection_->open(request, false);
}

Task<Reply> Server::ask(std::string method, std::string target, net::Headers headers, std::string body, bool anonymous) {
  net::HttpRequest request(std::move(method), std::move(target));
  request.headers = std::move(headers);
  request.body = std::move(body);
  Reply reply;
  auto opening = open(std::move(request), anonymous);
  auto stream = co_await opening;
  if (!stream) {
    reply.body = stream.error().to_string();
    co_return reply;
  }
  const MonoTime deadline = deps_.loop.now() + kPatience;
  auto waiting = (*stream)->head(deadline);
  auto head = co_await waiting;
  if (!head) {
    reply.body = head.error().to_string();
    co_return reply;
  }
  reply.headers = std::move(head->headers);
  for (;;) {
    auto reading = (*stream)->read(deadline);
    auto bytes = co_await reading;
    if (!bytes) {
      reply.body = bytes.error().to_string();
      co_return reply;
    }
    if (bytes->empty()) break;
    reply.body += *bytes;
  }
  reply.status = head->status;
  co_return reply;
}

Task<std::shared_ptr<Watch>> Server::watch(std::string target, net::Headers headers, bool anonymous) {
  auto out = std::make_shared<Watch>(deps_.loop);
  net::HttpRequest request("GET", std::move(target));
  request.headers = std::move(headers);
  auto opening = open(std::move(request), anonymous);
  auto stream = co_await opening;
  if (!stream) {
    out->reply.body = stream.error().to_string();
    co_return out;
  }
  out->stream = *std::move(stream);
  auto waiting = out->stream->head(deps_.loop.now() + kPatience);
  auto head = co_await waiting;
  if (!head) {
    out->reply.body = head.error().to_string();
    co_return out;
  }
  out->reply.status = head->status;
  out->reply.headers = std::move(head->headers);
  if (head->status == 200) {
    out->last = deps_.loop.now();
    out->scope.spawn(read_watch(deps_.loop, *out));
    co_return out;
  }
  for (;;) {
    auto reading = out->stream->read(deps_.loop.now() + kPatience);
    auto bytes = co_await reading;
    if (!bytes || bytes->empty()) break;
    out->reply.body += *bytes;
  }
  out->ended = true;
  co_return out;
}

Task<void> Server::read_watch(Loop& loop, Watch& watch) {
  for (;;) {
    auto reading = watch.stream->read(kNoDeadline);
    auto bytes = co_await reading;
    watch.last = loop.now();
    if (!bytes || bytes->empty()) break;
    watch.bytes += *bytes;
  }
  watch.ended = true;
}

}  // namespace gs::differential
