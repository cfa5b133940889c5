// Reading raw JSON without building a tree: what the cache needs to know of an object, found in one
// validated pass, and lazy look-ups in bytes that were validated before. The hot path of every event.
#pragma once

#include <cstdint>
#include <forward_list>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace gs::json {

// A Kubernetes object's metadata. Views point into the scanned text, except strings that were written
// with escapes (ScanOptions::unescaped); raw members are JSON as it stands there, empty where absent.
struct ObjectScan {
  std::string_view api_version;
  std::string_view kind;
  std::string_view name;
  std::string_view ns;
  std::string_view uid;
  std::string_view resource_version;
  std::string_view creation_timestamp;
  int64_t generation = 0;
  bool deleting = false;
  std::string_view labels;
  std::string_view annotations;
  std::string_view owner_references;
  std::string_view finalizers;
  std::string_view spec;
  std::string_view status;
  // The member "managedFields": [...] with one adjoining comma, so that cutting it leaves valid JSON.
  std::string_view managed_fields_member;
  bool managed_fields_repeated = false;  // the member is there more than once; the last stands above
};

// How many bytes behind a text may be read when it is said to be padded.
inline constexpr size_t kScanPadding = 64;

struct ScanOptions {
  // The caller promises kScanPadding readable bytes behind the text; saves a copy of it.
  bool padded = false;
  // Where the strings go that were written with escapes (a ClusterRole may be named "R&D", and Go writes
  // "R\u0026D"); their views live as long as it does. Without it such an object is refused, so that
  // every view is known to point into the text.
  std::forward_list<std::string>* unescaped = nullptr;
};

// Validates the whole text strictly and fills the scan, in about 6 us for a pod of 6.3 KB. Any thread;
// buffers are per thread. kInvalid: not JSON, not an object, a member of the wrong type, or no metadata.
Result<ObjectScan> scan_object(std::string_view text, const ScanOptions& options = {});

// Whether parse() would accept the text; about 1 GB/s. kInvalid with what is wrong and the offset.
Status validate(std::string_view text);

// Look-ups. Where keys are equal the last one counts, as in parse(). In text that is not valid JSON the
// answer is unspecified, but nothing outside the text is touched.

// The raw JSON at a path of object members; nullopt where absent. The second form is for keys that may
// themselves contain dots.
std::optional<std::string_view> raw_at(std::string_view valid_json, std::string_view dotted_path);
std::optional<std::string_view> raw_at(std::string_view valid_json, std::span<const std::string_view> path);
// The same as text: strings unescaped, numbers and booleans as they stand, null and absent nullopt.
std::optional<std::string> text_at(std::string_view valid_json, std::string_view dotted_path);
// A raw value as text: a string unescaped, anything else as it stands.
std::string text_of(std::string_view raw_value);

// A value with its type, where a comparison needs to know it ("5" is not 5).
struct Lookup {
  enum class Type { kNull, kBool, kNumber, kString, kArray, kObject };
  Type type = Type::kNull;
  std::string_view raw;
  // Strings unescaped, everything else as it stands.
  std::string text() const;
};
std::optional<Lookup> get_path(std::string_view valid_json, std::span<const std::string_view> path);
inline std::optional<Lookup> get_path(std::string_view valid_json, std::initializer_list<std::string_view> path) {
  return get_path(valid_json, std::span(path.begin(), path.size()));
}

// Each member of an object: the key unescaped, the value raw. Views hold during the call.
void for_each_member(std::string_view valid_object,
                     const std::function<void(std::string_view key, std::string_view raw_value)>& each);
// Each member of an object whose value is a string (labels, annotations), unescaped.
void for_each_string(std::string_view valid_object,
                     const std::function<void(std::string_view key, std::string_view value)>& each);
// Each element of an array, raw.
void for_each_element(std::string_view valid_array, const std::function<void(std::string_view element)>& each);

}  // namespace gs::json
