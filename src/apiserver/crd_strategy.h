// Custom resource definitions as objects: their defaults and validation (k8s.io/apiextensions-apiserver), and the resource
// types that they define. Pure; custom_resource_definitions.h brings them to life.
#pragma once

#include <vector>

#include "apiserver/resource_table.h"
#include "json/value.h"
#include "schema/field_error.h"

namespace gs::apiserver {

inline constexpr std::string_view kCrdCleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

bool is_crd(const ResourceType& type);

// What of the schemas decoding could not read, in Go's words; empty: nothing.
std::string decode_crd(json::Value& crd);
void default_crd(json::Value& crd);
void prepare_crd(json::Value& crd, const json::Value* old);
void validate_crd(const json::Value& crd, const json::Value* old, schema::FieldErrors& errors);
// `unrecognized format "x"`, of what the write brings in.
std::vector<std::string> warnings_of_crd(const json::Value& crd, const json::Value* old);
// What a first deletion makes of it: the finalizer and the condition.
void prepare_crd_deletion(json::Value& crd, std::string_view now);

// One type for each version that is served.
std::vector<ResourceType> types_of_crd(const json::Value& crd);

bool crd_condition(const json::Value& crd, std::string_view type);  // whether it is True
void set_crd_condition(json::Value& crd, std::string_view type, bool status, std::string_view reason, std::string_view message, std::string_view now);

}  // namespace gs::apiserver
