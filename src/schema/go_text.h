// Values written as Go's fmt and encoding/json write them, so that messages read as Kubernetes' do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"

namespace gs::schema {

// json.Marshal of a map: members by name, <, > and & escaped.
std::string go_json(const json::Value& value);
// Go's %q of a string (strconv.Quote).
std::string quoted(std::string_view text);
// The same of a []string: ["a" "b"].
std::string quoted_list(const std::vector<std::string>& texts);
// Go's %v of what encoding/json decoded: map[a:1 b:[x y]], <nil>.
std::string go_print(const json::Value& value);

}  // namespace gs::schema
