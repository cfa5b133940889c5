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

class Authenticator {
 public:
  // Kubernetes' --token-auth-file: CSV of token, user, uid and, if any, "group1,group2". kInvalid names the line.
  Status add_token_file(std::string_view csv);
  void add_token(std::string_view token, UserInfo user);
  // Who shows nothing is system:anonymous everywhere, for an authorizer to judge.
  void let_anybody_ask() { anybody_ = true; }

  // `subject`: of the client certificate, as HttpExchange::client_certificate_subject() has it.
  // 401 where what is shown is not known, or nothing is shown for a path that wants to know.
  Checked<UserInfo> authenticate(const net::HttpRequest& request, const std::vector<std::string>& subject) const;
  // For reviews of tokens; nullopt: it is nobody's.
  std::optional<UserInfo> user_of_token(std::string_view token) const;

 private:
  // By digest, so that the time of a search tells nothing of a token.
  std::unordered_map<std::string, UserInfo> tokens_;
  bool anybody_ = false;
};

// What anybody may ask: probes and the version (Kubernetes' role system:public-info-viewer).
bool is_public_path(std::string_view path);

}  // namespace gs::apiserver
