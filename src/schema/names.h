// Names, labels and keys as k8s.io/apimachinery checks them. Each returns what is wrong, in its words; empty: nothing. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gs::schema {

using Problems = std::vector<std::string>;

Problems dns1123_label(std::string_view name);
Problems dns1123_subdomain(std::string_view name);
Problems dns1035_label(std::string_view name);
Problems path_segment_name(std::string_view name);
Problems label_key(std::string_view key);  // of annotations too, and of finalizers
Problems label_value(std::string_view value);
Problems config_map_key(std::string_view key);
Problems env_var_name(std::string_view name);
// IANA_SVC_NAME, of named ports.
Problems port_name(std::string_view name);
Problems port_number(int64_t port);

// "msg (e.g. 'a',  or 'b', regex used for validation is 're')".
std::string regex_error(std::string_view message, std::string_view regex, std::initializer_list<std::string_view> examples);
std::string between(int64_t low, int64_t high);  // "must be between 1 and 65535, inclusive"

}  // namespace gs::schema
