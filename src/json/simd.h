// What the rest of src/json needs of simdjson; internal. Implemented in simd.cc, per thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"

namespace gs::json {

bool is_utf8(std::string_view text);

// Validates `text` strictly and gives the offsets of its structure: every { } [ ] : , and the first
// byte of every string and other scalar, in order. They hold until the next call on this thread.
// `padded`: kScanPadding bytes behind `text` may be read.
Result<std::span<const uint32_t>> validate_and_index(std::string_view text, bool padded);

}  // namespace gs::json
