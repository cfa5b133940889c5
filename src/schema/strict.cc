#include "schema/strict.h"

#include <fmt/format.h>

#include <unordered_set>

#include "json/cursor.h"
#include "schema/go_text.h"

namespace gs::schema {
namespace {

constexpr size_t kMaxErrors = 100;  // as sigs.k8s.io/json

class Scan {
 public:
  explicit Scan(std::string_view body) : cursor_(body) {}

  std::vector<std::string> take() { return std::move(errors_); }

  void value(const Schema* schema) {
    const char c = cursor_.peek();
    if (c == '{') {
      object(schema);
    } else if (c == '[') {
      array(schema);
    } else {
      cursor_.value();
    }
  }

 private:
  void object(const Schema* schema) {
    const bool closed = schema != nullptr && schema->type == Type::kObject && !schema->additional && !schema->preserve_unknown;
    std::unordered_set<std::string> seen;
    cursor_.take('{');
    while (cursor_.peek() == '"') {
      const std::string name = key(cursor_.value());
      cursor_.take(':');
      const Property* property = schema != nullptr ? schema->find(name) : nullptr;
      if (closed && property == nullptr) {
        report("unknown", name);
        cursor_.value();
      } else {
        if (!seen.insert(name).second) report("duplicate", name);
        const size_t before = path_.size();
        if (!path_.empty()) path_ += '.';
        path_ += name;
        value(property != nullptr ? property->slot.schema : schema != nullptr ? schema->additional.schema : nullptr);
        path_.resize(before);
      }
      if (!cursor_.take(',')) break;
    }
    cursor_.take('}');
  }

  void array(const Schema* schema) {
    cursor_.take('[');
    for (size_t i = 0; cursor_.peek() != ']' && cursor_.peek() != '\0'; ++i) {
      const size_t before = path_.size();
      path_ += fmt::format("[{}]", i);
      value(schema != nullptr ? schema->items.schema : nullptr);
      path_.resize(before);
      if (!cursor_.take(',')) break;
    }
    cursor_.take(']');
  }

  static std::string key(std::string_view raw) {
    if (raw.find('\\') == std::string_view::npos) return std::string(raw.substr(1, raw.size() - 2));
    const auto parsed = json::parse(raw);
    return parsed && parsed->string() != nullptr ? *parsed->string() : std::string(raw);
  }

  void report(std::string_view what, const std::string& name) {
    std::string text = fmt::format("{} field {}", what, quoted(path_.empty() ? name : path_ + "." + name));
    if (errors_.size() < kMaxErrors && told_.insert(text).second) errors_.push_back(std::move(text));
  }

  json::Cursor cursor_;
  std::string path_;
  std::vector<std::string> errors_;
  std::unordered_set<std::string> told_;
};

}  // namespace

std::vector<std::string> strict_errors(std::string_view body, const Schema* schema) {
  Scan scan(body);
  scan.value(schema);
  return scan.take();
}

}  // namespace gs::schema
