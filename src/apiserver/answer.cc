#include "apiserver/answer.h"

#include <fmt/format.h>

#include "json/value.h"
#include "json/writer.h"

namespace gs::apiserver {

std::string details_of(const ResourceType& type, std::string_view name, std::string_view extra) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().key("name").string(name);
  if (!type.named_group().empty()) writer.key("group").string(type.named_group());
  writer.key("kind").string(type.resource);
  out += extra;
  writer.end_object();
  return out;
}

Answer with_warnings(Answer answer, const std::vector<std::string>& warnings) {
  answer.warnings.insert(answer.warnings.begin(), warnings.begin(), warnings.end());
  return answer;
}

Answer failure(int code, std::string_view reason, const std::string& message, std::string_view details) {
  Answer answer;
  answer.status = code;
  json::Writer writer(answer.body);
  writer.begin_object().key("kind").string("Status").key("apiVersion").string("v1").key("metadata").raw("{}");
  writer.key("status").string("Failure").key("message").string(message);
  if (!reason.empty()) writer.key("reason").string(reason);
  if (!details.empty()) writer.key("details").raw(details);
  writer.key("code").integer(code).end_object();
  return answer;
}

Answer not_found(const ResourceType& type, std::string_view name) {
  return failure(404, "NotFound", fmt::format("{} \"{}\" not found", type.qualified(), name), details_of(type, name));
}

Answer already_exists(const ResourceType& type, std::string_view name) {
  return failure(409, "AlreadyExists", fmt::format("{} \"{}\" already exists", type.qualified(), name), details_of(type, name));
}

Answer conflict(const ResourceType& type, std::string_view name, const std::string& why) {
  return failure(409, "Conflict", fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", type.qualified(), name, why),
                 details_of(type, name));
}

Answer forbidden(const ResourceType& type, std::string_view name, const std::string& why, std::string_view causes) {
  std::string extra;
  if (!causes.empty()) extra.append(",\"causes\":").append(causes);
  return failure(403, "Forbidden", fmt::format("{} \"{}\" is forbidden: {}", type.qualified(), name, why), details_of(type, name, extra));
}

Answer invalid(const ResourceType& type, std::string_view name, std::string_view field, const std::string& why) {
  std::string cause = R"(,"causes":[{"reason":"FieldValueInvalid","message":)";
  json::append_string(cause, why);
  cause += R"(,"field":)";
  json::append_string(cause, field);
  cause += "}]";
  return failure(422, "Invalid", fmt::format("{} \"{}\" is invalid: {}: {}", type.qualified(), name, field, why),
                 details_of(type, name, cause));
}

Answer bad_request(const std::string& message) { return failure(400, "BadRequest", message); }

Answer expired(const std::string& message) { return failure(410, "Expired", message); }

std::string bad_version(std::string_view text) {
  return fmt::format("resourceVersion: Invalid value: \"{}\": strconv.ParseUint: parsing \"{}\": invalid syntax", text, text);
}

Answer too_large_version(uint64_t wanted, uint64_t current, bool exact) {
  Answer answer = failure(504, "Timeout", fmt::format("{}Too large resource version: {}, current: {}", exact ? "Timeout: " : "", wanted, current),
                          R"({"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1})");
  answer.retry_after = 1;
  return answer;
}

Answer page_not_found() {
  Answer answer(404, "404 page not found\n");
  answer.content_type = "text/plain; charset=utf-8";
  return answer;
}

Answer no_such_resource() { return failure(404, "NotFound", "the server could not find the requested resource", "{}"); }
Answer method_not_allowed() { return failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", "{}"); }

Answer done(int code) {
  return Answer(code, fmt::format(R"({{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Success","code":{}}})", code));
}

Answer deleted(const ResourceType& type, std::string_view name, std::string_view uid) {
  std::string extra = R"(,"uid":)";
  json::append_string(extra, uid);
  return Answer(200, R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":)" + details_of(type, name, extra) + "}");
}

}  // namespace gs::apiserver
