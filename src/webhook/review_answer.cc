// Writing answers, and what an answer must be before it goes out.
#include <algorithm>

#include "base/strings.h"
#include "json/scan.h"
#include "json/value.h"
#include "json/writer.h"
#include "webhook/review.h"

namespace gs::webhook {
namespace {

constexpr size_t kMaxPatchOperations = 10'000;  // API servers apply no more (json/patch.h)

// Texts may come from delegates as bytes: what is not UTF-8 would make the whole answer unreadable.
void text(json::Writer& writer, std::string_view value) {
  const auto beyond_ascii = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
  if (std::none_of(value.begin(), value.end(), beyond_ascii)) return void(writer.string(value));
  std::string quoted;
  json::append_string(quoted, value);
  if (!json::validate(quoted)) std::replace_if(quoted.begin(), quoted.end(), beyond_ascii, '?');
  writer.raw(quoted);
}

void open_review(json::Writer& writer, ReviewKind kind, ReviewVersion version, std::string_view uid) {
  writer.begin_object();
  writer.key("kind").string(kind == ReviewKind::kAdmission ? "AdmissionReview" : "ConversionReview");
  writer.key("apiVersion").string(api_version_of(kind, version));
  writer.key("response").begin_object();
  writer.key("uid").string(uid);
}

void write_refusal(json::Writer& writer, const AdmissionAnswer& answer) {
  writer.key("status").begin_object();
  writer.key("status").string("Failure");
  if (!answer.message.empty()) text(writer.key("message"), answer.message);
  if (!answer.reason.empty()) text(writer.key("reason"), answer.reason);
  // Below 400 an API server makes it 400 itself.
  if (answer.code != 0) writer.key("code").integer(answer.code);
  if (answer.retry_after_seconds > 0) {
    writer.key("details").begin_object().key("retryAfterSeconds").integer(answer.retry_after_seconds).end_object();
  }
  writer.end_object();
}

Status check_operation(std::string_view operation, size_t index) {
  static constexpr std::string_view kOperations[] = {"add", "remove", "replace", "move", "copy", "test"};
  const auto wrong = [&](std::string_view what) { return fail(Code::kInvalid, "patch[{}]{}", index, what); };
  if (operation.front() != '{') return wrong(": must be an object");
  bool has_value = false;
  bool strings = true;
  std::optional<std::string> op, path, from;
  json::for_each_member(operation, [&](std::string_view key, std::string_view raw) {
    if (key == "value") has_value = true;
    if (key != "op" && key != "path" && key != "from") return;
    std::optional<std::string>& out = key == "op" ? op : key == "path" ? path : from;
    json::Lookup value{json::Lookup::Type::kString, raw};
    strings = strings && raw.front() == '"';
    if (raw.front() == '"') out = value.text();
  });
  if (!strings) return wrong(": op, path and from must be strings");
  if (!op || std::find(std::begin(kOperations), std::end(kOperations), *op) == std::end(kOperations)) {
    return wrong(".op: must be add, remove, replace, move, copy or test");
  }
  const auto is_pointer = [](const std::string& pointer) { return pointer.empty() || pointer.front() == '/'; };
  if (!path || !is_pointer(*path)) return wrong(".path: must be a JSON pointer (\"/spec/replicas\")");
  if ((*op == "move" || *op == "copy") && (!from || !is_pointer(*from))) return wrong(".from: must be a JSON pointer");
  if ((*op == "add" || *op == "replace" || *op == "test") && !has_value) return wrong(".value: is required");
  return ok();
}

Status check_patch(std::string_view patch) {
  if (patch.size() > kMaxAnswerBytes) return fail(Code::kTooLarge, "patch: is larger than {} bytes", kMaxAnswerBytes);
  const Status valid = json::validate(patch);
  if (!valid) return fail(Error(valid.error()).with_context("patch"));
  if (patch[patch.find_first_not_of(" \t\r\n")] != '[') return fail(Code::kInvalid, "patch: must be an array of JSON patch operations (RFC 6902)");
  size_t index = 0;
  Status status;
  json::for_each_element(patch, [&](std::string_view operation) {
    if (status) status = check_operation(operation, index);
    ++index;
  });
  if (status && index > kMaxPatchOperations) return fail(Code::kTooLarge, "patch: has more than {} operations", kMaxPatchOperations);
  return status;
}

}  // namespace

std::string to_json(const AdmissionRequest& request, const AdmissionAnswer& answer) {
  std::string out;
  const bool patched = answer.allowed && !answer.patch.empty();
  out.reserve(256 + answer.message.size() + (patched ? answer.patch.size() * 4 / 3 : 0));
  json::Writer writer(out);
  open_review(writer, ReviewKind::kAdmission, request.version, request.uid);
  writer.key("allowed").boolean(answer.allowed);
  if (!answer.allowed) write_refusal(writer, answer);
  if (patched) {
    writer.key("patch").string(base64_encode(answer.patch));
    writer.key("patchType").string("JSONPatch");
  }
  if (!answer.audit_annotations.empty()) {
    writer.key("auditAnnotations").begin_object();
    for (const auto& [key, value] : answer.audit_annotations) text(writer.key(key), value);
    writer.end_object();
  }
  if (!answer.warnings.empty()) {
    writer.key("warnings").begin_array();
    for (const std::string& warning : answer.warnings) text(writer, warning);
    writer.end_array();
  }
  writer.end_object().end_object();
  return out;
}

std::string to_json(const ConversionRequest& request, const ConversionAnswer& answer) {
  std::string out;
  size_t bytes = 256 + answer.failure.size();
  for (const std::string& object : answer.objects) bytes += object.size() + 1;
  out.reserve(bytes);
  json::Writer writer(out);
  open_review(writer, ReviewKind::kConversion, request.version, request.uid);
  writer.key("convertedObjects").begin_array();
  if (answer.failure.empty()) {
    for (const std::string& object : answer.objects) writer.raw(object);
  }
  writer.end_array();
  writer.key("result").begin_object();
  writer.key("status").string(answer.failure.empty() ? "Success" : "Failure");
  if (!answer.failure.empty()) text(writer.key("message"), answer.failure);
  writer.end_object().end_object().end_object();
  return out;
}

Status check_answer(const AdmissionAnswer& answer, bool mutating) {
  if (!answer.patch.empty()) {
    if (!mutating) return fail(Code::kInvalid, "patch: a validating webhook may not change the object");
    if (!answer.allowed) return fail(Code::kInvalid, "patch: goes with an allowed answer only");
    GS_TRY_STATUS(check_patch(answer.patch));
  }
  if (answer.code != 0 && (answer.code < 100 || answer.code > 599)) return fail(Code::kInvalid, "code: {} is no HTTP status", answer.code);
  if (answer.warnings.size() > kMaxWarnings) return fail(Code::kTooLarge, "warnings: more than {}", kMaxWarnings);
  size_t bytes = answer.message.size() + answer.reason.size();
  for (const std::string& warning : answer.warnings) bytes += warning.size();
  for (const auto& [key, value] : answer.audit_annotations) {
    bytes += key.size() + value.size();
    if (key.empty() || key.find('/') != std::string::npos) {
      return fail(Code::kInvalid, "auditAnnotations[\"{}\"]: a key must be a name without slash; the API server puts the webhook's before it", key);
    }
  }
  if (bytes > kMaxAnswerBytes) return fail(Code::kTooLarge, "the answer is larger than {} bytes", kMaxAnswerBytes);
  return ok();
}

}  // namespace gs::webhook
