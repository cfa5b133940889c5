#include "net/proxy.h"

#include <utility>

#include "base/strings.h"
#include "net/stream_errors.h"
#include "runtime/sync.h"

namespace gs::net {
namespace {

constexpr size_t kLargestAnswer = 16 * 1024;

struct HostPort {
  std::string host;  // without brackets
  std::string port;  // may be empty
};

// "host", "host:port", "[v6]", "[v6]:port", bare IPv6. nullopt: malformed.
std::optional<HostPort> split_host_port(std::string_view text) {
  HostPort out;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    out.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (text.empty()) return out;
    if (text.front() != ':') return std::nullopt;
    out.port = text.substr(1);
    return out;
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) {
    out.host = text;
    return out;
  }
  out.host = text.substr(0, colon);
  out.port = text.substr(colon + 1);
  return out;
}

std::string host_port(const Endpoint& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", endpoint.host, endpoint.port) : fmt::format("{}:{}", endpoint.host, endpoint.port);
}

// The stream through the proxy. Reads the proxy's answer, then passes everything on.
class ProxiedStream final : public ByteStream, private ByteStream::Handler, private TurnEndHook {
 public:
  ProxiedStream(Loop& loop, std::unique_ptr<ByteStream> lower) : loop_(loop), lower_(std::move(lower)), answered_(loop) {}
  ~ProxiedStream() override {
    if (gone_ != nullptr) *gone_ = true;
  }

  void ask(const std::string& request) {
    lower_->start(*this);
    lower_->write(request);
  }
  Event& answered() { return answered_; }
  // Of the answer, without the blank line.
  Result<std::string> head() const { return head_; }

  void start(ByteStream::Handler& handler) override {
    handler_ = &handler;
    resume();
  }
  void write(std::string_view bytes) override { lower_->write(bytes); }
  size_t buffered() const override { return lower_->buffered(); }
  void pause() override {
    paused_ = true;
    lower_->pause();
  }
  void resume() override {
    paused_ = false;
    if (!early_.empty() || closed_) loop_.at_turn_end(*this);
    lower_->resume();
  }
  void shutdown() override { lower_->shutdown(); }
  std::string peer_address() const override { return lower_->peer_address(); }

 private:
  void on_data(std::string_view bytes) override {
    if (handler_ != nullptr && early_.empty()) {
      handler_->on_data(bytes);
      return;
    }
    early_.append(bytes);
    if (handler_ != nullptr) {
      loop_.at_turn_end(*this);
    } else if (!answered_.is_set()) {
      find_answer();
    }
  }
  void on_closed(const Error& error) override {
    if (handler_ != nullptr && early_.empty() && !paused_) {
      handler_->on_closed(error);
      return;
    }
    closed_ = error;
    if (answered_.is_set()) return;
    head_ = fail(error.code, "{} before the proxy answered", error.message);
    answered_.set();
  }
  void on_drained() override {
    if (handler_ != nullptr) handler_->on_drained();
  }

  void find_answer() {
    const size_t end = early_.find("\r\n\r\n");
    if (end == std::string::npos && early_.size() <= kLargestAnswer) return;
    if (end == std::string::npos) {
      head_ = fail(Code::kTooLarge, "the proxy's answer is longer than {} bytes", kLargestAnswer);
    } else {
      head_ = early_.substr(0, end);
      early_.erase(0, end + 4);
    }
    lower_->pause();
    answered_.set();
  }

  // What came with or right after the answer.
  void turn_ended() override {
    if (paused_ || handler_ == nullptr) return;
    bool gone = false;
    gone_ = &gone;
    if (const std::string bytes = std::exchange(early_, std::string()); !bytes.empty()) handler_->on_data(bytes);
    if (gone) return;
    gone_ = nullptr;
    if (closed_ && !paused_) {
      const Error why = *std::exchange(closed_, std::nullopt);
      handler_->on_closed(why);
    }
  }

  Loop& loop_;
  std::unique_ptr<ByteStream> lower_;
  ByteStream::Handler* handler_ = nullptr;
  Event answered_;
  Result<std::string> head_ = std::string();
  std::string early_;
  std::optional<Error> closed_;
  bool* gone_ = nullptr;
  bool paused_ = false;
};

// "HTTP/1.1 200 Connection established" -> ok.
Status check_answer(std::string_view head) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const size_t space = line.find(' ');
  const auto status = space == std::string_view::npos ? std::nullopt : parse_uint(line.substr(space + 1, 3));
  if (!line.starts_with("HTTP/1.") || !status) return fail(Code::kUnavailable, "the proxy does not speak HTTP");
  if (*status >= 200 && *status < 300) return ok();
  const std::string reason = truncate_utf8(line.substr(space + 1), 100);
  if (*status == 407) return fail(Code::kUnauthorized, "the proxy wants other credentials ({})", reason);
  if (*status == 403) return fail(Code::kForbidden, "the proxy refused ({})", reason);
  return fail(Code::kUnavailable, "the proxy answered {}", reason);
}

}  // namespace

