// The meaning of a YAML scalar without quotes; internal.
#pragma once

#include <string_view>

#include "json/value.h"

namespace gs::json {

// As sigs.k8s.io/yaml (go-yaml 2) resolves it: YAML 1.1's booleans (yes, on, y), octal 0644 and 0o644,
// hexadecimal, binary, 1_000. Dates stay strings. kInvalid for infinity and not-a-number, which JSON
// does not have.
Result<Value> resolve_plain_scalar(std::string_view text);

}  // namespace gs::json
