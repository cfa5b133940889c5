// The only unit that includes yaml-cpp, and only its parser of events: trees of its nodes are not
// built, so that depth and size are bounded while reading. Its exceptions end in parse_yaml().
#include "json/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <unordered_set>

#include "json/simd.h"
#include "json/yaml_scalar.h"

namespace gs::json {
namespace {

// Thrown through yaml-cpp to end its reading.
struct Refused {
  YAML::Mark mark;
  std::string what;
};

tl::unexpected<Error> error_at(const YAML::Mark& mark, std::string_view what) {
  return fail(Code::kInvalid, "line {}, column {}: {}", mark.line + 1, mark.column + 1, what);
}

// As go-yaml's reader. It also keeps yaml-cpp from taking zero bytes for a sign of UTF-16 or UTF-32.
Status check_characters(std::string_view text) {
  if (!is_utf8(text)) return fail(Code::kInvalid, "the document is not UTF-8");
  const auto bad = std::find_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
  });
  if (bad == text.end()) return ok();
  YAML::Mark mark;
  mark.line = static_cast<int>(std::count(text.begin(), bad, '\n'));
  const size_t line_start = text.substr(0, static_cast<size_t>(bad - text.begin())).rfind('\n') + 1;
  mark.column = static_cast<int>(static_cast<size_t>(bad - text.begin()) - line_start);
  return error_at(mark, "control characters are not allowed");
}

// yaml-cpp writes the escapes \N and \_ (U+0085, U+00A0) as single bytes. What it reads is UTF-8, so these
// are the only bytes that can be astray.
std::string repair_escapes(const std::string& text) {
  if (is_utf8(text)) return text;
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead >= 0x80 && lead < 0xC0) {
      out.append("\xC2").append(1, text[at++]);
      continue;
    }
    const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    out.append(text, at, size);
    at += size;
  }
  return out;
}

// yaml-cpp's tag of a scalar without quotes is "?", of one with quotes "!".
Value scalar_value(const YAML::Mark& mark, const std::string& tag, const std::string& text) {
  constexpr std::string_view kCore = "tag:yaml.org,2002:";
  if (tag == "!" || tag == "tag:yaml.org,2002:str") return text;
  const bool tagged = tag.starts_with(kCore);
  if (!tagged && tag != "?" && !tag.empty()) return text;  // a type of someone's own
  auto value = resolve_plain_scalar(text);
  if (!value) throw Refused{mark, value.error().message};
  if (!tagged) return *std::move(value);
  const std::string_view wanted = std::string_view(tag).substr(kCore.size());
  const bool fits = (wanted == "int" && value->integer()) || (wanted == "float" && value->is_number()) ||
                    (wanted == "bool" && value->boolean()) || (wanted == "null" && value->is_null());
  if (!fits) throw Refused{mark, fmt::format("\"{}\" is not of the type !!{}", text, wanted)};
  return *std::move(value);
}

class Builder : public YAML::EventHandler {
 public:
  Value take() { return std::move(root_); }
  YAML::Mark start() const { return start_; }

