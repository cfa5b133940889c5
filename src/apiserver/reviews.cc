#include "apiserver/reviews.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/strategy.h"

namespace gs::apiserver {
namespace {

using schema::FieldErrors;

json::Array array_of(const std::vector<std::string>& texts) { return json::Array(texts.begin(), texts.end()); }

std::vector<std::string> strings_of(const json::Value* value) {
  std::vector<std::string> out;
  if (value == nullptr || value->array() == nullptr) return out;
  for (const json::Value& one : *value->array()) out.emplace_back(one.string() != nullptr ? *one.string() : "");
  return out;
}

json::Value user_value(const UserInfo& user) {
  json::Value out;
  out["username"] = user.name;
  if (!user.uid.empty()) out["uid"] = user.uid;
  if (!user.groups.empty()) out["groups"] = array_of(user.groups);
  for (const auto& [key, values] : user.extra) out["extra"][key] = array_of(values);
  return out;
}

bool given(const json::Value& object, const char* path) { return object.at(path) != nullptr && !object.at(path)->is_null(); }

json::Value rule_value(const PolicyRule& rule, bool resources) {
  json::Value out;
  out["verbs"] = array_of(rule.verbs);
  if (!resources) {
    out["nonResourceURLs"] = array_of(rule.non_resource_urls);
    return out;
  }
  if (!rule.api_groups.empty()) out["apiGroups"] = array_of(rule.api_groups);
  out["resources"] = array_of(rule.resources);
  if (!rule.resource_names.empty()) out["resourceNames"] = array_of(rule.resource_names);
  return out;
}

void rules(json::Value& status, const std::string& ns, const ReviewContext& context) {
  std::string error;
  const PolicyRules all = context.authorizer != nullptr ? context.authorizer->rules_for(context.user, ns, error) : full_authority();
  json::Array resources, urls;
  for (const PolicyRule& rule : all) {
    if (!rule.resources.empty()) resources.push_back(rule_value(rule, true));
    if (!rule.non_resource_urls.empty()) urls.push_back(rule_value(rule, false));
  }
  status["resourceRules"] = std::move(resources);
  status["nonResourceRules"] = std::move(urls);
  status["incomplete"] = false;
  if (!error.empty()) status["evaluationError"] = error;
}

void token(json::Value& status, const json::Value& object, const ReviewContext& context) {
  TokenAnswer said;
  said.error = "invalid bearer token";
  if (context.authenticator != nullptr) said = context.authenticator->user_of_token(object.text("spec.token"), context.tokens, strings_of(object.at("spec.audiences")));
  if (!said.user) {
    status["user"] = json::Object();
    status["error"] = said.error;
    return;
  }
  status["authenticated"] = true;
  status["user"] = user_value(*said.user);
  if (!said.audiences.empty()) status["audiences"] = array_of(said.audiences);
}

// As Go has the struct.
json::Value shown_path(const json::Value& object) {
  json::Value out;
  out["Path"] = object.text("spec.nonResourceAttributes.path");
  out["Verb"] = object.text("spec.nonResourceAttributes.verb");
  return out;
}

// pkg/apis/authorization/validation.
FieldErrors check_access_review(const ResourceType& type, const json::Value& object) {
  using schema::invalid;
  FieldErrors errors;
  const bool resource = given(object, "spec.resourceAttributes"), path = given(object, "spec.nonResourceAttributes");
  if (resource && path) {
    errors.push_back(invalid("spec.nonResourceAttributes", shown_path(object), "cannot be specified in combination with resourceAttributes"));
  }
  if (!resource && !path) errors.push_back(invalid("spec.resourceAttributes", json::Value(), "exactly one of nonResourceAttributes or resourceAttributes must be specified"));
  const bool self = type.kind == "SelfSubjectAccessReview", local = type.kind == "LocalSubjectAccessReview";
  if (!self && object.text("spec.user").empty() && !has_entries(object, "spec.groups")) errors.push_back(invalid("spec.user", "", "at least one of user or group must be specified"));
  json::Value metadata = object.find("metadata") != nullptr ? *object.find("metadata") : json::Value();
  if (local) metadata.make_object().erase("namespace");
  if (metadata.object() != nullptr && metadata.find("creationTimestamp") != nullptr && metadata.find("creationTimestamp")->is_null()) metadata.make_object().erase("creationTimestamp");
  if (metadata.object() != nullptr && !metadata.object()->empty()) {
    errors.push_back(invalid("metadata", metadata, local ? "must be empty except for namespace" : "must be empty"));
  }
  if (!local) return errors;
  const std::string_view ns = object.text("spec.resourceAttributes.namespace");
  if (resource && ns != object.text("metadata.namespace")) errors.push_back(invalid("spec.resourceAttributes.namespace", ns, "must match metadata.namespace"));
  if (path) errors.push_back(invalid("spec.nonResourceAttributes", shown_path(object), "disallowed on this kind of request"));
  return errors;
}

// Whom the review is about; a review of oneself: who asks.
UserInfo subject_of(const ResourceType& type, const json::Value& object, const ReviewContext& context) {
  if (type.kind == "SelfSubjectAccessReview") return context.user;
  UserInfo out;
  out.name = object.text("spec.user");
  out.uid = object.text("spec.uid");
  out.groups = strings_of(object.at("spec.groups"));
  const json::Value* extra = object.at("spec.extra");
  if (extra == nullptr || extra->object() == nullptr) return out;
  for (const auto& [key, values] : *extra->object()) out.extra[key] = strings_of(&values);
  return out;
}

Attributes attributes_asked(const json::Value& object) {
  Attributes out;
  const json::Value* of_path = object.at("spec.nonResourceAttributes");
  if (of_path != nullptr && !of_path->is_null()) {
    out.path = of_path->text("path");
    out.verb = of_path->text("verb");
    return out;
  }
  const json::Value& asked = *object.at("spec.resourceAttributes");
  out.resource_request = true;
  out.ns = asked.text("namespace");
  out.verb = asked.text("verb");
  out.group = asked.text("group");
  out.version = asked.text("version");
  out.resource = asked.text("resource");
  out.subresource = asked.text("subresource");
  out.name = asked.text("name");
  return out;
}

std::optional<Answer> access(json::Value& status, const ResourceType& type, const json::Value& object, const ReviewContext& context) {
  if (const FieldErrors errors = check_access_review(type, object); !errors.empty()) {
    // The kind is not named.
    ResourceType nameless;
    nameless.group = "authorization.k8s.io";
    return invalid(nameless, "", errors);
  }
  if (context.authorizer == nullptr) {
    status["allowed"] = true;
    return std::nullopt;
  }
  const Decision decision = context.authorizer->authorize(subject_of(type, object, context), attributes_asked(object));
  status["allowed"] = decision.allowed;
  if (!decision.reason.empty()) status["reason"] = decision.reason;
  return std::nullopt;
}

}  // namespace

Answer review(const ResourceType& type, json::Value object, const ReviewContext& context, WallTime now) {
  json::Value status;
  if (type.kind == "SelfSubjectReview") {
    status["userInfo"] = user_value(context.user);
  } else if (type.kind == "TokenReview") {
    if (object.text("spec.token").empty()) return bad_request("token is required for TokenReview in authentication");
    token(status, object, context);
  } else if (type.kind == "SelfSubjectRulesReview") {
    const std::string ns(object.text("spec.namespace"));
    if (ns.empty()) return bad_request("no namespace on request");
    rules(status, ns, context);
  } else if (type.kind.ends_with("SubjectAccessReview")) {
    if (type.namespaced && object.text("metadata.namespace").empty()) object["metadata"]["namespace"] = context.ns;
    if (std::optional<Answer> refusal = access(status, type, object, context)) return *std::move(refusal);
  } else {
    return failure(501, "NotImplemented", fmt::format("{} is not served by this server", type.qualified()));
  }
  object["kind"] = type.kind;
  object["apiVersion"] = type.api_version();
  // The others are answered as they came.
  if (type.kind == "SelfSubjectReview") object["metadata"]["creationTimestamp"] = format_rfc3339(now);
  else object["metadata"].make_object();
  if (type.kind == "SelfSubjectRulesReview") object["spec"] = json::Object();
  object["status"] = std::move(status);
  return Answer(201, object.dump());
}

}  // namespace gs::apiserver
