// What metadata must be, for objects of any type: k8s.io/apimachinery/pkg/api/validation/objectmeta.go. Pure.
#pragma once

#include "apiserver/resource_table.h"
#include "json/value.h"
#include "schema/field_error.h"

namespace gs::apiserver {

// `old` null on create. The name was made up already where it is generated.
void validate_object_meta(const ResourceType& type, const json::Value& object, const json::Value* old, schema::FieldErrors& errors);

// Labels at a path: keys and values.
void validate_labels(const json::Value* labels, const std::string& path, schema::FieldErrors& errors);

// The strings of a list; empty where there is none.
std::vector<std::string> strings_of(const json::Value* list);

}  // namespace gs::apiserver