  void OnDocumentStart(const YAML::Mark& mark) override { start_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(mark, anchor, Value(), false); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& raw) override {
    const std::string text = repair_escapes(raw);
    leaf(mark, anchor, scalar_value(mark, tag, text), tag != "!" && text == "<<");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refused{mark, "an alias stands inside what it names"};
    if (level() + found->second.depth > kMaxDepth) throw Refused{mark, "nested too deeply"};
    count(mark, found->second.nodes);
    place(mark, Value(found->second.value), found->second.depth, false);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor, Value(Array()));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor, Value(Object()));
  }
  void OnMapEnd() override { close(); }

 private:
  struct Anchored {
    Value value;
    size_t nodes;
    size_t depth;
  };
  // An object or array being read. An object's members are collected apart: `keys` finds duplicates.
  struct Frame {
    YAML::Mark mark;
    YAML::anchor_t anchor;
    Value value;
    size_t first_node;
    size_t depth = 0;  // of what it holds
    std::vector<Member> members;
    std::unordered_set<std::string> keys;
    std::vector<Value> merged;  // the values of "<<", in order
    bool has_key = false;
    bool merge_key = false;
  };

  size_t level() const { return frames_.size(); }

  void count(const YAML::Mark& mark, size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > kMaxYamlNodes) throw Refused{mark, "the document is too large once its aliases are expanded"};
  }

  void leaf(const YAML::Mark& mark, YAML::anchor_t anchor, Value value, bool is_merge) {
    const size_t cost = 1 + (value.is_string() ? value.string()->size() / kYamlBytesPerNode : 0);
    count(mark, cost);
    if (anchor != YAML::NullAnchor) anchors_.insert_or_assign(anchor, Anchored{value, cost, 0});
    place(mark, std::move(value), 0, is_merge);
  }

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, Value value) {
    if (level() >= kMaxDepth) throw Refused{mark, "nested too deeply"};
    count(mark, 1);
    Frame& frame = frames_.emplace_back();
    frame.mark = mark;
    frame.anchor = anchor;
    frame.value = std::move(value);
    frame.first_node = nodes_;
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.value.is_object()) {
      for (Value& source : frame.merged) merge(frame, source);
      frame.value = Object(std::move(frame.members));
    }
    const size_t depth = frame.depth + 1;
    if (frame.anchor != YAML::NullAnchor) {
      const size_t nodes = nodes_ - frame.first_node + 1;
      count(frame.mark, nodes);  // the copy kept for aliases takes room too
      anchors_.insert_or_assign(frame.anchor, Anchored{frame.value, nodes, depth});
    }
    place(frame.mark, std::move(frame.value), depth, false);
  }

  // Puts a finished value where it belongs: the root, an array, or an object's key or value.
  void place(const YAML::Mark& mark, Value value, size_t depth, bool is_merge) {
    if (frames_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = frames_.back();
    frame.depth = std::max(frame.depth, depth);
    if (Array* array = frame.value.array()) {
      array->push_back(std::move(value));
    } else if (!frame.has_key) {
      key(frame, mark, value, is_merge);
    } else {
      frame.has_key = false;
      if (frame.merge_key) {
        add_merge_sources(frame, mark, std::move(value));
      } else {
        frame.members.back().second = std::move(value);
      }
    }
  }

  // Keys become strings as sigs.k8s.io/yaml makes them: 1 is "1", yes is "true".
  void key(Frame& frame, const YAML::Mark& mark, const Value& value, bool is_merge) {
    frame.has_key = true;
    frame.merge_key = is_merge;
    if (is_merge) return;
    if (value.is_null() || value.is_array() || value.is_object()) throw Refused{mark, "a key is not a string"};
    std::string name = value.is_string() ? *value.string() : value.dump();
    if (!frame.keys.insert(name).second) throw Refused{mark, fmt::format("key \"{}\" already set in map", name)};
    frame.members.emplace_back(std::move(name), Value());
  }

  void add_merge_sources(Frame& frame, const YAML::Mark& mark, Value value) {
    if (Array* array = value.array()) {
      for (Value& element : *array) add_merge_source(frame, mark, std::move(element));
    } else {
      add_merge_source(frame, mark, std::move(value));
    }
  }
  void add_merge_source(Frame& frame, const YAML::Mark& mark, Value value) {
    if (!value.is_object()) throw Refused{mark, "map merge requires map or sequence of maps as the value"};
    frame.merged.push_back(std::move(value));
  }
  // What the map itself says, and what was merged earlier, comes before.
  static void merge(Frame& frame, Value& source) {
    for (auto& [key, value] : *source.object()) {
      if (frame.keys.insert(key).second) frame.members.emplace_back(key, std::move(value));
    }
  }

  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  size_t nodes_ = 0;
  Value root_;
  YAML::Mark start_;
};

}  // namespace

Result<std::vector<Value>> parse_yaml(std::string_view text) {
  if (text.size() > kMaxYamlBytes) return fail(Code::kTooLarge, "a document of more than {} bytes", kMaxYamlBytes);
  GS_TRY_STATUS(check_characters(text));
  std::vector<Value> documents;
  try {
    std::istringstream input{std::string(text)};
    YAML::Parser parser(input);
    for (int last_start = -1;;) {
      Builder builder;
      if (!parser.HandleNextDocument(builder)) return documents;
      // Before a stray ',' or ']' yaml-cpp sees empty documents without end.
      if (builder.start().pos == last_start) return error_at(builder.start(), "unexpected text between documents");
      last_start = builder.start().pos;
      Value value = builder.take();
      if (!value.is_null()) documents.push_back(std::move(value));
    }
  } catch (const Refused& refused) {
    return error_at(refused.mark, refused.what);
  } catch (const YAML::Exception& e) {
    return error_at(e.mark, e.msg);
  } catch (const std::exception& e) {
    return fail(Code::kInvalid, "{}", e.what());
  }
}

}  // namespace gs::json
