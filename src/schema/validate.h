// Whether objects are what a CRD's schema says, in the words of kube-openapi's validation as apiextensions prints them.
#pragma once

#include "schema/field_error.h"
#include "schema/schema.h"

namespace gs::schema {

// All that is wrong with the object. `old`: what was stored before (null on create): what is wrong with a part that did not
// change is let through, as in Kubernetes.
FieldErrors validate(const Schema& schema, const json::Value& object, const json::Value* old);

// Embedded resources say what they are: apiVersion, kind, and metadata in order.
FieldErrors validate_embedded(const Schema& schema, const json::Value& object);

// Lists of type set and map whose items are not unique.
FieldErrors validate_list_types(const Schema& schema, const json::Value& object);

}  // namespace gs::schema
