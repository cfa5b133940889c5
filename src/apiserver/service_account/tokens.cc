#include "apiserver/service_account/tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/respond.h"
#include "schema/go_json.h"
#include "schema/go_text.h"
#include "schema/kubernetes.h"

namespace gs::apiserver {
namespace {

using schema::FieldErrors;
using Strings = std::vector<std::string>;

constexpr int64_t kDefaultSeconds = 3600;
constexpr int64_t kLeastSeconds = 600;
constexpr int64_t kMostSeconds = int64_t{1} << 32;
// A pod's token that is asked for with this life lasts a year instead, for clients that do not read it again.
constexpr int64_t kWarnOnlySeconds = 60 * 60 + 7;
constexpr int64_t kExtendedSeconds = 24 * 365 * 60 * 60;
constexpr int64_t kLeewaySeconds = 60;  // go-jose's
constexpr size_t kKnownTokens = 4096;

const ResourceType& request_type() {
  static const ResourceType kType = [] {
    ResourceType out("authentication.k8s.io", "v1", "TokenRequest", "TokenRequest", true);
    out.schema = schema::kubernetes_kind("authentication.k8s.io/v1", "TokenRequest");
    return out;
  }();
  return kType;
}

Strings one_or_more(const json::Value* value) {
  Strings out;
  if (value == nullptr) return out;
  if (value->string() != nullptr) return {*value->string()};
  if (value->array() == nullptr) return out;
  for (const json::Value& one : *value->array()) out.emplace_back(one.string() != nullptr ? *one.string() : "");
  return out;
}

Strings both(const Strings& a, const Strings& b) {
  Strings out;
  for (const std::string& one : a) {
    if (std::find(b.begin(), b.end(), one) != b.end()) out.push_back(one);
  }
  return out;
}

json::Value reference_to(std::string_view name, std::string_view uid) {
  json::Value out;
  out["name"] = name;
  if (!uid.empty()) out["uid"] = uid;
  return out;
}

int64_t integer_at(const json::Value& claims, std::string_view path) {
  const json::Value* value = claims.find(path);
  return value != nullptr ? static_cast<int64_t>(value->number().value_or(0)) : 0;
}

FieldErrors check_seconds(int64_t seconds) {
  FieldErrors errors;
  if (seconds < kLeastSeconds) errors.push_back(schema::invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"));
  if (seconds > kMostSeconds) errors.push_back(schema::invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"));
  return errors;
}

}  // namespace

struct ServiceAccountTokens::Bound {
  std::string kind;  // pod, secret or node; empty: to nothing
  json::Value reference;
  json::Value node;  // of a pod; null: none
};

int64_t ServiceAccountTokens::now() const { return std::chrono::duration_cast<std::chrono::seconds>(loop_.wall_now().time_since_epoch()).count(); }

StoredPtr ServiceAccountTokens::find(const char* resource, std::string_view ns, std::string_view name) const { return store_.get(*table_.find("", resource), ns, name); }

Checked<ServiceAccountTokens::Bound> ServiceAccountTokens::bound_to(const json::Value& wanted, const std::string& ns, const std::string& account) const {
  Bound out;
  const std::string_view kind = wanted.text("kind"), version = wanted.text("apiVersion"), name = wanted.text("name");
  const bool core = version.find('/') == std::string_view::npos;
  const char* resource = kind == "Pod" ? "pods" : kind == "Secret" ? "secrets" : "nodes";
  if (!core || (kind != "Pod" && kind != "Secret" && kind != "Node")) {
    const size_t slash = version.find('/');
    const std::string group(core ? "" : version.substr(0, slash)), of_group(core ? version : version.substr(slash + 1));
    return refuse(bad_request(fmt::format("cannot bind token to object of type {}/{}, Kind={}", group, of_group, kind)));
  }
  const StoredPtr found = find(resource, kind == "Node" ? "" : ns, name);
  if (!found) return refuse(not_found(*table_.find("", resource), name));
  const json::Value object = found->value();
  if (kind == "Pod") {
    if (object.text("spec.serviceAccountName") != account) {
      return refuse(bad_request(fmt::format("cannot bind token for serviceaccount {} to pod running with different serviceaccount name.", schema::quoted(account))));
    }
    if (const std::string_view node = object.text("spec.nodeName"); !node.empty()) {
      const StoredPtr there = find("nodes", "", node);
      out.node = reference_to(node, there ? there->value().text("metadata.uid") : std::string_view());
    }
  }
  const std::string uid(object.text("metadata.uid"));
  if (const std::string_view asked = wanted.text("uid"); !asked.empty() && asked != uid) {
    const ResourceType kinds("", "v1", std::string(kind), std::string(kind), true);
    return refuse(conflict(kinds, name, fmt::format("the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated", asked)));
  }
  out.kind = to_lower(kind);
  out.reference = reference_to(name, uid);
  return out;
}

Answer ServiceAccountTokens::issue(const ResourceType& accounts, const RestRequest& request, std::string_view body) const {
  Checked<Prepared> read = read_request(request, body);
  if (!read) return read.error();
  json::Value& asked = read->object;
  const StoredPtr account = store_.get(accounts, request.ns, request.name);
  if (!account) return not_found(accounts, request.name);
  const std::string uid(account->value().text("metadata.uid")), uid_asked(asked.text("metadata.uid"));
  if (!uid_asked.empty() && uid_asked != uid) {
    return conflict(request_type(), request.name, fmt::format("the UID in the token request ({}) does not match the UID of the service account ({})", uid_asked, uid));
  }
  // Defaults, and what is known: the answer has them too.
  json::Value& spec = asked["spec"];
  if (!has_entries(asked, "spec.audiences")) spec["audiences"] = json::Array(keys_->api_audiences().begin(), keys_->api_audiences().end());
  if (const json::Value* seconds = spec.find("expirationSeconds"); seconds == nullptr || seconds->is_null()) spec["expirationSeconds"] = kDefaultSeconds;
  spec["boundObjectRef"];  // null where there is none
  const int64_t seconds = spec["expirationSeconds"].integer().value_or(0);
  if (const FieldErrors errors = check_seconds(seconds); !errors.empty()) return invalid(request_type(), "", errors);
  Bound bound;
  if (spec["boundObjectRef"].is_object()) {
    auto found = bound_to(spec["boundObjectRef"], request.ns, request.name);
    if (!found) return found.error();
    bound = *std::move(found);
  }
  const auto token = make_jwt(keys_->signing, claims_for(request, uid, one_or_more(spec.find("audiences")), seconds, bound));
  if (!token) return failure(500, "InternalError", "Internal error occurred: failed to generate token: " + token.error().message);
  json::Value& metadata = asked["metadata"];
  metadata["name"] = request.name;
  metadata["namespace"] = request.ns;
  metadata["uid"] = uid;
  metadata["creationTimestamp"] = format_rfc3339(loop_.wall_now());
  json::Value status;
  status["token"] = *token;
  status["expirationTimestamp"] = format_rfc3339(loop_.wall_now() + std::chrono::seconds(seconds));
  asked["status"] = std::move(status);
  return with_warnings(Answer(201, asked.dump()), read->warnings);
}

// The body, and that it is for this account.
Checked<Prepared> ServiceAccountTokens::read_request(const RestRequest& request, std::string_view body) const {
  auto parsed = schema::parse_as_go(body);
  if (!parsed) return refuse(unrecognized(request_type(), parsed.error().message, body));
  // A kind that there is goes further than one that nobody knows.
  const std::string kind(parsed->text("kind")), version(parsed->text("apiVersion"));
  if (!kind.empty() && kind != "TokenRequest" && schema::kubernetes_kind(version, kind) != nullptr) {
    return refuse(bad_request(fmt::format("{0} in version {1} cannot be handled as a TokenRequest: converting ({2}.{0}) to (authentication.TokenRequest): unknown conversion", kind,
                                          schema::quoted(version.substr(version.find('/') + 1)), version.substr(version.find('/') + 1))));
  }
  const Checked<FieldValidation> validation = field_validation(request_type(), request.option("fieldValidation"));
  if (!validation) return refuse(validation.error());
  Checked<Prepared> out = decode(request_type(), *std::move(parsed), body, *validation);
  if (!out) return out;
  const std::string_view name = out->object.text("metadata.name"), ns = out->object.text("metadata.namespace");
  if (!name.empty() && name != request.name) return refuse(invalid(request_type(), request.name, {schema::invalid("metadata.name", name, "must match the service account name if specified")}));
  if (!ns.empty() && ns != request.ns) return refuse(bad_request("the namespace of the provided object does not match the namespace sent on the request"));
  return out;
}

json::Value ServiceAccountTokens::claims_for(const RestRequest& request, const std::string& uid, const Strings& audiences, int64_t seconds, const Bound& bound) const {
  const bool extend = bound.kind == "pod" && seconds == kWarnOnlySeconds && both(audiences, keys_->api_audiences()).size() == audiences.size();
  const int64_t at = now();
  json::Value claims;  // in the order of their names, as Go writes them
  claims["aud"] = json::Array(audiences.begin(), audiences.end());
  claims["exp"] = at + (extend ? kExtendedSeconds : seconds);
  claims["iat"] = at;
  claims["iss"] = keys_->issuers.front();
  claims["jti"] = random_uuid(loop_.random());
  json::Value kubernetes;
  kubernetes["namespace"] = request.ns;
  if (bound.kind == "node" || !bound.node.is_null()) kubernetes["node"] = bound.kind == "node" ? bound.reference : bound.node;
  if (bound.kind == "pod" || bound.kind == "secret") kubernetes[bound.kind] = bound.reference;
  kubernetes["serviceaccount"] = reference_to(request.name, uid);
  if (extend) kubernetes["warnafter"] = at + seconds;
  claims["kubernetes.io"] = std::move(kubernetes);
  claims["nbf"] = at;
  claims["sub"] = fmt::format("system:serviceaccount:{}:{}", request.ns, request.name);
  return claims;
}

ServiceAccountTokens::Claims ServiceAccountTokens::signed_claims(std::string_view token, std::string& error) const {
  const std::string digest = sha256_hex(token);
  if (const auto known = known_.find(digest); known != known_.end()) return known->second;
  std::optional<json::Value> claims = claims_of(token, keys_->issuers);
  if (!claims) return nullptr;
  if (const Status good = check_signature(token, keys_->accepted); !good) {
    error = good.error().message;
    return nullptr;
  }
  if (known_.size() >= kKnownTokens) known_.clear();
  return known_.emplace(digest, std::make_shared<const json::Value>(*std::move(claims))).first->second;
}

std::string ServiceAccountTokens::check_reference(const json::Value& claims, const char* kind, const char* resource, std::string_view ns) const {
  const json::Value* reference = claims.find("kubernetes.io")->find(kind);
  if (reference == nullptr || reference->is_null()) return "";
  const StoredPtr found = find(resource, ns, reference->text("name"));
  if (!found) return "service account token has been invalidated";
  const json::Value object = found->value();
  const std::string_view uid = object.text("metadata.uid"), claimed = reference->text("uid");
  if (uid != claimed) {
    if (std::string_view(kind) == "node") return fmt::format("node UID ({}) does not match service account node ref claim ({})", uid, claimed);
    return fmt::format("{} UID ({}) does not match service account {} ref claim ({})", kind, uid, kind, claimed);
  }
  const auto leaving = parse_rfc3339(object.text("metadata.deletionTimestamp"));
  if (leaving && *leaving < loop_.wall_now() - std::chrono::seconds(kLeewaySeconds)) return "service account token has been invalidated";
  return "";
}

std::string ServiceAccountTokens::check(const json::Value& claims) const {
  const int64_t at = now();
  if (at + kLeewaySeconds < integer_at(claims, "nbf")) return "service account token is not valid yet";
  if (at - kLeewaySeconds > integer_at(claims, "exp")) return "service account token has expired";
  if (at + kLeewaySeconds < integer_at(claims, "iat")) return "service account token is issued in the future";
  const json::Value* kubernetes = claims.find("kubernetes.io");
  if (kubernetes == nullptr) return "service account token has been invalidated";
  const std::string_view ns = kubernetes->text("namespace"), name = kubernetes->text("serviceaccount.name"), uid = kubernetes->text("serviceaccount.uid");
  const StoredPtr account = find("serviceaccounts", ns, name);
  if (!account) return fmt::format("serviceaccounts {} not found", schema::quoted(name));
  const json::Value object = account->value();
  if (object.text("metadata.uid") != uid) return fmt::format("service account UID ({}) does not match claim ({})", object.text("metadata.uid"), uid);
  std::string why = check_reference(claims, "secret", "secrets", ns);
  if (why.empty()) why = check_reference(claims, "pod", "pods", ns);
  // The node of a pod is told, not checked.
  if (why.empty() && kubernetes->find("pod") == nullptr) why = check_reference(claims, "node", "nodes", "");
  return why;
}

TokenAnswer ServiceAccountTokens::authenticate(std::string_view token, const Strings& asked) const {
  TokenAnswer out;
  const Claims claims = signed_claims(token, out.error);
  if (claims == nullptr) return out;
  Strings audiences = one_or_more(claims->find("aud"));
  const Strings& wanted = asked.empty() ? keys_->api_audiences() : asked;
  if (audiences.empty()) audiences = keys_->api_audiences();
  out.audiences = both(audiences, wanted);
  if (out.audiences.empty()) {
    out.error = fmt::format("token audiences {} is invalid for the target audiences {}", schema::quoted_list(audiences), schema::quoted_list(wanted));
    return out;
  }
  out.error = check(*claims);
  if (!out.error.empty()) return out;
  const json::Value& kubernetes = *claims->find("kubernetes.io");
  const std::string ns(kubernetes.text("namespace"));
  UserInfo user;
  user.name = fmt::format("system:serviceaccount:{}:{}", ns, kubernetes.text("serviceaccount.name"));
  user.uid = kubernetes.text("serviceaccount.uid");
  user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns};
  const auto extra = [&](const char* key, std::string_view value) {
    if (!value.empty()) user.extra[std::string("authentication.kubernetes.io/") + key] = {std::string(value)};
  };
  if (const std::string_view id = claims->text("jti"); !id.empty()) extra("credential-id", fmt::format("JTI={}", id));
  extra("node-name", kubernetes.text("node.name"));
  extra("node-uid", kubernetes.text("node.uid"));
  extra("pod-name", kubernetes.text("pod.name"));
  extra("pod-uid", kubernetes.text("pod.uid"));
  out.user = std::move(user);
  return out;
}

}  // namespace gs::apiserver
