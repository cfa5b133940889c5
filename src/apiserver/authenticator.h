// Who asks: a verified client certificate (the CN is the user, the Os its groups) or a bearer token, in this order, as
// k8s.io/apiserver's union of authenticators. Filled at the start and immutable afterwards: any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apiserver/answer.h"
#include "apiserver/user_info.h"
#include "base/error.h"
#include "net/http.h"

namespace gs::apiserver {

// What a source of tokens says to one.
struct TokenAnswer {
  std::optional<UserInfo> user;
  std::vector<std::string> audiences;  // those of the asked for that the token is meant for
  std::string error;                   // empty without a user: it is somebody else's affair
};

// Tokens beside those of a file: those of a cluster's service accounts.
class TokenSource {
 public:
  // `audiences`: who asks for whom it is meant; empty: the server's own.
  virtual TokenAnswer authenticate(std::string_view token, const std::vector<std::string>& audiences) const = 0;
  virtual const std::vector<std::string>& api_audiences() const = 0;

 protected:
  ~TokenSource() = default;
};

class Authenticator {
 public:
  // Kubernetes' --token-auth-file: CSV of token, user, uid and, if any, "group1,group2". kInvalid names the line.
  Status add_token_file(std::string_view csv);
  void add_token(std::string_view token, UserInfo user);
  // Who shows nothing is system:anonymous everywhere, for an authorizer to judge.
  void let_anybody_ask() { anybody_ = true; }

  // `subject`: of the client certificate, as HttpExchange::client_certificate_subject() has it.
  // 401 where what is shown is not known, or nothing is shown for a path that wants to know.
  Checked<UserInfo> authenticate(const net::HttpRequest& request, const std::vector<std::string>& subject, const TokenSource* more = nullptr) const;
  // Also for reviews of tokens; `more` may be null. Without a user the error says why, in Kubernetes' words.
  TokenAnswer user_of_token(std::string_view token, const TokenSource* more = nullptr, const std::vector<std::string>& audiences = {}) const;

 private:
  // By digest, so that the time of a search tells nothing of a token.
  std::unordered_map<std::string, UserInfo> tokens_;
  bool anybody_ = false;
};

// What anybody may ask: probes and the version (Kubernetes' role system:public-info-viewer).
bool is_public_path(std::string_view path);

}  // namespace gs::apiserver
