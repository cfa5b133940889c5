#include "schema/names.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace gs::schema {
namespace {

constexpr std::string_view kLabel = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kSubdomain = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
constexpr std::string_view kKeyWords = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
constexpr std::string_view kKey = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool lower_digit(char c) { return lower(c) || digit(c); }
bool alnum(char c) { return lower_digit(c) || (c >= 'A' && c <= 'Z'); }

bool is_label(std::string_view t) {
  return !t.empty() && lower_digit(t.front()) && lower_digit(t.back()) && std::all_of(t.begin(), t.end(), [](char c) { return lower_digit(c) || c == '-'; });
}
bool is_subdomain(std::string_view t) {
  const auto parts = split(t, '.');
  return std::all_of(parts.begin(), parts.end(), is_label);
}
bool is_key(std::string_view t) {
  return !t.empty() && alnum(t.front()) && alnum(t.back()) && std::all_of(t.begin(), t.end(), [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string no_more_than(size_t max) { return fmt::format("must be no more than {} bytes", max); }

}  // namespace

std::string regex_error(std::string_view message, std::string_view regex, std::initializer_list<std::string_view> examples) {
  std::string out = fmt::format("{} (", message);
  bool first = true;
  for (const std::string_view e : examples) {
    out += fmt::format("{}'{}', ", first ? "e.g. " : " or ", e);
    first = false;
  }
  return out + fmt::format("regex used for validation is '{}')", regex);
}

std::string between(int64_t low, int64_t high) { return fmt::format("must be between {} and {}, inclusive", low, high); }

Problems dns1123_label(std::string_view name) {
  Problems out;
  if (name.size() > 63) out.push_back(no_more_than(63));
  if (is_label(name)) return out;
  if (is_subdomain(name)) {
    out.push_back("must not contain dots");
  } else {
    out.push_back(regex_error("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character", kLabel,
                              {"my-name", "123-abc"}));
  }
  return out;
}

Problems dns1123_subdomain(std::string_view name) {
  Problems out;
  if (name.size() > 253) out.push_back(no_more_than(253));
  if (is_subdomain(name)) return out;
  out.push_back(regex_error("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
                            kSubdomain, {"example.com"}));
  return out;
}

Problems dns1035_label(std::string_view name) {
  Problems out;
  if (name.size() > 63) out.push_back(no_more_than(63));
  if (is_label(name) && lower(name.front())) return out;
  out.push_back(regex_error("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
                            "[a-z]([-a-z0-9]*[a-z0-9])?", {"my-name", "abc-123"}));
  return out;
}

Problems path_segment_name(std::string_view name) {
  if (name == "." || name == "..") return {fmt::format("may not be '{}'", name)};
  Problems out;
  for (const char* part : {"/", "%"}) {
    if (name.find(part) != std::string_view::npos) out.push_back(fmt::format("may not contain '{}'", part));
  }
  return out;
}

Problems label_key(std::string_view key) {
  Problems out;
  const auto parts = split(key, '/');
  if (parts.size() > 2) {
    return {"a valid label key " + regex_error(kKeyWords, kKey, {"MyName", "my.name", "123-abc"}) + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"};
  }
  if (parts.size() == 2) {
    if (parts[0].empty()) {
      out.push_back("prefix part must be non-empty");
    } else {
      for (const std::string& p : dns1123_subdomain(parts[0])) out.push_back("prefix part " + p);
    }
  }
  const std::string_view name = parts.back();
  if (name.empty()) out.push_back("name part must be non-empty");
  if (name.size() > 63) out.push_back("name part " + no_more_than(63));
  if (!is_key(name)) out.push_back("name part " + regex_error(kKeyWords, kKey, {"MyName", "my.name", "123-abc"}));
  return out;
}

Problems label_value(std::string_view value) {
  Problems out;
  if (value.size() > 63) out.push_back(no_more_than(63));
  if (!value.empty() && !is_key(value)) {
    out.push_back(regex_error(fmt::format("a valid label must be an empty string or consist of {}", kKeyWords.substr(std::string_view("must consist of ").size())),
                              "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", {"MyValue", "my_value", "12345"}));
  }
  return out;
}

Problems config_map_key(std::string_view key) {
  Problems out;
  if (key.size() > 253) out.push_back(no_more_than(253));
  if (key.empty() || !std::all_of(key.begin(), key.end(), [](char c) { return alnum(c) || c == '-' || c == '.' || c == '_'; })) {
    out.push_back(regex_error("a valid config key must consist of alphanumeric characters, '-', '_' or '.'", "[-._a-zA-Z0-9]+", {"key.name", "KEY_NAME", "key-name"}));
  }
  if (key == ".") out.push_back("must not be '.'");
  if (key == "..") {
    out.push_back("must not be '..'");
  } else if (key.starts_with("..")) {
    out.push_back("must not start with '..'");
  }
  return out;
}

Problems env_var_name(std::string_view name) {
  if (!name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7f && c != '='; })) return {};
  return {"a valid environment variable name must consist only of printable ASCII characters other than '='"};
}

Problems port_name(std::string_view name) {
  Problems out;
  if (name.size() > 15) out.push_back(no_more_than(15));
  if (name.empty() || !std::all_of(name.begin(), name.end(), [](char c) { return lower_digit(c) || c == '-'; })) {
    out.push_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (std::none_of(name.begin(), name.end(), lower)) out.push_back("must contain at least one letter (a-z)");
  if (name.find("--") != std::string_view::npos) out.push_back("must not contain consecutive hyphens");
  if (!name.empty() && (name.front() == '-' || name.back() == '-')) out.push_back("must not begin or end with a hyphen");
  return out;
}

Problems port_number(int64_t port) { return port >= 1 && port <= 65535 ? Problems() : Problems{between(1, 65535)}; }

}  // namespace gs::schema
