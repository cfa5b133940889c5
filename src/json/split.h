// Cutting streamed bodies into JSON values as their bytes arrive. Structure only (strings, escapes,
// nesting): the content of each piece is validated by whoever parses it. A piece that lies in one chunk
// is given out without a copy; one that spans chunks is held until it is whole. After an error a
// splitter is not to be fed again. About 1 GB/s.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace gs::json {

// Called with each piece; the view is valid during the call. An error ends the feeding.
using Each = std::function<Status(std::string_view piece)>;

// Follows one object or array over the chunks in which it arrives.
class Nesting {
 public:
  // Reads `bytes` from `at`: the offset behind the bracket that closes the value, or npos where the
  // bytes end before. The first byte of a value must be its opening bracket.
  size_t find_end(std::string_view bytes, size_t at);
  bool inside() const { return depth_ > 0; }

 private:
  size_t skip_string(std::string_view bytes, size_t at);

  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;  // the chunk ended behind a backslash that escapes what comes
};

// One value out of the chunks in which it arrives.
class PieceReader {
 public:
  PieceReader(size_t max_bytes, const char* what) : max_(max_bytes), what_(what) {}
  // Reads `bytes` from `at` and moves `at` behind what was read. kTooLarge over the bound.
  Status read(std::string_view bytes, size_t& at, const Each& each);
  bool inside() const { return nesting_.inside(); }

 private:
  size_t max_;
  const char* what_;
  std::string held_;  // the beginning of a value that spans chunks
  Nesting nesting_;
};

// A sequence of JSON objects (or arrays) with or without white space between them: the body of a watch.
class ValueSplitter {
 public:
  explicit ValueSplitter(size_t max_value_bytes) : piece_(max_value_bytes, "a streamed object") {}
  // kTooLarge when a value exceeds the bound, kInvalid when something other than an object begins.
  Status feed(std::string_view bytes, const Each& each);
  // Bytes of an unfinished value are held.
  bool mid_value() const { return piece_.inside(); }

 private:
  PieceReader piece_;
};

// What a list says of itself.
struct ListMeta {
  std::string api_version;
  std::string kind;
  std::string resource_version;
  std::string continue_token;
  std::optional<int64_t> remaining_item_count;
};

// A Kubernetes List: {"kind":..,"apiVersion":..,"metadata":{..},"items":[..]} with its members in any
// order; items may be null or absent. Elements of items are given out one by one; the rest is kept (it
// is small, and bounded like an item).
class ListSplitter {
 public:
  explicit ListSplitter(size_t max_item_bytes) : max_(max_item_bytes), item_(max_item_bytes, "a list item") {}
  // kTooLarge over the bound, kInvalid for what is not such a list.
  Status feed(std::string_view bytes, const Each& each_item);
  // A string member of the list that came before what is being fed ("kind"), or empty.
  std::string peek(std::string_view key) const;
  // The list without its items, as JSON, once the closing brace has come; else kInvalid. Not validated.
  Result<std::string> finish() const;
  // The same, validated and read. kInvalid also for members of the wrong type.
  Result<ListMeta> meta() const;

 private:
  enum class In { kStart, kEnvelope, kFirstItem, kItem, kBehindItem, kDone };
  Status feed_envelope(char c);
  Status feed_items(std::string_view bytes, size_t& at, const Each& each_item);

  size_t max_;
  In in_ = In::kStart;
  PieceReader item_;
  std::string envelope_;
  std::string last_string_;  // the last string seen at depth 1, to know the key "items"
  int depth_ = 0;            // within the envelope
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace gs::json
