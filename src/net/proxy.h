// HTTP CONNECT proxies, as kubeconfig's proxy-url and the environment name them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/byte_stream.h"
#include "net/cidr.h"

namespace gs::net {

struct ProxyUrl {
  // "http://[user:password@]host[:port]", https likewise; without a scheme it is http. SOCKS is
  // kUnsupported for now. The password is never part of an error.
  static Result<ProxyUrl> parse(std::string_view text);

  ProxyUrl() : endpoint("", 0) {}
  bool tls = false;
  Endpoint endpoint;
  std::string authorization;  // value of Proxy-Authorization; empty: none
};

// NO_PROXY as Go's golang.org/x/net/http/httpproxy reads it: names (with their subdomains unless
// "*." or "." says subdomains only), addresses, ranges, each but ranges with an optional port; "*".
// Loopback and "localhost" never go through a proxy.
class NoProxy {
 public:
  NoProxy() = default;
  explicit NoProxy(std::string_view list);
  // Whether the destination is to be dialled directly.
  bool matches(const Endpoint& endpoint) const;

 private:
  struct Domain {
    std::string suffix;  // with its leading dot
    std::string port;    // empty: any
    bool host_too = false;
  };
  struct Address {
    IpAddress address;
    std::string port;
  };
  bool all_ = false;
  std::vector<Domain> domains_;
  std::vector<Address> addresses_;
  std::vector<Cidr> ranges_;
};

// Reaches every destination through the proxy, whose name is resolved (and checked by the rules) by
// `to_proxy`; the destination's own name is resolved by the proxy.
class ProxyConnector final : public Connector {
 public:
  // `to_proxy` dials the proxy: TCP, or TLS over it where url.tls. `filter` (may be null) is asked
  // about destinations that are numeric addresses.
  ProxyConnector(Loop& loop, Connector& to_proxy, ProxyUrl url, const DestinationFilter* filter)
      : loop_(loop), to_proxy_(to_proxy), url_(std::move(url)), filter_(filter) {}
  Task<Result<std::unique_ptr<ByteStream>>> connect(Endpoint endpoint, MonoTime deadline) override;

 private:
  Loop& loop_;
  Connector& to_proxy_;
  ProxyUrl url_;
  const DestinationFilter* filter_;
};

}  // namespace gs::net
