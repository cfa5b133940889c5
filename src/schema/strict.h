// What fieldValidation is about, found in the text of a body: fields that are unknown and fields that are twice there, in the
// words of sigs.k8s.io/json. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/schema.h"

namespace gs::schema {

// `unknown field "spec.foo"`, `duplicate field "spec.bar"`, each once, in the order of the text, at most 100. `body` is valid
// JSON. Without a schema only what is twice there is found.
std::vector<std::string> strict_errors(std::string_view body, const Schema* schema);

}  // namespace gs::schema
