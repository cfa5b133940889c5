// Reading the answer of an API that speaks reviews itself, by the rules of API servers
// (k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go: VerifyAdmissionResponse; webhook_converter.go:
// getConvertedObjectsFromResponse): v1 must say its kind and echo the uid, v1beta1 never had to.
#include "base/strings.h"
#include "json/scan.h"
#include "json/value.h"
#include "webhook/review.h"
#include "webhook/review_fields.h"

namespace gs::webhook {
namespace {

// .response, raw.
Result<std::string_view> open_reply(ReviewBody& body, ReviewKind kind, ReviewVersion version, std::string_view uid) {
  if (body.text().size() > kMaxAnswerBytes) return fail(Code::kTooLarge, "the answer is larger than {} bytes", kMaxAnswerBytes);
  GS_TRY_STATUS(json::validate(body.text()));
  if (body.text()[body.text().find_first_not_of(" \t\r\n")] != '{') return wrong_type("the answer", "a JSON object");
  std::string_view api_version, kind_name, response, echoed;
  Fields fields(body, "");
  json::for_each_member(body.text(), [&](std::string_view key, std::string_view value) {
    if (key == "apiVersion") fields.string(key, value, api_version);
    if (key == "kind") fields.string(key, value, kind_name);
    if (key == "response") fields.nested(key, value, '{', response);
  });
  GS_TRY_STATUS(fields.status());
  if (response.empty()) return fail(Code::kInvalid, "response: is required");
  if (version == ReviewVersion::kV1beta1) return response;
  const std::string_view wanted = kind == ReviewKind::kAdmission ? "AdmissionReview" : "ConversionReview";
  if (api_version != api_version_of(kind, version) || kind_name != wanted) {
    return fail(Code::kInvalid, "the answer must be of {}, kind {}, as the review was", api_version_of(kind, version), wanted);
  }
  Fields inner(body, "response");
  json::for_each_member(response, [&](std::string_view key, std::string_view value) {
    if (key == "uid") inner.string(key, value, echoed);
  });
  GS_TRY_STATUS(inner.status());
  if (echoed != uid) return fail(Code::kInvalid, "response.uid: must be the request's, \"{}\"", uid);
  return response;
}

struct StatusFields {
  std::string_view status, reason, message;
  int64_t code = 0;
};

Status read_status(ReviewBody& body, std::string_view raw, std::string_view where, StatusFields& out) {
  Fields fields(body, where);
  json::for_each_member(raw, [&](std::string_view key, std::string_view value) {
    if (key == "status") fields.string(key, value, out.status);
    if (key == "reason") fields.string(key, value, out.reason);
    if (key == "message") fields.string(key, value, out.message);
    if (key == "code" && value != "null") {
      const auto code = parse_uint(value);
      if (!code || *code > 599) return fields.mistake(key, "an HTTP status");
      out.code = static_cast<int64_t>(*code);
    }
  });
  return fields.status();
}

Status read_texts(ReviewBody& body, std::string_view warnings, std::string_view annotations, AdmissionAnswer& out) {
  bool strings = true;
  json::for_each_element(warnings, [&](std::string_view warning) {
    if (warning.front() != '"') strings = false;
    else out.warnings.emplace_back(body.string(warning));
  });
  if (!strings) return wrong_type("response.warnings", "strings");
  json::for_each_member(annotations, [&](std::string_view key, std::string_view value) {
    if (value.front() != '"') strings = false;
    else out.audit_annotations.emplace_back(std::string(key), body.string(value));
  });
  if (!strings) return wrong_type("response.auditAnnotations", "strings by name");
  return ok();
}

}  // namespace

Result<AdmissionAnswer> parse_admission_answer(std::string_view text, const AdmissionRequest& request) {
  ReviewBody body{std::string(text)};
  GS_TRY(const std::string_view response, open_reply(body, ReviewKind::kAdmission, request.version, request.uid));
  AdmissionAnswer out;
  std::string_view status, patch, patch_type, warnings, annotations;
  Fields fields(body, "response");
  json::for_each_member(response, [&](std::string_view key, std::string_view value) {
    if (key == "allowed") fields.boolean(key, value, out.allowed);
    if (key == "status") fields.nested(key, value, '{', status);
    if (key == "patch") fields.string(key, value, patch);
    if (key == "patchType") fields.string(key, value, patch_type);
    if (key == "warnings") fields.nested(key, value, '[', warnings);
    if (key == "auditAnnotations") fields.nested(key, value, '{', annotations);
  });
  GS_TRY_STATUS(fields.status());
  StatusFields said;
  if (!status.empty()) GS_TRY_STATUS(read_status(body, status, "response.status", said));
  if (!out.allowed) {
    out.code = static_cast<int>(said.code);
    out.reason = said.reason;
    out.message = said.message;
  }
  GS_TRY_STATUS(read_texts(body, warnings, annotations, out));
  if (patch.empty()) {
    // v1beta1 never looked at a type without a patch.
    if (patch_type.empty() || request.version == ReviewVersion::kV1beta1) return out;
    return fail(Code::kInvalid, "response.patchType: goes with a patch only");
  }
  if (patch_type != "JSONPatch" && (request.version == ReviewVersion::kV1 || !patch_type.empty())) {
    return fail(Code::kInvalid, "response.patchType: must be JSONPatch");
  }
  std::optional<std::string> decoded = base64_decode(patch);
  if (!decoded) return wrong_type("response.patch", "base64");
  out.patch = std::move(*decoded);
  return out;
}

Result<ConversionAnswer> parse_conversion_answer(std::string_view text, const ConversionRequest& request) {
  ReviewBody body{std::string(text)};
  GS_TRY(const std::string_view response, open_reply(body, ReviewKind::kConversion, request.version, request.uid));
  std::string_view objects, result;
  Fields fields(body, "response");
  json::for_each_member(response, [&](std::string_view key, std::string_view value) {
    if (key == "convertedObjects") fields.nested(key, value, '[', objects);
    if (key == "result") fields.nested(key, value, '{', result);
  });
  GS_TRY_STATUS(fields.status());
  StatusFields said;
  if (!result.empty()) GS_TRY_STATUS(read_status(body, result, "response.result", said));
  ConversionAnswer out;
  if (said.status != "Success") {
    out.failure = said.message.empty() ? fmt::format("response.result.status was '{}', not 'Success'", said.status) : std::string(said.message);
    return out;
  }
  json::for_each_element(objects, [&](std::string_view object) { out.objects.emplace_back(object); });
  return out;
}

}  // namespace gs::webhook
