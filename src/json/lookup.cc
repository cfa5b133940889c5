// Look-ups in raw bytes that were validated before.
#include <algorithm>

#include "json/cursor.h"
#include "json/scan.h"
#include "json/value.h"

namespace gs::json {
namespace {

// Calls each(raw key with quotes, raw value) until it returns false.
template <class Each>
void members(std::string_view object, Each each) {
  Cursor cursor(object);
  if (!cursor.take('{')) return;
  while (cursor.peek() == '"') {
    const std::string_view key = cursor.value();
    if (!cursor.take(':')) return;
    const std::string_view value = cursor.value();
    if (!each(key, value) || !cursor.take(',')) return;
  }
}

// A raw JSON string without its quotes; `storage` holds it where it had escapes. Empty where it is no
// string.
std::string_view unescape(std::string_view raw, std::string& storage) {
  if (raw.size() < 2 || raw.back() != '"') return {};
  const std::string_view inner = raw.substr(1, raw.size() - 2);
  if (inner.find('\\') == std::string_view::npos) return inner;
  storage.clear();
  const Result<Value> parsed = parse(raw);
  if (parsed && parsed->is_string()) storage = *parsed->string();
  return storage;
}

// The last of equal keys counts, as it does for whoever parses the object.
std::optional<std::string_view> member(std::string_view object, std::string_view wanted) {
  std::optional<std::string_view> found;
  std::string storage;
  members(object, [&](std::string_view key, std::string_view value) {
    if (unescape(key, storage) == wanted) found = value;
    return true;
  });
  return found;
}

}  // namespace

std::optional<std::string_view> raw_at(std::string_view json, std::span<const std::string_view> path) {
  for (const std::string_view key : path) {
    const auto found = member(json, key);
    if (!found) return std::nullopt;
    json = *found;
  }
  return json;
}

std::optional<std::string_view> raw_at(std::string_view json, std::string_view path) {
  while (true) {
    const size_t dot = path.find('.');
    const auto found = member(json, path.substr(0, dot));
    if (!found || dot == std::string_view::npos) return found;
    json = *found;
    path.remove_prefix(dot + 1);
  }
}

std::optional<Lookup> get_path(std::string_view json, std::span<const std::string_view> path) {
  const auto raw = raw_at(json, path);
  if (!raw || raw->empty()) return std::nullopt;
  Lookup out;
  out.raw = *raw;
  switch (raw->front()) {
    case '{': out.type = Lookup::Type::kObject; break;
    case '[': out.type = Lookup::Type::kArray; break;
    case 'n': out.type = Lookup::Type::kNull; break;
    case 't':
    case 'f': out.type = Lookup::Type::kBool; break;
    case '"': out.type = Lookup::Type::kString; break;
    default: out.type = Lookup::Type::kNumber;
  }
  return out;
}

std::string Lookup::text() const { return text_of(raw); }

std::string text_of(std::string_view raw) {
  if (!raw.starts_with('"')) return std::string(raw);
  std::string storage;
  return std::string(unescape(raw, storage));
}

std::optional<std::string> text_at(std::string_view json, std::string_view path) {
  const auto raw = raw_at(json, path);
  if (!raw || raw->empty() || *raw == "null") return std::nullopt;
  return text_of(*raw);
}

void for_each_member(std::string_view object, const std::function<void(std::string_view, std::string_view)>& each) {
  std::string storage;
  members(object, [&](std::string_view key, std::string_view value) {
    each(unescape(key, storage), value);
    return true;
  });
}

void for_each_string(std::string_view object, const std::function<void(std::string_view, std::string_view)>& each) {
  std::string key_storage, value_storage;
  members(object, [&](std::string_view key, std::string_view value) {
    if (value.starts_with('"')) each(unescape(key, key_storage), unescape(value, value_storage));
    return true;
  });
}

void for_each_element(std::string_view array, const std::function<void(std::string_view element)>& each) {
  Cursor cursor(array);
  if (!cursor.take('[') || cursor.peek() == ']') return;
  do {
    each(cursor.value());
  } while (cursor.take(','));
}

}  // namespace gs::json
