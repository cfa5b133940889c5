#include "schema/field_error.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/go_text.h"

namespace gs::schema {
namespace {

using ErrorType = FieldError::Type;

std::string_view words(ErrorType type) {
  switch (type) {
    case ErrorType::kRequired: return "Required value";
    case ErrorType::kInvalid:
    case ErrorType::kTypeInvalid: return "Invalid value";
    case ErrorType::kNotSupported: return "Unsupported value";
    case ErrorType::kDuplicate: return "Duplicate value";
    case ErrorType::kForbidden: return "Forbidden";
    case ErrorType::kTooLong: return "Too long";
    case ErrorType::kTooMany: return "Too many";
    case ErrorType::kTooFew: return "Too few";
    case ErrorType::kTooShort: return "Too short";
    case ErrorType::kNotFound: return "Not found";
    case ErrorType::kInternal: return "Internal error";
  }
  return "";
}

// Error.ErrorBody() of a type that shows no value.
FieldError plain(ErrorType type, std::string field, std::string_view detail) {
  std::string body(words(type));
  if (!detail.empty()) body.append(": ").append(detail);
  return FieldError{type, std::move(field), std::move(body)};
}

std::string plural(int64_t count, std::string_view one) { return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s"); }

}  // namespace

std::string_view FieldError::reason() const {
  switch (type) {
    case ErrorType::kRequired: return "FieldValueRequired";
    case ErrorType::kInvalid: return "FieldValueInvalid";
    case ErrorType::kTypeInvalid: return "FieldValueTypeInvalid";
    case ErrorType::kNotSupported: return "FieldValueNotSupported";
    case ErrorType::kDuplicate: return "FieldValueDuplicate";
    case ErrorType::kForbidden: return "FieldValueForbidden";
    case ErrorType::kTooLong: return "FieldValueTooLong";
    case ErrorType::kTooMany: return "FieldValueTooMany";
    case ErrorType::kTooFew: return "FieldValueTooFew";
    case ErrorType::kTooShort: return "FieldValueTooShort";
    case ErrorType::kNotFound: return "FieldValueNotFound";
    case ErrorType::kInternal: return "InternalError";
  }
  return "";
}

FieldError field_error(ErrorType type, std::string field, const json::Value& bad, std::string_view detail) {
  std::string body = fmt::format("{}: {}", words(type), bad.is_string() ? quoted(*bad.string()) : go_json(bad));
  if (!detail.empty()) body.append(": ").append(detail);
  return FieldError{type, std::move(field), std::move(body)};
}

FieldError raw_error(ErrorType type, std::string field, std::string_view value, std::string_view detail) {
  return FieldError{type, std::move(field), fmt::format("{}: {}{}{}", words(type), value, detail.empty() ? "" : ": ", detail)};
}

FieldError required(std::string field, std::string_view detail) { return plain(ErrorType::kRequired, std::move(field), detail); }
FieldError forbidden(std::string field, std::string_view detail) { return plain(ErrorType::kForbidden, std::move(field), detail); }
FieldError invalid(std::string field, const json::Value& bad, std::string_view detail) { return field_error(ErrorType::kInvalid, std::move(field), bad, detail); }
FieldError type_invalid(std::string field, const json::Value& bad, std::string_view detail) {
  return field_error(ErrorType::kTypeInvalid, std::move(field), bad, detail);
}
FieldError duplicate(std::string field, const json::Value& bad) { return field_error(ErrorType::kDuplicate, std::move(field), bad, ""); }
FieldError not_found(std::string field, const json::Value& bad) { return field_error(ErrorType::kNotFound, std::move(field), bad, ""); }

FieldError not_supported(std::string field, const json::Value& bad, const std::vector<std::string>& valid) {
  std::string detail;
  for (const std::string& v : valid) detail += (detail.empty() ? "supported values: " : ", ") + quoted(v);
  return field_error(ErrorType::kNotSupported, std::move(field), bad, detail);
}

FieldError too_long(std::string field, int64_t max) { return plain(ErrorType::kTooLong, std::move(field), "may not be more than " + plural(max, "byte")); }
FieldError too_many(std::string field, int64_t actual, int64_t max) {
  return field_error(ErrorType::kTooMany, std::move(field), actual, "must have at most " + plural(max, "item"));
}
FieldError too_short(std::string field, int64_t min) {
  return plain(ErrorType::kTooShort, std::move(field), "must be at least " + plural(min, "character"));
}

std::string child(std::string_view parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}
std::string index(std::string_view parent, size_t position) { return fmt::format("{}[{}]", parent, position); }
std::string key(std::string_view parent, std::string_view name) { return fmt::format("{}[{}]", parent, name); }

std::string aggregate(const std::vector<std::string>& messages) {
  std::vector<std::string> once;
  for (const std::string& m : messages) {
    if (std::find(once.begin(), once.end(), m) == once.end()) once.push_back(m);
  }
  if (once.size() == 1) return once.front();
  return fmt::format("[{}]", fmt::join(once, ", "));
}

}  // namespace gs::schema
