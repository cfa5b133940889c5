#include "embedded/host.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "embedded/kubeconfig_file.h"
#include "kube/kubeconfig.h"
#include "net/cidr.h"
#include "runtime/sync.h"
#include "webhook/certificate_store.h"

namespace gs::embedded {
namespace {

Result<std::string> read_flag_file(const char* flag, const std::string& path) {
  auto text = kube::read_file(path);
  if (!text) return fail(std::move(text).error().with_context(flag));
  return text;
}

// Empty without --tls-cert-file.
Result<webhook::KeyPair> read_own(const std::string& certificate, const std::string& key) {
  webhook::KeyPair out;
  if (certificate.empty()) return out;
  GS_TRY(out.certificate, read_flag_file("--tls-cert-file", certificate));
  GS_TRY(out.key, read_flag_file("--tls-private-key-file", key));
  return out;
}

bool is_wildcard(const std::string& address) { return address == "0.0.0.0" || address == "::"; }

// Where clients of this machine dial.
std::string dialled(const std::string& bind_address) {
  if (bind_address == "0.0.0.0") return "127.0.0.1";
  return bind_address == "::" ? "::1" : bind_address;
}

void add_interfaces(std::set<std::string>& names) {
  uv_interface_address_t* all = nullptr;
  int count = 0;
  if (uv_interface_addresses(&all, &count) != 0) return;
  for (int i = 0; i < count; ++i) {
    char text[64] = "";
    const auto& address = all[i].address;
    const bool v4 = address.address4.sin_family == AF_INET;
    const int read = v4 ? uv_ip4_name(&address.address4, text, sizeof(text)) : uv_ip6_name(&address.address6, text, sizeof(text));
    if (read == 0 && net::IpAddress::parse(text)) names.insert(text);
  }
  uv_free_interface_addresses(all, count);
}

}  // namespace

Host::Host(UvLoop& loop, HostOptions options) : loop_(loop), options_(std::move(options)), scope_(loop) {}

Status Host::start(const std::vector<Manifest>& manifests) {
  if (!net::IpAddress::parse(options_.servers.bind_address)) {
    return fail(Code::kInvalid, "--bind-address {}: must be a numeric address, such as 127.0.0.1", options_.servers.bind_address);
  }
  GS_TRY_STATUS(read_authenticator());
  if (!options_.data_dir.empty()) {
    GS_TRY(certificates_, read_certificates(pki_directory()));
  }
  GS_TRY_STATUS(renew_certificates());
  GS_TRY_STATUS(read_service_account_keys());
  GS_TRY(own_, read_own(options_.tls_cert_file, options_.tls_private_key_file));
  options_.servers.server.objects.root_ca = authority();
  servers_ = std::make_unique<ApiServers>(options_.servers, tls_, authenticator_);
  return servers_->start(manifests);
}

Status Host::listen() {
  GS_TRY(const net::TlsServerOptions tls, tls_options());
  GS_TRY_STATUS(servers_->listen(tls));
  GS_TRY_STATUS(write_kubeconfig_file());
  scope_.spawn(follow_certificates());
  return ok();
}

void Host::stop(Duration drain) {
  scope_.cancel();
  if (servers_) servers_->stop(drain);
}

Status Host::read_authenticator() {
  // As kube-apiserver: where everybody may do everything, nobody comes without a name.
  if (!apiserver::allows_everything(options_.servers.server.authorization)) authenticator_.let_anybody_ask();
  if (!options_.client_ca_file.empty()) {
    GS_TRY(client_ca_, read_flag_file("--client-ca-file", options_.client_ca_file));
  }
  if (options_.token_auth_file.empty()) return ok();
  GS_TRY(const std::string csv, read_flag_file("--token-auth-file", options_.token_auth_file));
  if (Status read = authenticator_.add_token_file(csv); !read) return fail(std::move(read).error().with_context("--token-auth-file " + options_.token_auth_file));
  return ok();
}

// A key of our own lasts: tokens outlive a restart.
Result<apiserver::TokenKey> Host::signing_key() const {
  const std::string& given = options_.service_accounts.signing_key_file;
  const std::string own = options_.data_dir.empty() ? "" : pki_directory() + "/sa.key";
  const std::string path = given.empty() ? own : given;
  if (!given.empty() || file_exists(path)) {
    GS_TRY(const std::string pem, read_flag_file("--service-account-signing-key-file", path));
    auto key = apiserver::TokenKey::read_private(pem);
    if (!key) return fail(std::move(key).error().with_context("--service-account-signing-key-file " + path));
    return key;
  }
  GS_TRY(apiserver::TokenKey key, apiserver::TokenKey::make());
  if (path.empty()) return key;
  GS_TRY(const std::string pem, key.to_pem());
  GS_TRY_STATUS(write_whole_file(path, pem, kSecretFile));
  return key;
}

Status Host::read_service_account_keys() {
  GS_TRY(apiserver::TokenKey signing, signing_key());
  auto keys = std::make_shared<apiserver::ServiceAccountKeys>(signing);
  keys->accepted.push_back(std::move(signing));
  for (const std::string& path : options_.service_accounts.key_files) {
    GS_TRY(const std::string pem, read_flag_file("--service-account-key-file", path));
    auto more = apiserver::TokenKey::read_all(pem);
    if (!more) return fail(std::move(more).error().with_context("--service-account-key-file " + path));
    keys->accepted.insert(keys->accepted.end(), more->begin(), more->end());
  }
  if (!options_.service_accounts.issuers.empty()) keys->issuers = options_.service_accounts.issuers;
  keys->audiences = options_.service_accounts.audiences;
  options_.servers.server.service_account_keys = std::move(keys);
  return ok();
}

std::set<std::string> Host::certificate_names() const {
  std::set<std::string> out{"localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"};
  char host[256] = "";
  if (::gethostname(host, sizeof(host) - 1) == 0 && host[0] != '\0') out.insert(to_lower(host));
  if (is_wildcard(options_.servers.bind_address)) add_interfaces(out);
  else out.insert(options_.servers.bind_address);
  return out;
}

Status Host::renew_certificates() {
  GS_TRY(const std::vector<std::string> did, renew(certificates_, certificate_names(), loop_.wall_now()));
  if (did.empty() || options_.data_dir.empty()) return ok();
  log::info("certificates renewed", {{"directory", pki_directory()}, {"did", join(did, ", ")}});
  return write_certificates(pki_directory(), certificates_);
}

Result<net::TlsServerOptions> Host::tls_options() {
  net::TlsServerOptions out;
  const webhook::KeyPair& serving = own_.certificate.empty() ? certificates_.serving : own_;
  auto identity = tls_.identity(serving.certificate, serving.key);
  if (!identity) return fail(std::move(identity).error().with_context(own_.certificate.empty() ? "the serving certificate" : "--tls-cert-file " + options_.tls_cert_file));
  out.identity = *std::move(identity);
  auto trust = tls_.trust(certificates_.authority.certificate + client_ca_);
  if (!trust) return fail(std::move(trust).error().with_context("--client-ca-file " + options_.client_ca_file));
  out.client_trust = *std::move(trust);
  out.client_certificate = net::ClientCertificate::kRequested;
  out.alpn = {"h2", "http/1.1"};
  return out;
}

// Whoever serves with a certificate of their own is trusted by that certificate and its chain.
std::string Host::authority() const { return own_.certificate.empty() ? certificates_.authority.certificate : own_.certificate; }

std::string Host::url(size_t cluster) const {
  const std::string host = dialled(options_.servers.bind_address);
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("https://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", servers_->ports()[cluster]);
}

std::string Host::kubeconfig_of(size_t cluster, const std::string& context) const {
  return kubeconfig_text({KubeconfigEntry(context, url(cluster))}, authority(), certificates_.admin);
}

Status Host::write_kubeconfig_file() const {
  std::vector<KubeconfigEntry> entries;
  for (size_t i = 0; i < options_.names.size(); ++i) entries.emplace_back(options_.names[i], url(i));
  return write_kubeconfig(options_.kubeconfig, kubeconfig_text(entries, authority(), certificates_.admin));
}

// The kubeconfig carries the administrator's certificate, and the authority that servers are verified by.
Status Host::adopt(Result<webhook::KeyPair> own) {
  if (!own) return fail(std::move(own).error());
  const std::string serving = certificates_.serving.certificate, admin = certificates_.admin.certificate;
  GS_TRY_STATUS(renew_certificates());
  if (serving == certificates_.serving.certificate && admin == certificates_.admin.certificate && own->certificate == own_.certificate) return ok();
  const webhook::KeyPair before = std::exchange(own_, *std::move(own));
  auto tls = tls_options();
  if (!tls) {
    own_ = before;
    return fail(std::move(tls).error());
  }
  servers_->serve_with(*tls);
  return write_kubeconfig_file();
}

// What cannot be read or written now is tried again; what is served stays meanwhile.
Task<void> Host::follow_certificates() {
  while (true) {
    co_await sleep_for(loop_, kLook);
    std::function<Result<webhook::KeyPair>()> reading = [certificate = options_.tls_cert_file, key = options_.tls_private_key_file] { return read_own(certificate, key); };
    auto read = webhook::off_loop<Result<webhook::KeyPair>>(loop_, std::move(reading));
    Result<webhook::KeyPair> own = co_await read;
    if (const Status adopted = adopt(std::move(own)); !adopted) log::error("certificates are not renewed", {{"err", adopted.error()}});
  }
}

Result<std::string> default_data_dir(const std::string& name) {
  if (::geteuid() == 0) return "/var/lib/gulfstream/" + name;
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return fmt::format("{}/gulfstream/{}", state, name);
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return fail(Code::kInvalid, "--data-dir: neither XDG_STATE_HOME nor HOME is set; give a directory, or --in-memory");
  return fmt::format("{}/.local/state/gulfstream/{}", home, name);
}

}  // namespace gs::embedded
