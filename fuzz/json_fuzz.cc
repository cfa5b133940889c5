// JSON from a hostile API server or delegate. The first byte chooses how the text is cut into chunks.
// Checked: parsing, validating and scanning agree about validity; what is parsed is written as valid
// JSON of the same value; splitters do not depend on chunks; look-ups in any bytes stay inside them.
#include <cstdint>
#include <forward_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "json/scan.h"
#include "json/split.h"
#include "json/value.h"

namespace {

using namespace gs;

void check_validity(std::string_view text) {
  const auto value = json::parse(text);
  GS_CHECK(value.has_value() == json::validate(text).has_value());
  std::forward_list<std::string> room;
  json::ScanOptions options;
  options.unescaped = &room;
  const auto scan = json::scan_object(text, options);
  GS_CHECK(!scan || (value && value->is_object()));
  if (scan && !scan->managed_fields_member.empty()) {
    std::string cut(text);
    cut.erase(static_cast<size_t>(scan->managed_fields_member.data() - text.data()), scan->managed_fields_member.size());
    GS_CHECK(json::validate(cut).has_value());
  }
  if (!value) return;
  const std::string dumped = value->dump();
  const auto again = json::parse(dumped);
  GS_CHECK(again && *again == *value && again->dump() == dumped);
}

struct Outcome {
  std::vector<std::string> pieces;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

template <class Splitter>
Outcome split(std::string_view text, size_t chunk) {
  Outcome out;
  Splitter splitter(1 << 20);
  const json::Each each = [&](std::string_view piece) {
    out.pieces.emplace_back(piece);
    return ok();
  };
  for (size_t at = 0; at < text.size() && !out.failed; at += chunk) {
    const std::string part(text.substr(at, chunk));
    out.failed = !splitter.feed(part, each);
  }
  return out;
}

void look_up(std::string_view text) {
  json::text_at(text, "metadata.name");
  json::get_path(text, {"a", "b"});
  json::for_each_element(text, [](auto) {});
  json::for_each_member(text, [](auto, auto) {});
  json::for_each_string(text, [](auto, auto) {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t chunk = data[0] % 16 + size_t{1};
  check_validity(text);
  look_up(text);
  GS_CHECK(split<json::ValueSplitter>(text, chunk) == split<json::ValueSplitter>(text, text.size() + 1));
  GS_CHECK(split<json::ListSplitter>(text, chunk) == split<json::ListSplitter>(text, text.size() + 1));
  return 0;
}
