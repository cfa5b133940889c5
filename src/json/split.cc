#include "json/split.h"

#include <algorithm>

#include "json/cursor.h"
#include "json/scan.h"
#include "json/value.h"

namespace gs::json {
namespace {

Result<std::string> string_at(const Value& list, std::string_view path) {
  const Value* value = list.at(path);
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string()) return fail(Code::kInvalid, "{} of the list is not a string", path);
  return *value->string();
}

}  // namespace

// A quote ends the string unless an odd number of backslashes stands before it.
size_t Nesting::skip_string(std::string_view bytes, size_t at) {
  if (escaped_) ++at;
  escaped_ = false;
  const size_t begin = at;
  while (true) {
    const size_t quote = bytes.find('"', at);
    const size_t end = std::min(quote, bytes.size());
    size_t backslashes = 0;
    while (end - backslashes > begin && bytes[end - backslashes - 1] == '\\') ++backslashes;
    const bool odd = backslashes % 2 == 1;
    if (quote == std::string_view::npos) {
      escaped_ = odd;
      return bytes.size();
    }
    at = quote + 1;
    if (odd) continue;
    in_string_ = false;
    return at;
  }
}

size_t Nesting::find_end(std::string_view bytes, size_t at) {
  while (at < bytes.size()) {
    if (in_string_) {
      at = skip_string(bytes, at);
      continue;
    }
    const char c = bytes[at++];
    in_string_ = c == '"';
    // '[' and '{', ']' and '}' differ in one bit.
    const char bracket = static_cast<char>(c | 0x20);
    if (bracket == '{') ++depth_;
    if (bracket == '}' && --depth_ == 0) return at;
  }
  return std::string_view::npos;
}

Status PieceReader::read(std::string_view bytes, size_t& at, const Each& each) {
  const size_t begin = at;
  const size_t end = nesting_.find_end(bytes, begin);
  at = std::min(end, bytes.size());
  const std::string_view part = bytes.substr(begin, at - begin);
  if (part.size() > max_ || held_.size() > max_ - part.size()) {
    return fail(Code::kTooLarge, "{} of more than {} bytes", what_, max_);
  }
  if (end != std::string_view::npos && held_.empty()) return each(part);
  held_ += part;
  if (end == std::string_view::npos) return ok();
  std::string whole;
  whole.swap(held_);  // and give its memory back: there are thousands of streams
  return each(whole);
}

Status ValueSplitter::feed(std::string_view bytes, const Each& each) {
  size_t at = 0;
  while (at < bytes.size()) {
    const char c = bytes[at];
    if (!piece_.inside() && is_space(c)) {
      ++at;
      continue;
    }
    if (!piece_.inside() && c != '{' && c != '[') {
      return fail(Code::kInvalid, "unexpected '{}' between the objects of a stream", c);
    }
    GS_TRY_STATUS(piece_.read(bytes, at, each));
  }
  return ok();
}

Status ListSplitter::feed_envelope(char c) {
  if (envelope_.size() >= max_) return fail(Code::kTooLarge, "a list of more than {} bytes beside its items", max_);
  envelope_ += c;
  if (in_string_) {
    if (depth_ == 1 && c != '"') last_string_ += c;
    in_string_ = c != '"' || escaped_;
    escaped_ = c == '\\' && !escaped_;
  } else if (c == '"') {
    in_string_ = true;
    last_string_.clear();
  } else if (c == '[' && depth_ == 1 && last_string_ == "items") {
    in_ = In::kFirstItem;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if (c == '}' || c == ']') {
    if (--depth_ == 0) in_ = In::kDone;
  } else if (c == ',' && depth_ == 1) {
    last_string_.clear();
  }
  return ok();
}

Status ListSplitter::feed_items(std::string_view bytes, size_t& at, const Each& each_item) {
  const char c = bytes[at];
  if (!item_.inside()) {
    if (is_space(c)) return ++at, ok();
    if (c == ']' && in_ != In::kItem) {
      in_ = In::kEnvelope;
      last_string_.clear();
      envelope_ += c;
      return ++at, ok();
    }
    if (in_ == In::kBehindItem) {
      if (c != ',') return fail(Code::kInvalid, "unexpected '{}' between the items of a list", c);
      in_ = In::kItem;
      return ++at, ok();
    }
    if (c != '{') return fail(Code::kInvalid, "an item of the list is not an object");
  }
  GS_TRY_STATUS(item_.read(bytes, at, each_item));
  if (!item_.inside()) in_ = In::kBehindItem;
  return ok();
}

Status ListSplitter::feed(std::string_view bytes, const Each& each_item) {
  size_t at = 0;
  while (at < bytes.size()) {
    const char c = bytes[at];
    switch (in_) {
      case In::kFirstItem:
      case In::kItem:
      case In::kBehindItem: GS_TRY_STATUS(feed_items(bytes, at, each_item)); continue;
      case In::kEnvelope: GS_TRY_STATUS(feed_envelope(c)); break;
      case In::kStart:
        if (is_space(c)) break;
        if (c != '{') return fail(Code::kInvalid, "a list begins with '{}'", c);
        in_ = In::kEnvelope;
        GS_TRY_STATUS(feed_envelope(c));
        break;
      case In::kDone:
        if (!is_space(c)) return fail(Code::kInvalid, "unexpected '{}' behind the list", c);
    }
    ++at;
  }
  return ok();
}

std::string ListSplitter::peek(std::string_view key) const {
  const std::string_view path[] = {key};
  const auto found = get_path(envelope_, path);
  return found && found->type == Lookup::Type::kString ? found->text() : std::string();
}

Result<std::string> ListSplitter::finish() const {
  if (in_ != In::kDone) return fail(Code::kInvalid, "the list ends in the middle");
  return envelope_;
}

Result<ListMeta> ListSplitter::meta() const {
  GS_TRY(const std::string envelope, finish());
  GS_TRY(const Value list, parse(envelope));
  ListMeta out;
  GS_TRY(out.api_version, string_at(list, "apiVersion"));
  GS_TRY(out.kind, string_at(list, "kind"));
  GS_TRY(out.resource_version, string_at(list, "metadata.resourceVersion"));
  GS_TRY(out.continue_token, string_at(list, "metadata.continue"));
  if (const Value* remaining = list.at("metadata.remainingItemCount")) out.remaining_item_count = remaining->integer();
  return out;
}

}  // namespace gs::json
