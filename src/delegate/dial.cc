#include "delegate/dial.h"

namespace gs::delegate {

Result<Credential> credential_for(const DialerDeps& deps, const kube::ServerUrl& url) {
  return deps.credentials != nullptr ? deps.credentials->find(url) : Credential();
}

Task<Result<std::unique_ptr<net::ByteStream>>> dial_delegate(const DialerDeps& deps, kube::ServerUrl url, std::string address,
                                                             std::vector<std::string> alpn, Credential credential, MonoTime deadline) {
  const net::Endpoint endpoint(address, url.port);
  if (!url.tls) {
    const auto ip = net::IpAddress::parse(address);
    if (!deps.allow_insecure && !(ip && ip->is_loopback())) {
      co_return fail(Code::kForbidden,
                     "{} leads to {}: http:// goes to loopback only; use https://, or start the plane with --allow-insecure-delegates",
                     url.text, address);
    }
    co_return co_await deps.tcp.connect(endpoint, deadline);
  }
  net::TlsOptions options;
  options.trust = deps.trust;
  options.server_name = url.host;
  options.alpn = std::move(alpn);
  options.identity = credential.identity;
  net::TlsConnector tls(deps.loop, deps.tls, deps.tcp, std::move(options));
  co_return co_await tls.connect(endpoint, deadline);
}

Task<Result<std::unique_ptr<net::ByteStream>>> dial_host(const DialerDeps& deps, kube::ServerUrl url, std::vector<std::string> alpn,
                                                         Credential credential, MonoTime deadline) {
  auto resolving = deps.resolver.resolve(url.host, deadline);
  GS_CO_TRY(const auto addresses, co_await std::move(resolving));
  Error why(Code::kUnavailable, "no address");
  for (const net::IpAddress& address : addresses) {
    auto dialling = dial_delegate(deps, url, address.to_string(), alpn, credential, deadline);
    auto stream = co_await std::move(dialling);
    if (stream) co_return std::move(stream);
    why = std::move(stream).error();
    if (why.code != Code::kUnavailable) break;
  }
  co_return fail(std::move(why));
}

}  // namespace gs::delegate
