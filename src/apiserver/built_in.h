// What Kubernetes has in Go for its own types beyond their schemas: defaults, what creating and updating sets, and validation.
// By table where the rules are alike. What is left out stands in docs/reference/apiserver-differences.md. Pure.
#pragma once

#include "apiserver/resource_table.h"
#include "json/value.h"
#include "schema/field_error.h"

namespace gs::apiserver {

// pkg/apis/*/v1/defaults.go, and the conversions that decoding makes (stringData of Secrets).
void default_built_in(const ResourceType& type, json::Value& object);

// PrepareForCreate and PrepareForUpdate (`old` null on create) of pkg/registry, but for generation and status.
void prepare_built_in(const ResourceType& type, json::Value& object, const json::Value* old);

// WarningsOnCreate and WarningsOnUpdate of pkg/registry: of Services.
std::vector<std::string> warnings_of_built_in(const ResourceType& type, const json::Value& object);

// pkg/apis/*/validation, but for metadata.
void validate_built_in(const ResourceType& type, const json::Value& object, const json::Value* old, schema::FieldErrors& errors);

}  // namespace gs::apiserver
