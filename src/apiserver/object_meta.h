// What metadata must be, for objects of any type: k8s.io/apimachinery/pkg/api/validation/objectmeta.go. Pure.
#pragma once

#include "apiserver/resource_table.h"
#include "json/value.h"
#include "schema/field_error.h"

namespace gs::apiserver {

// What a type's own validation says: ValidateObjectMeta, or ValidateObjectMetaUpdate (`old` is null on create). The name was
// made up already where it is generated.
void validate_object_meta(const ResourceType& type, const json::Value& object, const json::Value* old, schema::FieldErrors& errors);

// Of an update: what is common to all types (k8s.io/apiserver/pkg/registry/rest/update.go), then what the type's own validation
// says, which for many types is the same again. Kubernetes tells each time as a cause of its own.
void validate_object_meta_update(const ResourceType& type, const json::Value& object, const json::Value& old, bool status, schema::FieldErrors& errors);

// Of custom resources: finalizers that are new and have no domain
// (k8s.io/apiextensions-apiserver/pkg/registry/customresource/validator.go).
std::vector<std::string> finalizer_warnings(const json::Value& object, const json::Value* old);

// Labels at a path: keys and values.
void validate_labels(const json::Value* labels, const std::string& path, schema::FieldErrors& errors);

// The strings of a list; empty where there is none.
std::vector<std::string> strings_of(const json::Value* list);

}  // namespace gs::apiserver
