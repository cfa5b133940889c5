// YAML as sigs.k8s.io/yaml (go-yaml 2) reads it: scalars without quotes become null, booleans (yes and
// on too), numbers (0644 is octal) or strings; quoted ones stay strings; keys become strings; "<<"
// merges maps. Several documents in one text. Not done: !!binary, writing YAML, UTF-16.
#pragma once

#include <string_view>
#include <vector>

#include "json/value.h"

namespace gs::json {

inline constexpr size_t kMaxYamlBytes = 3 * 1024 * 1024;
// Nodes after aliases are expanded: a bound against "billion laughs". Long text counts as several.
inline constexpr size_t kMaxYamlNodes = 500'000;
inline constexpr size_t kYamlBytesPerNode = 64;

// Empty documents are left out. kInvalid names line and column ("line 3, column 1: key "a" already set
// in map"); kTooLarge over kMaxYamlBytes. Any thread; a few MB/s.
Result<std::vector<Value>> parse_yaml(std::string_view text);

}  // namespace gs::json
