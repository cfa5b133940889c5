// What Go says of a text that is no JSON, and of a value that is not what was asked for. Pure.
#pragma once

#include <string>
#include <string_view>

#include "json/value.h"

namespace gs::schema {

// The error of encoding/json's scanner (which sigs.k8s.io/json shares), empty where it takes the text: it knows nothing of
// UTF-8 and is content with deeper nesting than our parser.
std::string go_json_problem(std::string_view text);

// json::parse, with Go's words for what is wrong.
Result<json::Value> parse_as_go(std::string_view text);

// "array", "number", "bool": as json.UnmarshalTypeError names a value.
std::string_view go_json_kind(const json::Value& value);

}  // namespace gs::schema
