// Small text helpers that the standard library lacks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gs {

// Lets std::unordered_map<std::string, T> be searched with a string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// "a,b," -> {"a", "b", ""}; "" -> {""}.
std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string to_lower(std::string_view text);
bool equals_ignore_case(std::string_view a, std::string_view b);

// Decimal, whole text, no sign, no overflow.
std::optional<uint64_t> parse_uint(std::string_view text);

std::string base64_encode(std::string_view bytes);
// Standard alphabet with padding; white space is skipped, as in kubeconfig files.
std::optional<std::string> base64_decode(std::string_view text);

// Percent-decoding of a URL part. `plus_is_space` for queries. nullopt on a malformed escape.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);
// Escapes everything but RFC 3986's unreserved characters.
std::string percent_encode(std::string_view text);

// Lower-case hex SHA-256.
std::string sha256_hex(std::string_view bytes);

// The text at most `max` bytes long, cut at a UTF-8 boundary and ended by "..." where it was cut.
std::string truncate_utf8(std::string_view text, size_t max);

}  // namespace gs
