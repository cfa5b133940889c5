// The two patches that API servers apply to JSON: RFC 6902 and RFC 7386.
// Pure functions on values; a patch is applied whole or not at all.
#pragma once

#include "json/value.h"

namespace gs::json {

// The bounds of API servers: operations in one patch, and bytes that its copies may add (copies of
// copies grow without bound otherwise).
inline constexpr size_t kMaxPatchOperations = 10'000;
inline constexpr size_t kMaxPatchCopyBytes = 3 * 1024 * 1024;

// RFC 6902: `operations` is an array of add, remove, replace, move, copy and test. kInvalid where an
// operation is malformed, a path does not exist, or a test fails ("operation 2 (replace /spec/x): ...");
// kTooLarge over a bound or where the result would be nested deeper than kMaxDepth.
Result<Value> apply_json_patch(Value document, const Value& operations);

// RFC 7386: null removes a member, objects merge, anything else replaces. Cannot fail.
Value apply_merge_patch(Value document, const Value& patch);

}  // namespace gs::json
