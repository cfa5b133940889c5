// The schema of a CRD, read from its JSONSchemaProps and judged as apiextensions judges it: it must be structural.
#pragma once

#include <string>

#include "schema/field_error.h"
#include "schema/schema.h"

namespace gs::schema {

// Decodes what stands in `items` and `additionalProperties`, which have readers of their own (the rest was decoded with the
// CRD): the first thing of a wrong type in Go's words, or empty.
std::string decode_schema_props(json::Value& props);

// All that is wrong with an openAPIV3Schema at `path`, in Kubernetes' words.
FieldErrors check_crd_schema(const json::Value& props, const std::string& path, bool status_subresource);

// The schema that checked props mean. What was refused above may give any schema, but does no harm.
SchemaPtr build_crd_schema(const json::Value& props);

// Defaults that do not fit their own schema.
FieldErrors check_crd_defaults(const json::Value& props, const std::string& path);

}  // namespace gs::schema
