#include "apiserver/reviews.h"

#include <fmt/format.h>

#include "apiserver/strategy.h"

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

// pkg/apis/authorization/validation: the kind is not named.
Answer one_of_both(const json::Value& object) {
  ResourceType nameless;
  nameless.group = "authorization.k8s.io";
  const json::Value* resource = object.at("spec.resourceAttributes");
  return invalid(nameless, "", {schema::invalid("spec.resourceAttributes", resource != nullptr ? *resource : json::Value(), "exactly one of nonResourceAttributes or resourceAttributes must be specified")});
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
    // Whoever is authenticated may do everything: this server has no authorization.
    const auto given = [&](const char* path) { return object.at(path) != nullptr && !object.at(path)->is_null(); };
    if (given("spec.resourceAttributes") == given("spec.nonResourceAttributes")) return one_of_both(object);
    status["allowed"] = true;
  } else {
    return failure(501, "NotImplemented", fmt::format("{} is not served by this server", type.qualified()));
  }
  object["kind"] = type.kind;
  object["apiVersion"] = type.api_version();
  // Reviews of what one may do are answered as they came.
  const bool dated = type.kind == "SelfSubjectReview" || type.kind == "TokenReview";
  if (dated) object["metadata"]["creationTimestamp"] = format_rfc3339(now);
  else object["metadata"].make_object();
  if (type.kind == "SelfSubjectRulesReview") object["spec"] = json::Object();
  object["status"] = std::move(status);
  return Answer(201, object.dump());
}

}  // namespace gs::apiserver
