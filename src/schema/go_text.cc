#include "schema/go_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace gs::schema {
namespace {

std::vector<const json::Member*> sorted(const json::Object& object) {
  std::vector<const json::Member*> out;
  for (const json::Member& m : object) out.push_back(&m);
  std::sort(out.begin(), out.end(), [](const json::Member* a, const json::Member* b) { return a->first < b->first; });
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  std::string plain;
  json::append_string(plain, text);
  for (const char c : plain) {
    if (c == '<' || c == '>' || c == '&') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
}

void append_json(std::string& out, const json::Value& value) {
  if (const json::Object* object = value.object()) {
    out += '{';
    for (const json::Member* m : sorted(*object)) {
      if (out.back() != '{') out += ',';
      append_json_string(out, m->first);
      out += ':';
      append_json(out, m->second);
    }
    out += '}';
  } else if (const json::Array* array = value.array()) {
    out += '[';
    for (size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += ',';
      append_json(out, (*array)[i]);
    }
    out += ']';
  } else if (const std::string* text = value.string()) {
    append_json_string(out, *text);
  } else {
    out += value.dump();
  }
}

}  // namespace

std::string go_json(const json::Value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\a': out += "\\a"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\v': out += "\\v"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string go_print(const json::Value& value) {
  std::string out;
  if (const json::Object* object = value.object()) {
    for (const json::Member* m : sorted(*object)) out += fmt::format("{}{}:{}", out.empty() ? "" : " ", m->first, go_print(m->second));
    return "map[" + out + "]";
  }
  if (const json::Array* array = value.array()) {
    for (size_t i = 0; i < array->size(); ++i) out += (i > 0 ? " " : "") + go_print((*array)[i]);
    return "[" + out + "]";
  }
  if (const std::string* text = value.string()) return *text;
  return value.is_null() ? "<nil>" : value.dump();
}

std::string quoted_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ' ';
    out += quoted(text);
  }
  return out + "]";
}

}  // namespace gs::schema
