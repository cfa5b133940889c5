#include "apiserver/admission/review.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "json/writer.h"
#include "schema/formats.h"
#include "schema/go_json.h"
#include "schema/go_text.h"

namespace gs::apiserver::admission {
namespace {

using json::Value;
using json::Writer;

constexpr std::string_view kReviewGroup = "admission.k8s.io";

void write_kind(Writer& writer, std::string_view key, const GroupVersionKind& kind) {
  writer.key(key).begin_object().key("group").string(kind.group).key("version").string(kind.version).key("kind").string(kind.kind).end_object();
}

void write_resource(Writer& writer, std::string_view key, const ResourceType& type) {
  writer.key(key).begin_object().key("group").string(type.named_group()).key("version").string(type.version).key("resource").string(type.resource).end_object();
}

void write_given(Writer& writer, std::string_view key, std::string_view text) {
  if (!text.empty()) writer.key(key).string(text);
}

void write_user(Writer& writer, const UserInfo& user) {
  writer.key("userInfo").begin_object();
  write_given(writer, "username", user.name);
  write_given(writer, "uid", user.uid);
  if (!user.groups.empty()) {
    writer.key("groups").begin_array();
    for (const std::string& group : user.groups) writer.string(group);
    writer.end_array();
  }
  if (!user.extra.empty()) {
    writer.key("extra").begin_object();
    for (const auto& [key, values] : user.extra) {
      writer.key(key).begin_array();
      for (const std::string& value : values) writer.string(value);
      writer.end_array();
    }
    writer.end_object();
  }
  writer.end_object();
}

Error problem(std::string message) { return Error(Code::kInvalid, "failed to call webhook: " + std::move(message)); }
Error invalid_response(std::string message) { return Error(Code::kInvalid, "received invalid webhook response: " + std::move(message)); }

// An optional member of the wrong type, in encoding/json's words.
Status check_type(const Value& response, const char* field, bool (Value::*is)() const, std::string_view go_type) {
  const Value* found = response.find(field);
  if (found == nullptr || found->is_null() || (found->*is)()) return ok();
  return fail(problem(fmt::format("json: cannot unmarshal {} into Go struct field AdmissionResponse.response.{} of type {}", schema::go_json_kind(*found), field, go_type)));
}

Status check_types(const Value& response) {
  GS_TRY_STATUS(check_type(response, "uid", &Value::is_string, "types.UID"));
  GS_TRY_STATUS(check_type(response, "status", &Value::is_object, "v1.Status"));
  GS_TRY_STATUS(check_type(response, "patch", &Value::is_string, "[]uint8"));
  GS_TRY_STATUS(check_type(response, "patchType", &Value::is_string, "v1.PatchType"));
  GS_TRY_STATUS(check_type(response, "warnings", &Value::is_array, "[]string"));
  const Value* allowed = response.find("allowed");
  if (allowed == nullptr || allowed->is_null() || allowed->boolean()) return ok();
  return fail(problem(fmt::format("json: cannot unmarshal {} into Go struct field AdmissionResponse.response.allowed of type bool", schema::go_json_kind(*allowed))));
}

// v1 says that a patch comes with its type, and only of a mutating webhook.
Status check_patch(const Value& response, bool mutating) {
  const bool patch = !response.text("patch").empty();
  const Value* type = response.find("patchType");
  const bool typed = type != nullptr && !type->is_null();
  if (!mutating) {
    if (patch) return fail(invalid_response("validating webhook may not return response.patch"));
    return typed ? Status(fail(invalid_response("validating webhook may not return response.patchType"))) : ok();
  }
  if (patch && !typed) return fail(invalid_response("webhook returned response.patch but not response.patchType"));
  if (!patch && typed) return fail(invalid_response("webhook returned response.patchType but not response.patch"));
  if (!typed || response.text("patchType") == "JSONPatch") return ok();
  if (response.text("patchType").empty()) return fail(invalid_response("webhook returned invalid response.patchType of \"\""));
  return fail(Code::kInvalid, "unsupported patch type \"{}\"", response.text("patchType"));
}

// The document that a webhook answers with.
Result<Value> read_document(std::string_view body) {
  Result<Value> out = json::parse(body);
  if (!out) return fail(problem("couldn't get version/kind; json parse error: " + out.error().message));
  if (!out->is_object()) return fail(problem(fmt::format("couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
                                                         schema::go_json_kind(*out))));
  if (out->text("kind") == "Status" && out->text("apiVersion") == "v1" && out->text("status") != "Success") return fail(problem(std::string(out->text("message"))));
  return out;
}

}  // namespace

std::string review_version(const WebhookAccessor& webhook) {
  for (const std::string& version : webhook.review_versions) {
    if (version == "v1" || version == "v1beta1") return version;
  }
  return "";
}

std::string write_review(std::string_view uid, std::string_view version, const Invocation& invocation, const Attributes& attributes, const Value& object, const Value& old_object,
                         const UserInfo& user) {
  std::string out;
  Writer writer(out);
  writer.begin_object().key("kind").string("AdmissionReview").key("apiVersion").string(fmt::format("{}/{}", kReviewGroup, version));
  writer.key("request").begin_object().key("uid").string(uid);
  write_kind(writer, "kind", invocation.kind);
  write_resource(writer, "resource", *invocation.type);
  write_given(writer, "subResource", attributes.subresource);
  write_kind(writer, "requestKind", attributes.kind);
  write_resource(writer, "requestResource", *attributes.type);
  write_given(writer, "requestSubResource", attributes.subresource);
  write_given(writer, "name", attributes.name);
  write_given(writer, "namespace", attributes.ns);
  writer.key("operation").string(attributes.operation);
  write_user(writer, user);
  writer.key("object").raw(object.dump()).key("oldObject").raw(old_object.dump());
  writer.key("dryRun").boolean(attributes.dry_run).key("options").raw(attributes.options.dump());
  writer.end_object().end_object();
  return out;
}

Result<ReviewResponse> read_response(std::string_view uid, std::string_view version, bool mutating, std::string_view body) {
  GS_TRY(const Value review, read_document(body));
  const Value* response = review.find("response");
  if (response == nullptr || response->is_null()) return fail(invalid_response("webhook response was absent"));
  if (!response->is_object()) return fail(problem(fmt::format("json: cannot unmarshal {} into Go struct field AdmissionReview.response of type v1.AdmissionResponse", schema::go_json_kind(*response))));
  GS_TRY_STATUS(check_types(*response));
  if (version == "v1") {
    if (response->text("uid") != uid) return fail(invalid_response(fmt::format("expected response.uid=\"{}\", got \"{}\"", uid, response->text("uid"))));
    const std::string wanted = fmt::format("{}/v1", kReviewGroup);
    if (review.text("apiVersion") != wanted || review.text("kind") != "AdmissionReview") {
      return fail(invalid_response(fmt::format("expected webhook response of {}, Kind=AdmissionReview, got {}, Kind={}", wanted, review.text("apiVersion").empty() ? "/" : review.text("apiVersion"), review.text("kind"))));
    }
    GS_TRY_STATUS(check_patch(*response, mutating));
  }
  ReviewResponse out;
  const Value* allowed = response->find("allowed");
  out.allowed = allowed != nullptr && allowed->boolean().value_or(false);
  if (const Value* status = response->find("status")) out.status = *status;
  if (const Value* warnings = response->find("warnings"); warnings != nullptr && warnings->array() != nullptr) {
    for (const Value& warning : *warnings->array()) {
      if (warning.string() != nullptr) out.warnings.push_back(*warning.string());
    }
  }
  if (!mutating || response->text("patch").empty()) return out;
  auto patch = base64_decode(response->text("patch"));
  if (!patch) return fail(problem(fmt::format("illegal base64 data at input byte {}", schema::base64_problem(response->text("patch")))));
  out.patch = *std::move(patch);
  return out;
}

Answer denied(std::string_view webhook, const Value& status) {
  const std::string by = fmt::format("admission webhook \"{}\" denied the request", webhook);
  const std::string_view said = status.text("message"), reason = status.text("reason");
  const std::string message = !said.empty() ? fmt::format("{}: {}", by, said) : !reason.empty() ? fmt::format("{}: {}", by, reason) : by + " without explanation";
  const Value* code = status.find("code");
  const int64_t given = code != nullptr ? code->integer().value_or(0) : 0;
  const Value* details = status.find("details");
  const bool detailed = details != nullptr && details->is_object();
  // What is no HTTP status cannot be answered with.
  Answer out = failure(given >= 400 && given <= 999 ? static_cast<int>(given) : 400, reason, message, detailed ? details->dump() : "");
  const Value* retry = detailed ? details->find("retryAfterSeconds") : nullptr;
  if (retry != nullptr) out.retry_after = static_cast<int>(std::clamp<int64_t>(retry->integer().value_or(0), 0, 3600));
  return out;
}

std::string server_error(int status, std::string_view content_type, std::string_view body) {
  if (const auto said = json::parse(body); said && said->is_object() && said->text("kind") == "Status" && said->text("apiVersion") == "v1") return std::string(said->text("message"));
  constexpr size_t kMost = 2048;  // maxUnstructuredResponseTextBytes
  const bool text = content_type.empty() || content_type.starts_with("text/");
  std::string shown = text ? std::string(trim(body.substr(0, kMost))) : "unknown";
  switch (status) {
    case 400: return "the server rejected our request for an unknown reason";
    case 401: return "the server has asked for the client to provide credentials";
    case 403:
    case 415: return shown;
    case 404: return "the server could not find the requested resource";
    case 405: return "the server does not allow this method on the requested resource";
    case 409: return "the server reported a conflict";
    case 422: return "the server rejected our request due to an error in our request";
    case 429: return "the server has received too many requests and has asked us to try again later";
    case 503: return "the server is currently unable to handle the request";
    case 504: return "the server was unable to return a response in the time allotted, but may still be processing the request";
    default: break;
  }
  return status >= 500 ? fmt::format("an error on the server ({}) has prevented the request from succeeding", schema::quoted(shown))
                       : fmt::format("the server responded with the status code {} but did not return more information", status);
}

}  // namespace gs::apiserver::admission
