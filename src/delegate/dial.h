// A connection to an address of a delegate: TLS as its origin has it, with the credential for that origin and no other.
// Plain text goes to loopback only, judged by the address that is dialled and not by the name, unless the plane allows more.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "delegate/credentials.h"
#include "kube/server_url.h"
#include "net/byte_stream.h"
#include "net/dns.h"
#include "net/tls.h"

namespace gs::delegate {

// Of the whole plane; all that is referred to outlives the dialers.
struct DialerDeps {
  DialerDeps(Loop& l, net::Connector& c, net::Resolver& r, net::TlsContext& t) : loop(l), tcp(c), resolver(r), tls(t) {}
  Loop& loop;
  net::Connector& tcp;
  net::Resolver& resolver;
  net::TlsContext& tls;
  std::shared_ptr<const net::TrustStore> trust;  // null: the machine's authorities
  const Credentials* credentials = nullptr;      // null: none for anyone
  bool allow_insecure = false;                   // http:// to other machines
  std::string user_agent = "gulfstream";
};

// `address` is numeric and one of url.host's. `credential`: what the origin is to be shown; its certificate goes with TLS.
// kForbidden: plain text to another machine.
Task<Result<std::unique_ptr<net::ByteStream>>> dial_delegate(const DialerDeps& deps, kube::ServerUrl url, std::string address,
                                                             std::vector<std::string> alpn, Credential credential, MonoTime deadline);
// The addresses of url.host in turn, until one takes us.
Task<Result<std::unique_ptr<net::ByteStream>>> dial_host(const DialerDeps& deps, kube::ServerUrl url, std::vector<std::string> alpn,
                                                         Credential credential, MonoTime deadline);
// What is shown to the origin; empty where there is nothing.
Result<Credential> credential_for(const DialerDeps& deps, const kube::ServerUrl& url);

}  // namespace gs::delegate
