#include "apiserver/reviews.h"

#include <fmt/format.h>

namespace gs::apiserver {
namespace {

json::Value user_value(const UserInfo& user) {
  json::Value out;
  out["username"] = user.name;
  if (!user.uid.empty()) out["uid"] = user.uid;
  json::Array groups;
  for (const std::string& group : user.groups) groups.emplace_back(group);
  if (!groups.empty()) out["groups"] = std::move(groups);
  return out;
}

void rules(json::Value& status) {
  const json::Array any{json::Value("*")};
  json::Value resources, paths;
  resources["verbs"] = any;
  paths["verbs"] = any;
  resources["apiGroups"] = any;
  resources["resources"] = any;
  paths["nonResourceURLs"] = any;
  status["resourceRules"] = json::Array{std::move(resources)};
  status["nonResourceRules"] = json::Array{std::move(paths)};
  status["incomplete"] = false;
}

void token(json::Value& status, const json::Value& object, const Authenticator* authenticator) {
  const auto user = authenticator != nullptr ? authenticator->user_of_token(object.text("spec.token")) : std::nullopt;
  if (!user) {
    status["error"] = "the token is not known";
    return;
  }
  status["authenticated"] = true;
  status["user"] = user_value(*user);
}

}  // namespace

Answer review(const ResourceType& type, json::Value object, const UserInfo& user, const Authenticator* authenticator, WallTime now) {
  json::Value status;
  if (type.kind == "SelfSubjectReview") {
    status["userInfo"] = user_value(user);
  } else if (type.kind == "TokenReview") {
    token(status, object, authenticator);
  } else if (type.kind == "SelfSubjectRulesReview") {
    rules(status);
  } else if (type.kind.ends_with("SubjectAccessReview")) {
    status["allowed"] = true;
    status["reason"] = "whoever is authenticated may do everything: this server has no authorization";
  } else {
    return failure(501, "NotImplemented", fmt::format("{} is not served by this server", type.qualified()));
  }
  object["kind"] = type.kind;
  object["apiVersion"] = type.api_version();
  object["metadata"]["creationTimestamp"] = format_rfc3339(now);
  object["status"] = std::move(status);
  return Answer(201, object.dump());
}

}  // namespace gs::apiserver
