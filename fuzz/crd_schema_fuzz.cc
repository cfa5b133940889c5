// A CRD's schema from anybody, and an object for it on the next line: reading does no harm, and what was judged sound prunes and
// defaults once and for all.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "schema/crd_schema.h"
#include "schema/decode.h"
#include "schema/kubernetes.h"
#include "schema/prune.h"
#include "schema/strict.h"
#include "schema/validate.h"

using namespace gs::schema;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = text.find('\n');
  auto props = gs::json::parse(text.substr(0, line));
  if (!props || !props->is_object()) return 0;
  strict_errors(text.substr(0, line), nullptr);
  // As a request is read: what has a wrong type goes no further.
  std::vector<std::string> unknown;
  const bool typed = decode(*kubernetes_schema("apiextensions.v1.JSONSchemaProps"), *props, unknown).empty() && decode_schema_props(*props).empty();
  const SchemaPtr schema = build_crd_schema(*props);
  const bool sound = typed && check_crd_schema(*props, "spec.validation.openAPIV3Schema", true).empty();
  auto object = line == std::string_view::npos ? gs::Result<gs::json::Value>(gs::json::Value(gs::json::Object())) : gs::json::parse(text.substr(line + 1));
  if (!object || !object->is_object()) return 0;
  validate(*schema, *object, nullptr);
  validate_list_types(*schema, *object);
  if (!validate(*schema, *object, &*object).empty()) std::abort();
  prune(*schema, *object);
  apply_defaults(*schema, *object);
  if (!sound) return 0;
  gs::json::Value again = *object;
  if (!prune(*schema, again).empty()) std::abort();
  apply_defaults(*schema, again);
  if (!(again == *object)) std::abort();
  return 0;
}
