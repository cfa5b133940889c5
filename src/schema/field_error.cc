#include "schema/field_error.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/go_text.h"

namespace gs::schema {
namespace {

using Type = FieldError::Type;

std::string_view words(Type type) {
  switch (type) {
    case Type::kRequired: return "Required value";
    case Type::kInvalid:
    case Type::kTypeInvalid: return "Invalid value";
    case Type::kNotSupported: return "Unsupported value";
    case Type::kDuplicate: return "Duplicate value";
    case Type::kForbidden: return "Forbidden";
    case Type::kTooLong: return "Too long";
    case Type::kTooMany: return "Too many";
    case Type::kTooFew: return "Too few";
    case Type::kTooShort: return "Too short";
    case Type::kNotFound: return "Not found";
    case Type::kInternal: return "Internal error";
  }
  return "";
}

// Error.ErrorBody() of a type that shows no value.
FieldError plain(Type type, std::string field, std::string_view detail) {
  std::string body(words(type));
  if (!detail.empty()) body.append(": ").append(detail);
  return FieldError{type, std::move(field), std::move(body)};
}

std::string plural(int64_t count, std::string_view one) { return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s"); }

}  // namespace

std::string_view FieldError::reason() const {
  switch (type) {
    case Type::kRequired: return "FieldValueRequired";
    case Type::kInvalid: return "FieldValueInvalid";
    case Type::kTypeInvalid: return "FieldValueTypeInvalid";
    case Type::kNotSupported: return "FieldValueNotSupported";
    case Type::kDuplicate: return "FieldValueDuplicate";
    case Type::kForbidden: return "FieldValueForbidden";
    case Type::kTooLong: return "FieldValueTooLong";
    case Type::kTooMany: return "FieldValueTooMany";
    case Type::kTooFew: return "FieldValueTooFew";
    case Type::kTooShort: return "FieldValueTooShort";
    case Type::kNotFound: return "FieldValueNotFound";
    case Type::kInternal: return "InternalError";
  }
  return "";
}

FieldError field_error(Type type, std::string field, const json::Value& bad, std::string_view detail) {
  std::string body = fmt::format("{}: {}", words(type), bad.is_string() ? quoted(*bad.string()) : go_json(bad));
  if (!detail.empty()) body.append(": ").append(detail);
  return FieldError{type, std::move(field), std::move(body)};
}

FieldError raw_error(Type type, std::string field, std::string_view value, std::string_view detail) {
  return FieldError{type, std::move(field), fmt::format("{}: {}{}{}", words(type), value, detail.empty() ? "" : ": ", detail)};
}

FieldError required(std::string field, std::string_view detail) { return plain(Type::kRequired, std::move(field), detail); }
FieldError forbidden(std::string field, std::string_view detail) { return plain(Type::kForbidden, std::move(field), detail); }
FieldError invalid(std::string field, const json::Value& bad, std::string_view detail) { return field_error(Type::kInvalid, std::move(field), bad, detail); }
FieldError type_invalid(std::string field, const json::Value& bad, std::string_view detail) {
  return field_error(Type::kTypeInvalid, std::move(field), bad, detail);
}
FieldError duplicate(std::string field, const json::Value& bad) { return field_error(Type::kDuplicate, std::move(field), bad, ""); }
FieldError not_found(std::string field, const json::Value& bad) { return field_error(Type::kNotFound, std::move(field), bad, ""); }

FieldError not_supported(std::string field, const json::Value& bad, const std::vector<std::string>& valid) {
  std::string detail;
  for (const std::string& v : valid) detail += (detail.empty() ? "supported values: " : ", ") + quoted(v);
  return field_error(Type::kNotSupported, std::move(field), bad, detail);
}

FieldError too_long(std::string field, int64_t max) { return plain(Type::kTooLong, std::move(field), "may not be more than " + plural(max, "byte")); }
FieldError too_many(std::string field, int64_t actual, int64_t max) {
  return field_error(Type::kTooMany, std::move(field), actual, "must have at most " + plural(max, "item"));
}
FieldError too_short(std::string field, int64_t min) {
  return plain(Type::kTooShort, std::move(field), "must be at least " + plural(min, "character"));
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
