// What is wrong with a field, in the words of k8s.io/apimachinery/pkg/util/validation/field. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/go_text.h"

namespace gs::schema {

struct FieldError {
  enum class Type { kRequired, kInvalid, kTypeInvalid, kNotSupported, kDuplicate, kForbidden, kTooLong, kTooMany, kTooFew, kTooShort, kNotFound, kInternal };

  Type type = Type::kInvalid;
  std::string field;  // "spec.ports[0].name"
  std::string body;   // "Invalid value: \"a\": must be ..."

  // "FieldValueInvalid", as causes name it.
  std::string_view reason() const;
  // "spec.x: Invalid value: ...".
  std::string to_string() const { return field + ": " + body; }
};
using FieldErrors = std::vector<FieldError>;

FieldError required(std::string field, std::string_view detail);
FieldError forbidden(std::string field, std::string_view detail);
FieldError invalid(std::string field, const json::Value& bad, std::string_view detail);
FieldError type_invalid(std::string field, const json::Value& bad, std::string_view detail);
FieldError duplicate(std::string field, const json::Value& bad);
FieldError not_found(std::string field, const json::Value& bad);
FieldError not_supported(std::string field, const json::Value& bad, const std::vector<std::string>& valid);
FieldError too_long(std::string field, int64_t max);
FieldError too_many(std::string field, int64_t actual, int64_t max);
FieldError too_short(std::string field, int64_t min);
// The value as it shall be shown: JSON of a Go struct, in its order.
FieldError raw_error(FieldError::Type type, std::string field, std::string_view value, std::string_view detail);
// Any other: the body is "<type>: <value>: <detail>".
FieldError field_error(FieldError::Type type, std::string field, const json::Value& bad, std::string_view detail);

// "parent.child", "parent[3]", "parent[key]".
std::string child(std::string_view parent, std::string_view name);
std::string index(std::string_view parent, size_t position);
std::string key(std::string_view parent, std::string_view name);

// utilerrors.Aggregate's text: one as it is, several as "[a, b]", each once.
std::string aggregate(const std::vector<std::string>& messages);

}  // namespace gs::schema
