// labels.Parse of k8s.io/apimachinery/pkg/labels/selector.go, token by token, so that the same texts are taken and
// the others refused in the same words.
#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "kube/selector.h"

namespace gs::kube {
namespace {

constexpr const char* kName = "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr const char* kValue = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
constexpr const char* kSubdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_name(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_subdomain(std::string_view text) {
  const std::vector<std::string_view> labels = split(text, '.');
  return std::all_of(labels.begin(), labels.end(), [](std::string_view label) {
    return is_name(label) && label.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
  });
}

// What is wrong with a qualified name (validation.IsQualifiedName), as IsQualifiedName's errors joined.
std::string wrong_with_key(std::string_view key) {
  std::vector<std::string> wrong;
  const size_t slash = key.find('/');
  const std::string_view prefix = slash == std::string_view::npos ? std::string_view() : key.substr(0, slash);
  const std::string_view name = slash == std::string_view::npos ? key : key.substr(slash + 1);
  if (name.find('/') != std::string_view::npos) {
    return fmt::format("a valid label key must consist of alphanumeric characters, {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')", kName);
  }
  if (slash != std::string_view::npos && prefix.empty()) wrong.emplace_back("prefix part must be non-empty");
  if (prefix.size() > 253) wrong.emplace_back("prefix part must be no more than 253 bytes");
  if (!prefix.empty() && !is_subdomain(prefix)) wrong.push_back(fmt::format("prefix part {}", kSubdomain));
  if (name.empty()) wrong.emplace_back("name part must be non-empty");
  if (name.size() > 63) wrong.emplace_back("name part must be no more than 63 bytes");
  if (!is_name(name)) wrong.push_back(fmt::format("name part must consist of alphanumeric characters, {}", kName));
  return join(wrong, "; ");
}

std::string wrong_with_value(std::string_view value) {
  std::vector<std::string> wrong;
  if (value.size() > 63) wrong.emplace_back("must be no more than 63 bytes");
  if (!value.empty() && !is_name(value)) wrong.emplace_back(kValue);
  return join(wrong, "; ");
}

}  // namespace

std::optional<int64_t> LabelSelector::integer(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

class LabelSelector::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { advance(); }

  Result<LabelSelector> run() {
    LabelSelector out;
    while (!at_end()) {
      if (!is_word() && token_ != "!") return found("expected: !, identifier, or 'end of string'");
      auto requirement = one_requirement();
      if (!requirement) return fail(Code::kInvalid, "unable to parse requirement: {}", requirement.error().message);
      out.requirements_.push_back(*std::move(requirement));
      if (at_end()) break;
      if (!take(",")) return found("expected: ',' or 'end of string'");
      if (!is_word() && token_ != "!") return found("expected: identifier after ','");
    }
    return out;
  }

 private:
  static bool is_special(char c) { return std::string_view("=!(),><").find(c) != std::string_view::npos; }

  // The next token: a word, or an operator; empty at the end.
  void advance() {
    size_t at = std::min(text_.find_first_not_of(" \t\r\n"), text_.size());
    text_.remove_prefix(at);
    size_t length = 0;
    if (text_.empty()) {
      token_ = {};
      return;
    }
    if (is_special(text_.front())) {
      length = text_.starts_with("==") || text_.starts_with("!=") ? 2 : 1;
    } else {
      while (length < text_.size() && !is_special(text_[length]) && text_[length] != ' ' && text_[length] != '\t' && text_[length] != '\r' && text_[length] != '\n') ++length;
    }
    token_ = text_.substr(0, length);
    text_.remove_prefix(length);
  }
  bool at_end() const { return token_.empty(); }
  bool is_word() const { return !token_.empty() && !is_special(token_.front()); }
  bool take(std::string_view token) {
    if (token_ != token) return false;
    advance();
    return true;
  }
  std::string take_word() {
    std::string out(token_);
    advance();
    return out;
  }
  tl::unexpected<Error> found(std::string_view what, std::string_view comma = ",") const {
    return fail(Code::kInvalid, "found '{}'{} {}", token_, comma, what);
  }

  Result<Requirement> one_requirement() {
    Requirement out;
    const bool negated = take("!");
    if (!is_word()) return found("expected: identifier");
    out.key = take_word();
    if (const std::string wrong = wrong_with_key(out.key); !wrong.empty()) {
      return fail(Code::kInvalid, "<nil>: Invalid value: \"{}\": {}", out.key, wrong);
    }
    if (negated) {
      out.op = Operator::kDoesNotExist;
      return out;
    }
    if (at_end() || token_ == ",") return out;
    bool set = false;
    if (token_ == "in" || token_ == "notin") {
      out.op = token_ == "in" ? Operator::kIn : Operator::kNotIn;
      set = true;
    } else if (token_ == "=" || token_ == "==" || token_ == "!=") {
      out.op = token_ == "!=" ? Operator::kNotIn : Operator::kIn;
    } else if (token_ == ">" || token_ == "<") {
      out.op = token_ == ">" ? Operator::kGreaterThan : Operator::kLessThan;
    } else {
      return found("expected: in, notin, =, ==, !=, gt, lt");
    }
    advance();
    GS_TRY_STATUS(set ? take_values(out) : take_value(out));
    GS_TRY_STATUS(check_values(out));
    return out;
  }

  Status take_value(Requirement& out) {
    if (at_end() || token_ == ",") {
      out.values.emplace_back();
      return ok();
    }
    if (!is_word()) return found("expected: identifier");
    out.values.push_back(take_word());
    return ok();
  }

  // "(a, b)"; an empty place between commas is an empty value.
  Status take_values(Requirement& out) {
    if (!take("(")) return found("expected: '('", "");
    if (!is_word() && token_ != "," && token_ != ")") return found("expected: ',', ')' or identifier");
    bool empty_place = true;
    while (token_ != ")") {
      if (is_word()) {
        out.values.push_back(take_word());
        empty_place = false;
        if (token_ != "," && token_ != ")") return found("expected: ',' or ')'");
      } else if (take(",")) {
        if (empty_place) out.values.emplace_back();
        empty_place = true;
      } else {
        return found("expected: ',', or identifier");
      }
    }
    advance();
    if (empty_place) out.values.emplace_back();
    std::sort(out.values.begin(), out.values.end());
    out.values.erase(std::unique(out.values.begin(), out.values.end()), out.values.end());
    return ok();
  }

  static Status check_values(const Requirement& out) {
    std::vector<std::string> wrong;
    for (size_t i = 0; i < out.values.size(); ++i) {
      const bool number = out.op == Operator::kGreaterThan || out.op == Operator::kLessThan;
      if (number && !integer(out.values[i])) {
        wrong.push_back(fmt::format("values[{}]: Invalid value: \"{}\": for 'Gt', 'Lt' operators, the value must be an integer", i, out.values[i]));
      }
      if (const std::string why = wrong_with_value(out.values[i]); !why.empty()) {
        wrong.push_back(fmt::format("values[{}][{}]: Invalid value: \"{}\": {}", i, out.key, out.values[i], why));
      }
    }
    if (wrong.empty()) return ok();
    return fail(Code::kInvalid, "{}", wrong.size() == 1 ? wrong[0] : "[" + join(wrong, ", ") + "]");
  }

  std::string_view text_;   // behind the token
  std::string_view token_;
};

Result<LabelSelector> LabelSelector::parse(std::string_view text) { return Parser(text).run(); }

}  // namespace gs::kube
