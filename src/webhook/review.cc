#include "webhook/review.h"

#include "json/scan.h"
#include "json/value.h"
#include "webhook/review_fields.h"

namespace gs::webhook {
namespace {

constexpr size_t kMaxUidBytes = 256;

Status group_version_name(ReviewBody& body, std::string_view raw, std::string_view where, std::string_view last, GroupVersionName& out) {
  if (raw == "null") return ok();
  if (raw.front() != '{') return wrong_type(where, "an object");
  Fields fields(body, where);
  json::for_each_member(raw, [&](std::string_view key, std::string_view value) {
    if (key == "group") fields.string(key, value, out.group);
    if (key == "version") fields.string(key, value, out.version);
    if (key == last) fields.string(key, value, out.name);
  });
  return fields.status();
}

// What every review has: its kind and version, and .request, raw.
struct Envelope {
  ReviewVersion version;
  std::string_view request;
};

Result<ReviewVersion> version_of(ReviewKind kind, std::string_view api_version, std::string_view kind_name) {
  const std::string_view wanted = kind == ReviewKind::kAdmission ? "AdmissionReview" : "ConversionReview";
  if (kind_name != wanted) return fail(Code::kUnsupported, "kind: must be {} at this path, not \"{}\"", wanted, kind_name.substr(0, 64));
  for (const ReviewVersion version : {ReviewVersion::kV1, ReviewVersion::kV1beta1}) {
    if (api_version == api_version_of(kind, version)) return version;
  }
  return fail(Code::kUnsupported, "apiVersion: must be {} or {}, not \"{}\"", api_version_of(kind, ReviewVersion::kV1),
              api_version_of(kind, ReviewVersion::kV1beta1), api_version.substr(0, 64));
}

Result<Envelope> open_envelope(ReviewKind kind, ReviewBody& body) {
  const std::string_view text = body.text();
  GS_TRY_STATUS(json::validate(text));
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (text[begin] != '{') return wrong_type("the body", "a JSON object");
  std::string_view api_version, kind_name;
  Envelope envelope{};
  Fields fields(body, "");
  json::for_each_member(text, [&](std::string_view key, std::string_view value) {
    if (key == "apiVersion") fields.string(key, value, api_version);
    if (key == "kind") fields.string(key, value, kind_name);
    if (key == "request") fields.nested(key, value, '{', envelope.request);
  });
  GS_TRY_STATUS(fields.status());
  GS_TRY(envelope.version, version_of(kind, api_version, kind_name));
  if (envelope.request.empty()) return fail(Code::kInvalid, "request: is required");
  return envelope;
}

Status check_uid(std::string_view uid) {
  if (uid.empty()) return fail(Code::kInvalid, "request.uid: is required");
  if (uid.size() > kMaxUidBytes) return fail(Code::kInvalid, "request.uid: is longer than {} bytes", kMaxUidBytes);
  return ok();
}

// The members of .request of an AdmissionReview.
Status admission_member(AdmissionRequest& out, Fields& fields, std::string_view key, std::string_view value) {
  if (key == "uid") fields.string(key, value, out.uid);
  if (key == "operation") fields.string(key, value, out.operation);
  if (key == "name") fields.string(key, value, out.name);
  if (key == "namespace") fields.string(key, value, out.ns);
  if (key == "subResource") fields.string(key, value, out.subresource);
  if (key == "requestSubResource") fields.string(key, value, out.request_subresource);
  if (key == "dryRun") fields.boolean(key, value, out.dry_run);
  if (key == "object") fields.nested(key, value, '{', out.object);
  if (key == "oldObject") fields.nested(key, value, '{', out.old_object);
  if (key == "options") fields.nested(key, value, '{', out.options);
  if (key == "userInfo") fields.nested(key, value, '{', out.user_info);
  const bool nested = key == "kind" || key == "resource" || key == "requestKind" || key == "requestResource";
  if (!nested || !fields.first(key)) return ok();
  if (key == "kind") return group_version_name(out.body, value, "request.kind", "kind", out.kind);
  if (key == "resource") return group_version_name(out.body, value, "request.resource", "resource", out.resource);
  if (key == "requestKind") return group_version_name(out.body, value, "request.requestKind", "kind", out.request_kind);
  return group_version_name(out.body, value, "request.requestResource", "resource", out.request_resource);
}

}  // namespace

std::string_view api_version_of(ReviewKind kind, ReviewVersion version) {
  const bool v1 = version == ReviewVersion::kV1;
  if (kind == ReviewKind::kAdmission) return v1 ? "admission.k8s.io/v1" : "admission.k8s.io/v1beta1";
  return v1 ? "apiextensions.k8s.io/v1" : "apiextensions.k8s.io/v1beta1";
}

ReviewBody::ReviewBody(std::string body) : text_(std::make_unique<std::string>(std::move(body))) {}

std::string_view ReviewBody::string(std::string_view raw) {
  const std::string_view inner = raw.substr(1, raw.size() - 2);
  if (inner.find('\\') == std::string_view::npos) return inner;
  auto parsed = json::parse(raw);
  return unescaped_.emplace_front(parsed && parsed->is_string() ? *parsed->string() : std::string());
}

Result<AdmissionRequest> parse_admission_review(std::string body) {
  AdmissionRequest out(std::move(body));
  GS_TRY(const Envelope envelope, open_envelope(ReviewKind::kAdmission, out.body));
  out.version = envelope.version;
  out.request = envelope.request;
  Fields fields(out.body, "request");
  Status status;
  json::for_each_member(out.request, [&](std::string_view key, std::string_view value) {
    Status one = admission_member(out, fields, key, value);
    if (!one && status) status = std::move(one);
  });
  GS_TRY_STATUS(fields.status());
  GS_TRY_STATUS(std::move(status));
  GS_TRY_STATUS(check_uid(out.uid));
  if (out.operation.empty()) return fail(Code::kInvalid, "request.operation: is required");
  if (out.resource.name.empty()) return fail(Code::kInvalid, "request.resource.resource: is required");
  if (out.request_kind.name.empty()) out.request_kind = out.kind;
  if (out.request_resource.name.empty()) {
    out.request_resource = out.resource;
    out.request_subresource = out.subresource;
  }
  if (!out.user_info.empty()) {
    Fields user(out.body, "request.userInfo");
    json::for_each_member(out.user_info, [&](std::string_view key, std::string_view value) {
      if (key == "username") user.string(key, value, out.user_name);
    });
    GS_TRY_STATUS(user.status());
  }
  return out;
}

Result<ConversionRequest> parse_conversion_review(std::string body) {
  ConversionRequest out(std::move(body));
  GS_TRY(const Envelope envelope, open_envelope(ReviewKind::kConversion, out.body));
  out.version = envelope.version;
  std::string_view objects;
  Fields fields(out.body, "request");
  json::for_each_member(envelope.request, [&](std::string_view key, std::string_view value) {
    if (key == "uid") fields.string(key, value, out.uid);
    if (key == "desiredAPIVersion") fields.string(key, value, out.desired_api_version);
    if (key == "objects") fields.nested(key, value, '[', objects);
  });
  GS_TRY_STATUS(fields.status());
  GS_TRY_STATUS(check_uid(out.uid));
  if (out.desired_api_version.empty()) return fail(Code::kInvalid, "request.desiredAPIVersion: is required");
  json::for_each_element(objects, [&](std::string_view object) { out.objects.push_back(object); });
  for (size_t i = 0; i < out.objects.size(); ++i) {
    if (out.objects[i].front() != '{') return wrong_type(fmt::format("request.objects[{}]", i), "an object");
  }
  return out;
}

}  // namespace gs::webhook
