#include "apiserver/table/json_path.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace gs::apiserver::table {

using json::Value;

class JsonPath::Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<std::vector<Step>> run() {
    std::vector<Step> out;
    if (rest_.starts_with('{') && rest_.ends_with('}')) rest_ = rest_.substr(1, rest_.size() - 2);
    if (rest_.starts_with('$')) rest_.remove_prefix(1);
    if (rest_.empty()) return fail(Code::kInvalid, "the path is empty");
    while (!rest_.empty()) {
      if (rest_.starts_with("..")) return fail(Code::kUnsupported, "recursive descent is not served");
      if (rest_.front() == '.') {
        rest_.remove_prefix(1);
        if (rest_.starts_with('[')) continue;
        Step step;
        step.member = member();
        if (step.member.empty()) return fail(Code::kInvalid, "a member's name is missing");
        if (step.member == "*") step.kind = Step::Kind::kAll;
        out.push_back(std::move(step));
      } else if (rest_.front() == '[') {
        GS_TRY(Step step, bracket());
        out.push_back(std::move(step));
      } else {
        return fail(Code::kInvalid, "unexpected \"{}\"", rest_.front());
      }
    }
    return out;
  }

 private:
  // Up to the next "." or "["; a backslash takes the next character as it is.
  std::string member() {
    std::string out;
    while (!rest_.empty() && rest_.front() != '.' && rest_.front() != '[') {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      out += rest_.front();
      rest_.remove_prefix(1);
    }
    return out;
  }

  // Up to the bracket that closes, past quotes.
  Result<std::string_view> inside() {
    char quote = 0;
    for (size_t i = 1; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (quote != 0) {
        if (c == '\\') ++i;
        if (c == quote) quote = 0;
      } else if (c == '\'' || c == '"') {
        quote = c;
      } else if (c == ']') {
        const std::string_view out = rest_.substr(1, i - 1);
        rest_.remove_prefix(i + 1);
        return out;
      }
    }
    return fail(Code::kInvalid, "a [ is not closed");
  }

  static std::string unquote(std::string_view text) {
    std::string out;
    for (size_t i = 1; i + 1 < text.size(); ++i) {
      if (text[i] == '\\' && i + 2 < text.size()) ++i;
      out += text[i];
    }
    return out;
  }
  static bool quoted(std::string_view text) { return text.size() >= 2 && (text.front() == '\'' || text.front() == '"') && text.back() == text.front(); }

  Result<Step> bracket() {
    GS_TRY(const std::string_view raw, inside());
    const std::string_view text = trim(raw);
    Step step;
    if (text == "*" || text == ":") {
      step.kind = Step::Kind::kAll;
      return step;
    }
    if (quoted(text)) {
      step.member = unquote(text);
      return step;
    }
    if (text.starts_with("?(") && text.ends_with(')')) return filter(trim(text.substr(2, text.size() - 3)));
    step.kind = Step::Kind::kIndex;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step.index);
    if (text.empty() || error != std::errc() || (end != text.data() + text.size() && text != "-1:")) return fail(Code::kUnsupported, "[{}] is not served", text);
    return step;
  }

  static Result<Step> filter(std::string_view text) {
    Step step;
    step.kind = Step::Kind::kFilter;
    size_t at = text.find("==");
    if (at == std::string_view::npos) at = text.find("!=");
    std::string_view left = trim(text.substr(0, at));
    if (!left.starts_with("@.")) return fail(Code::kUnsupported, "the filter {} is not served", text);
    for (const std::string_view part : split(left.substr(2), '.')) step.left.emplace_back(part);
    if (at == std::string_view::npos) {
      if (text.find_first_of("<>=&|") != std::string_view::npos) return fail(Code::kUnsupported, "the filter {} is not served", text);
      return step;
    }
    step.op = text.substr(at, 2);
    const std::string_view right = trim(text.substr(at + 2));
    if (quoted(right)) {
      step.right = unquote(right);
    } else if (right == "true" || right == "false") {
      step.right = right == "true";
    } else {
      step.right = json::number_value(right);
    }
    return step;
  }

  std::string_view rest_;
};

Result<JsonPath> JsonPath::parse(std::string_view text) {
  JsonPath out;
  GS_TRY(out.steps_, Parser(text).run());
  return out;
}

bool JsonPath::holds(const Step& filter, const Value& element) {
  const Value* found = &element;
  for (const std::string& member : filter.left) {
    found = found->find(member);
    if (found == nullptr) return false;
  }
  if (filter.op.empty()) return true;
  return (*found == filter.right) == (filter.op == "==");
}

const Value* JsonPath::walk(const Value& from, const std::vector<Step>& steps, size_t at) {
  if (at == steps.size()) return &from;
  const Step& step = steps[at];
  if (step.kind == Step::Kind::kMember) {
    const Value* next = from.find(step.member);
    return next == nullptr ? nullptr : walk(*next, steps, at + 1);
  }
  const json::Array* array = from.array();
  if (array == nullptr) {
    if (step.kind != Step::Kind::kAll || !from.is_object()) return nullptr;
    for (const auto& [key, value] : *from.object()) {
      if (const Value* found = walk(value, steps, at + 1)) return found;
    }
    return nullptr;
  }
  if (step.kind == Step::Kind::kIndex) {
    const int64_t index = step.index < 0 ? step.index + static_cast<int64_t>(array->size()) : step.index;
    return index < 0 || index >= static_cast<int64_t>(array->size()) ? nullptr : walk((*array)[static_cast<size_t>(index)], steps, at + 1);
  }
  for (const Value& element : *array) {
    if (step.kind == Step::Kind::kFilter && !holds(step, element)) continue;
    if (const Value* found = walk(element, steps, at + 1)) return found;
  }
  return nullptr;
}

const Value* JsonPath::find(const Value& root) const { return walk(root, steps_, 0); }

}  // namespace gs::apiserver::table
