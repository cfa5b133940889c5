#include "webhook/review_service.h"

namespace gs::webhook {
namespace {

// What the origin is to be shown, as it is now; shared by the connections and the requests.
class OriginIdentity {
 public:
  OriginIdentity(const delegate::DialerDeps& deps, kube::ServerUrl url) : deps_(deps), url_(std::move(url)) {}

  Result<delegate::Credential> find() {
    GS_TRY(delegate::Credential found, delegate::credential_for(deps_, url_));
    if (found.identity != last_identity_) ++generation_;  // connections with the old certificate take no new reviews
    if (found.token != last_token_) ++token_generation_;
    last_identity_ = found.identity;
    last_token_ = found.token;
    return found;
  }
  uint64_t generation() const { return generation_; }
  uint64_t token_generation() const { return token_generation_; }
  const delegate::DialerDeps& deps() const { return deps_; }
  const kube::ServerUrl& url() const { return url_; }

 private:
  delegate::DialerDeps deps_;
  kube::ServerUrl url_;
  std::shared_ptr<const net::Identity> last_identity_;
  std::string last_token_;
  uint64_t generation_ = 1;
  uint64_t token_generation_ = 1;
};

class OriginConnector final : public kube::SecureConnector {
 public:
  explicit OriginConnector(std::shared_ptr<OriginIdentity> origin) : origin_(std::move(origin)) {}

  Task<Result<std::unique_ptr<net::ByteStream>>> connect(net::Endpoint, MonoTime deadline) override {
    GS_CO_TRY(const delegate::Credential credential, origin_->find());
    std::vector<std::string> alpn = {"h2", "http/1.1"};
    auto dialling = delegate::dial_host(origin_->deps(), origin_->url(), std::move(alpn), credential, deadline);
    co_return co_await std::move(dialling);
  }
  Status set_identity(const std::string&, const std::string&) override { return ok(); }
  bool watches_files() const override { return false; }
  Task<void> refresh() override { co_return; }
  uint64_t generation() const override { return origin_->generation(); }

 private:
  std::shared_ptr<OriginIdentity> origin_;
};

class OriginCredentials final : public kube::CredentialSource {
 public:
  explicit OriginCredentials(std::shared_ptr<OriginIdentity> origin) : origin_(std::move(origin)) {}

  kube::CredentialPtr current() override {
    auto found = origin_->find();
    if (!found) return nullptr;
    if (last_ != nullptr && last_->generation == origin_->token_generation()) return last_;
    auto fresh = std::make_shared<kube::Credential>();
    if (!found->token.empty()) fresh->authorization = "Bearer " + found->token;
    fresh->generation = origin_->token_generation();
    last_ = fresh;
    return fresh;
  }
  Task<Result<kube::CredentialPtr>> get(MonoTime) override {
    kube::CredentialPtr now = current();
    if (now != nullptr) co_return now;
    auto found = origin_->find();
    co_return fail(Code::kUnauthorized, "{}", found ? "no credential" : found.error().message);
  }
  // Files are read anew as they change; there is nothing else to look for.
  void invalidate(uint64_t) override {}

 private:
  std::shared_ptr<OriginIdentity> origin_;
  kube::CredentialPtr last_;
};

}  // namespace

std::shared_ptr<kube::KubeTransport> ReviewServices::acquire(const kube::ServerUrl& url) {
  std::erase_if(by_url_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<kube::KubeTransport>& slot = by_url_[url.text];
  if (auto known = slot.lock()) return known;
  kube::HttpTransportOptions options;
  options.user_agent = deps_.user_agent;
  options.dial_timeout = std::chrono::seconds(10);
  options.last_backoff = std::chrono::seconds(5);
  options.max_response = max_answer_;
  options.max_http1_requests = kMaxConnections;
  options.max_http2_connections = 4;
  options.without_alpn = kube::HttpProtocol::kHttp1;
  kube::ConnectionConfig config;
  config.server = url;
  auto origin = std::make_shared<OriginIdentity>(deps_, url);
  auto made = std::make_shared<kube::HttpTransport>(deps_.loop, std::make_unique<OriginConnector>(origin), std::make_unique<OriginCredentials>(origin),
                                                    config, std::move(options));
  slot = made;
  return made;
}

}  // namespace gs::webhook
