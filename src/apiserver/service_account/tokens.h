// Tokens of service accounts: made by TokenRequest (serviceaccounts/NAME/token), believed as long as what they name is
// there (k8s.io/kubernetes/pkg/serviceaccount and pkg/registry/core/serviceaccount/storage). Lives on the store's loop.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "apiserver/authenticator.h"
#include "apiserver/registry.h"
#include "apiserver/service_account/keys.h"
#include "base/strings.h"

namespace gs::apiserver {

class ServiceAccountTokens final : public TokenSource {
 public:
  ServiceAccountTokens(Loop& loop, const ResourceTable& table, const Store& store, std::shared_ptr<const ServiceAccountKeys> keys)
      : loop_(loop), table_(table), store_(store), keys_(std::move(keys)) {}

  // 201 with the token in the request's status.
  Answer issue(const ResourceType& accounts, const RestRequest& request, std::string_view body) const;

  TokenAnswer authenticate(std::string_view token, const std::vector<std::string>& audiences) const override;
  const std::vector<std::string>& api_audiences() const override { return keys_->api_audiences(); }

 private:
  using Claims = std::shared_ptr<const json::Value>;
  struct Bound;  // what a token is bound to

  Checked<Prepared> read_request(const RestRequest& request, std::string_view body) const;
  json::Value claims_for(const RestRequest& request, const std::string& uid, const std::vector<std::string>& audiences, int64_t seconds, const Bound& bound) const;
  Checked<Bound> bound_to(const json::Value& reference, const std::string& ns, const std::string& account) const;
  StoredPtr find(const char* resource, std::string_view ns, std::string_view name) const;
  // Of a token that one of the keys signed; null and words otherwise.
  Claims signed_claims(std::string_view token, std::string& error) const;
  // Why the claims do not count; empty: they do.
  std::string check(const json::Value& claims) const;
  std::string check_reference(const json::Value& claims, const char* kind, const char* resource, std::string_view ns) const;
  int64_t now() const;

  Loop& loop_;
  const ResourceTable& table_;
  const Store& store_;
  std::shared_ptr<const ServiceAccountKeys> keys_;
  // Signatures that were checked, by the token's digest: a client shows the same token with each request.
  mutable std::unordered_map<std::string, Claims> known_;
};

}  // namespace gs::apiserver
