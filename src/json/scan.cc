// Walks the structural offsets that validation leaves behind: what is not metadata is passed over
// bracket by bracket, without looking at its bytes again.
#include "json/scan.h"

#include <charconv>

#include "json/cursor.h"
#include "json/simd.h"
#include "json/value.h"

namespace gs::json {
namespace {

// Over the structure of a valid object. A position is an index into the offsets.
class Walk {
 public:
  Walk(std::string_view text, std::span<const uint32_t> offsets) : text_(text), offsets_(offsets) {}

  char at(size_t position) const { return text_[offsets_[position]]; }

  // Calls each(raw key with quotes, raw value, position of the value) for the object at `position`,
  // until it returns false.
  template <class Each>
  void members(size_t position, Each each) const {
    if (at(++position) == '}') return;
    while (true) {
      const std::string_view key = scalar(position);
      const size_t value = position + 2;
      const size_t next = behind(value);
      if (!each(key, raw(value, next), value) || at(next) == '}') return;
      position = next + 1;
    }
  }

 private:
  std::string_view scalar(size_t position) const {
    const size_t begin = offsets_[position];
    size_t end = offsets_[position + 1];
    while (is_space(text_[end - 1])) --end;
    return text_.substr(begin, end - begin);
  }
  std::string_view raw(size_t position, size_t next) const {
    const char c = at(position);
    if (c != '{' && c != '[') return scalar(position);
    return text_.substr(offsets_[position], offsets_[next - 1] + 1 - offsets_[position]);
  }
  // The position behind the value at `position`.
  size_t behind(size_t position) const {
    int depth = 0;
    do {
      // '[' and '{', ']' and '}' differ in one bit.
      const char bracket = static_cast<char>(at(position++) | 0x20);
      depth += (bracket == '{') - (bracket == '}');
    } while (depth > 0);
    return position;
  }

  std::string_view text_;
  std::span<const uint32_t> offsets_;
};

Status nested(std::string_view raw, char open, std::string_view what, std::string_view& out) {
  if (raw == "null") return ok();
  if (raw.front() != open) return fail(Code::kInvalid, "{} is not {}", what, open == '{' ? "an object" : "an array");
  out = raw;
  return ok();
}

Status integer(std::string_view raw, std::string_view what, int64_t& out) {
  if (raw == "null") return ok();
  const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), out);
  if (error == std::errc() && end == raw.data() + raw.size()) return ok();
  return fail(Code::kInvalid, "{} is not an integer", what);
}

// From the key's opening quote to the end of the value, with the comma behind it or else before it.
std::string_view with_comma(std::string_view text, std::string_view key, std::string_view value) {
  size_t begin = static_cast<size_t>(key.data() - text.data());
  size_t end = static_cast<size_t>(value.data() - text.data()) + value.size();
  const size_t after = text.find_first_not_of(" \t\r\n", end);
  const size_t before = text.find_last_not_of(" \t\r\n", begin - 1);
  if (text[after] == ',') {
    end = after + 1;
  } else if (text[before] == ',') {
    begin = before;
  }
  return text.substr(begin, end - begin);
}

class Scanner {
 public:
  Scanner(std::string_view text, std::span<const uint32_t> offsets, const ScanOptions& options)
      : text_(text), walk_(text, offsets), options_(options) {}

  Result<ObjectScan> scan() {
    if (walk_.at(0) != '{') return fail(Code::kInvalid, "not a JSON object");
    bool has_metadata = false;
    Status status;
    walk_.members(0, [&](std::string_view key, std::string_view value, size_t position) {
      const bool metadata = key == "\"metadata\"";
      // Parsers differ in what two of them mean (Go merges them, others take the last), and no API server writes that.
      status = metadata && has_metadata ? fail(Code::kInvalid, "metadata is there twice") : top_member(key, value, position);
      has_metadata |= metadata;
      return status.has_value();
    });
    GS_TRY_STATUS(std::move(status));
    if (!has_metadata) return fail(Code::kInvalid, "metadata is missing");
    return scan_;
  }

 private:
  // `key` is raw: with its quotes.
  Status top_member(std::string_view key, std::string_view value, size_t position) {
    if (key == "\"apiVersion\"") return string(value, "apiVersion", scan_.api_version);
    if (key == "\"kind\"") return string(value, "kind", scan_.kind);
    if (key == "\"spec\"") scan_.spec = value;
    if (key == "\"status\"") scan_.status = value;
    if (key != "\"metadata\"") return ok();
    if (value.front() != '{') return fail(Code::kInvalid, "metadata is not an object");
    Status status;
    walk_.members(position, [&](std::string_view k, std::string_view v, size_t) {
      status = metadata_member(k, v);
      return status.has_value();
    });
    return status;
  }

  Status metadata_member(std::string_view key, std::string_view value) {
    if (key == "\"name\"") return string(value, "metadata.name", scan_.name);
    if (key == "\"namespace\"") return string(value, "metadata.namespace", scan_.ns);
    if (key == "\"uid\"") return string(value, "metadata.uid", scan_.uid);
    if (key == "\"resourceVersion\"") return string(value, "metadata.resourceVersion", scan_.resource_version);
    if (key == "\"creationTimestamp\"") return string(value, "metadata.creationTimestamp", scan_.creation_timestamp);
    if (key == "\"generation\"") return integer(value, "metadata.generation", scan_.generation);
    if (key == "\"labels\"") return nested(value, '{', "metadata.labels", scan_.labels);
    if (key == "\"annotations\"") return nested(value, '{', "metadata.annotations", scan_.annotations);
    if (key == "\"ownerReferences\"") return nested(value, '[', "metadata.ownerReferences", scan_.owner_references);
    if (key == "\"finalizers\"") return nested(value, '[', "metadata.finalizers", scan_.finalizers);
    if (key == "\"deletionTimestamp\"") scan_.deleting = value != "null";
    if (key == "\"managedFields\"") {
      scan_.managed_fields_repeated = !scan_.managed_fields_member.empty();
      scan_.managed_fields_member = with_comma(text_, key, value);
    }
    return ok();
  }

  // null counts as absent.
  Status string(std::string_view raw, std::string_view what, std::string_view& out) {
    if (raw == "null") return ok();
    if (raw.front() != '"') return fail(Code::kInvalid, "{} is not a string", what);
    out = raw.substr(1, raw.size() - 2);
    if (out.find('\\') == std::string_view::npos) return ok();
    if (options_.unescaped == nullptr) return fail(Code::kInvalid, "{} contains an escape", what);
    GS_TRY(const Value value, parse(raw));
    out = options_.unescaped->emplace_front(*value.string());
    return ok();
  }

  std::string_view text_;
  Walk walk_;
  const ScanOptions& options_;
  ObjectScan scan_;
};

}  // namespace

Result<ObjectScan> scan_object(std::string_view text, const ScanOptions& options) {
  GS_TRY(const auto offsets, validate_and_index(text, options.padded));
  return Scanner(text, offsets, options).scan();
}

}  // namespace gs::json