Result<ProxyUrl> ProxyUrl::parse(std::string_view text) {
  ProxyUrl url;
  std::string_view rest = trim(text);
  std::string scheme = "http";
  if (const size_t end = rest.find("://"); end != std::string_view::npos) {
    scheme = to_lower(rest.substr(0, end));
    rest.remove_prefix(end + 3);
  }
  if (scheme == "socks5" || scheme == "socks5h") {
    return fail(Code::kUnsupported, "proxy URL: SOCKS proxies are not supported yet");
  }
  if (scheme != "http" && scheme != "https") {
    return fail(Code::kInvalid, "proxy URL: unknown scheme \"{}\" (want http or https)", truncate_utf8(scheme, 20));
  }
  url.tls = scheme == "https";
  rest = rest.substr(0, rest.find_first_of("/?#"));
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view userinfo = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    const size_t colon = userinfo.find(':');
    const auto user = percent_decode(userinfo.substr(0, colon), false);
    const auto password = percent_decode(
        colon == std::string_view::npos ? std::string_view() : userinfo.substr(colon + 1), false);
    if (!user || !password) return fail(Code::kInvalid, "proxy URL: malformed user or password");
    url.authorization = "Basic " + base64_encode(*user + ":" + *password);
  }
  const auto parts = split_host_port(rest);
  if (!parts || parts->host.empty()) return fail(Code::kInvalid, "proxy URL: no host");
  const auto port = parts->port.empty() ? std::optional<uint64_t>(url.tls ? 443 : 80) : parse_uint(parts->port);
  if (!port || *port == 0 || *port > 65535) return fail(Code::kInvalid, "proxy URL: bad port");
  if (parts->host.find_first_of(" \t\r\n") != std::string::npos) return fail(Code::kInvalid, "proxy URL: bad host");
  url.endpoint = Endpoint(parts->host, static_cast<uint16_t>(*port));
  return url;
}

NoProxy::NoProxy(std::string_view list) {
  for (const std::string_view part : split(list, ',')) {
    const std::string entry = to_lower(trim(part));
    if (entry.empty()) continue;
    if (entry == "*") {
      all_ = true;
      return;
    }
    if (entry.find('/') != std::string::npos) {
      if (auto range = Cidr::parse(entry)) {
        ranges_.push_back(*range);
        continue;
      }
    }
    auto parts = split_host_port(entry);
    if (!parts || parts->host.empty()) continue;
    if (const auto address = IpAddress::parse(parts->host)) {
      Address only;
      only.address = *address;
      only.port = parts->port;
      addresses_.push_back(std::move(only));
      continue;
    }
    Domain domain;
    domain.port = parts->port;
    domain.suffix = parts->host.starts_with("*.") ? parts->host.substr(1) : parts->host;
    if (!domain.suffix.starts_with('.')) {
      domain.host_too = true;
      domain.suffix.insert(0, ".");
    }
    domains_.push_back(std::move(domain));
  }
}

bool NoProxy::matches(const Endpoint& endpoint) const {
  const std::string host = to_lower(trim(endpoint.host));
  const std::string port = fmt::format("{}", endpoint.port);
  if (all_ || host == "localhost") return true;
  if (const auto address = IpAddress::parse(host)) {
    if (address->is_loopback()) return true;
    for (const Address& only : addresses_) {
      if (only.address == *address && (only.port.empty() || only.port == port)) return true;
    }
    for (const Cidr& range : ranges_) {
      if (range.contains(*address)) return true;
    }
  }
  for (const Domain& domain : domains_) {
    const bool fits = host.ends_with(domain.suffix) ||
                      (domain.host_too && host == std::string_view(domain.suffix).substr(1));
    if (fits && (domain.port.empty() || domain.port == port)) return true;
  }
  return false;
}

Task<Result<std::unique_ptr<ByteStream>>> ProxyConnector::connect(Endpoint endpoint, MonoTime deadline) {
  const std::string target = host_port(endpoint);
  const std::string where = fmt::format("dial {} through proxy {}", target, host_port(url_.endpoint));
  const auto numeric = IpAddress::parse(endpoint.host);
  if (filter_ != nullptr && numeric) {
    Status allowed = filter_->check(*numeric);
    if (!allowed) co_return fail(std::move(allowed).error().with_context(where));
  }
  if (target.find_first_of(" \t\r\n") != std::string::npos) co_return fail(Code::kInvalid, "malformed host name");
  auto lower = co_await to_proxy_.connect(url_.endpoint, deadline);
  if (!lower) co_return fail(std::move(lower).error().with_context(where));
  auto stream = std::make_unique<ProxiedStream>(loop_, *std::move(lower));
  std::string request = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", target);
  if (!url_.authorization.empty()) request += fmt::format("Proxy-Authorization: {}\r\n", url_.authorization);
  request += "\r\n";
  stream->ask(request);
  const bool in_time = co_await stream->answered().wait(deadline);
  if (!in_time) co_return fail(Code::kDeadlineExceeded, "{}: deadline exceeded", where);
  auto head = stream->head();
  if (!head) co_return fail(std::move(head).error().with_context(where));
  Status accepted = check_answer(*head);
  if (!accepted) co_return fail(std::move(accepted).error().with_context(where));
  std::unique_ptr<ByteStream> open = std::move(stream);
  co_return open;
}

}  // namespace gs::net
