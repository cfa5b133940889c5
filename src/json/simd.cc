// The only unit that includes simdjson, and only its DOM: it validates everything, and picks the
// fastest instruction set at run time (the on-demand front end of 3.0.1 does neither). It needs
// SIMDJSON_PADDING readable bytes behind the text, so text is copied to a per-thread buffer unless the
// caller has the room. Of the DOM's result only the list of structural offsets is used.
#include "json/simd.h"

#include <simdjson.h>

#include <cstring>
#include <memory>

#include "base/check.h"
#include "json/scan.h"
#include "json/value.h"

namespace gs::json {
namespace {

namespace sj = simdjson;
static_assert(kScanPadding >= sj::SIMDJSON_PADDING);

// Memory that a thread keeps between calls is bounded: buffers for larger texts (a parser takes some
// 13 bytes for each of the text) are given back when the next ordinary text comes.
constexpr size_t kKeepBytes = 4 * 1024 * 1024;

struct Scratch {
  sj::dom::parser dom{sj::SIMDJSON_MAXSIZE_BYTES};
  std::string buffer;

  // Copies `text` with padding behind it.
  std::string_view pad(std::string_view text) {
    if (buffer.size() < text.size() + sj::SIMDJSON_PADDING) buffer.resize(text.size() * 3 / 2 + sj::SIMDJSON_PADDING);
    std::memcpy(buffer.data(), text.data(), text.size());
    std::memset(buffer.data() + text.size(), ' ', sj::SIMDJSON_PADDING);
    return std::string_view(buffer.data(), text.size());
  }
};

std::unique_ptr<Scratch> make_scratch() {
  auto made = std::make_unique<Scratch>();
  // simdjson counts the depth that it refuses.
  const auto error = made->dom.allocate(4096, kMaxDepth + 1);
  GS_CHECK(error == sj::SUCCESS);
  return made;
}

Scratch& scratch_for(size_t size) {
  thread_local std::unique_ptr<Scratch> instance = make_scratch();
  if (instance->dom.capacity() > kKeepBytes && size <= kKeepBytes) instance = make_scratch();
  return *instance;
}

}  // namespace

bool is_utf8(std::string_view text) { return sj::validate_utf8(text.data(), text.size()); }

Result<std::span<const uint32_t>> validate_and_index(std::string_view text, bool padded) {
  if (text.empty()) return fail(Code::kInvalid, "invalid JSON at offset 0: expected a value");
  Scratch& scratch = scratch_for(text.size());
  const std::string_view input = padded ? text : scratch.pad(text);
  sj::dom::element root;
  const auto error = scratch.dom.parse(input.data(), input.size(), false).get(root);
  if (error != sj::SUCCESS) {
    // Refused in its first stage, which finds the structure, the text cannot be valid JSON. In the second
    // it may be: numbers beyond 64 bits, escaped lone surrogates.
    const Result<Value> second_opinion = parse(text);
    if (!second_opinion) return fail(second_opinion.error());
    if (error != sj::NUMBER_ERROR && error != sj::STRING_ERROR) {
      return fail(Code::kInvalid, "invalid JSON: {}", sj::error_message(error));
    }
  }
  const auto& implementation = *scratch.dom.implementation;
  return std::span<const uint32_t>(implementation.structural_indexes.get(), implementation.n_structural_indexes);
}

Status validate(std::string_view text) {
  GS_TRY_STATUS(validate_and_index(text, false));
  return ok();
}

}  // namespace gs::json
