#include "test/differential/sequence.h"

#include <algorithm>

#include "base/strings.h"
#include "json/yaml.h"

namespace gs::differential {
namespace {

constexpr std::string_view kMethods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "WATCH", "HEAD", "OPTIONS"};

bool is_request(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || line.substr(space + 1, 1) != "/") return false;
  return std::find(std::begin(kMethods), std::end(kMethods), line.substr(0, space)) != std::end(kMethods);
}

bool is_word(std::string_view name) {
  constexpr std::string_view kWords[] = {"as",     "until",         "user",     "skip-body",     "accept",
                                         "content-type", "authorization", "if-match", "accept-encoding", "content-length"};
  return name.starts_with("impersonate-") || std::find(std::begin(kWords), std::end(kWords), name) != std::end(kWords);
}

Status take_word(Step& step, std::string_view name, std::string value) {
  if (name == "as") {
    step.as = std::move(value);
  } else if (name == "until") {
    const size_t space = value.find(' ');
    if (space == std::string::npos) return fail(Code::kInvalid, "until: needs a JSON pointer and a value");
    step.until_pointer = value.substr(0, space);
    step.until_value = value.substr(space + 1);
  } else if (name == "user") {
    if (value != "nobody") return fail(Code::kInvalid, "user: \"{}\" is not nobody", value);
    step.anonymous = true;
  } else if (name == "skip-body") {
    step.skip_body = true;
  } else {
    step.headers.emplace_back(std::string(name), std::move(value));
  }
  return ok();
}

// Reads a request's headers and body; the lines behind its first.
Status take_rest(Step& step, const std::vector<std::string_view>& lines) {
  size_t at = 0;
  for (; at < lines.size(); ++at) {
    const size_t colon = lines[at].find(": ");
    if (colon == std::string_view::npos || !is_word(lines[at].substr(0, colon))) break;
    GS_TRY_STATUS(take_word(step, lines[at].substr(0, colon), std::string(trim(lines[at].substr(colon + 2)))));
  }
  std::string body;
  for (; at < lines.size(); ++at) body.append(lines[at]).push_back('\n');
  body = std::string(trim(body));
  if (body.empty()) return ok();
  if (body[0] == '!') {
    step.body = body.substr(1);
  } else if (body[0] == '{' || body[0] == '[') {
    step.body = body;
  } else {
    GS_TRY(const std::vector<json::Value> documents, json::parse_yaml(body));
    if (documents.size() != 1) return fail(Code::kInvalid, "the body is not one document");
    step.body = documents.front().dump();
  }
  if (net::find_header(step.headers, "content-type") == nullptr) step.headers.emplace_back("content-type", "application/json");
  return ok();
}

}  // namespace

bool Step::operator==(const Step& other) const { return to_text(*this) == to_text(other); }

Result<std::vector<Sequence>> parse_sequences(const std::string& file, std::string_view text) {
  std::vector<Sequence> out;
  std::vector<std::string_view> rest;  // of the last request
  size_t number = 0, began = 0;
  const auto finish = [&]() -> Status {
    if (out.empty() || out.back().steps.empty()) return ok();
    if (auto done = take_rest(out.back().steps.back(), rest); !done) return fail(std::move(done).error().with_context(fmt::format("{}:{}", file, began)));
    rest.clear();
    return ok();
  };
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (line.starts_with("## ")) {
      GS_TRY_STATUS(finish());
      out.emplace_back();
      out.back().name = std::string(trim(line.substr(3)));
      out.back().file = file;
    } else if (line.starts_with("# ") || line == "#") {
      continue;
    } else if (is_request(line)) {
      if (out.empty()) return fail(Code::kInvalid, "{}:{}: a request before the first \"## name\"", file, number);
      GS_TRY_STATUS(finish());
      const size_t space = line.find(' ');
      out.back().steps.emplace_back();
      out.back().steps.back().method = std::string(line.substr(0, space));
      out.back().steps.back().target = std::string(trim(line.substr(space + 1)));
      began = number;
    } else if (!out.empty() && !out.back().steps.empty()) {
      rest.push_back(line);
    } else if (!trim(line).empty()) {
      return fail(Code::kInvalid, "{}:{}: \"{}\" belongs to no request", file, number, line);
    }
  }
  GS_TRY_STATUS(finish());
  return out;
}

std::string to_text(const Step& step) {
  std::string out = fmt::format("{} {}\n", step.method, step.target);
  if (!step.as.empty()) out += fmt::format("as: {}\n", step.as);
  if (!step.until_pointer.empty()) out += fmt::format("until: {} {}\n", step.until_pointer, step.until_value);
  if (step.anonymous) out += "user: nobody\n";
  if (step.skip_body) out += "skip-body: yes\n";
  for (const net::Header& header : step.headers) {
    if (header.name != "content-type" || header.value != "application/json") out += fmt::format("{}: {}\n", header.name, header.value);
  }
  if (step.body.empty()) return out;
  if (step.body[0] != '{' && step.body[0] != '[') out += "!";
  return out + step.body + "\n";
}

std::string to_text(const Sequence& sequence) {
  std::string out = fmt::format("## {}\n", sequence.name);
  for (const Step& step : sequence.steps) out += to_text(step);
  return out;
}

std::string substitute(std::string_view text, const std::string& ns,
                       const std::function<std::string(const std::string&, const std::string&)>& value) {
  std::string out;
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    out += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar);
    const size_t end = text.find(')');
    if (text.starts_with("$ns")) {
      out += ns;
      text.remove_prefix(3);
    } else if (text.starts_with("$x(") && end != std::string_view::npos) {
      out.append(parse_uint(text.substr(3, end - 3)).value_or(0), 'x');
      text.remove_prefix(end + 1);
    } else if (text.starts_with("$(") && end != std::string_view::npos) {
      const std::string_view name = text.substr(2, end - 2);
      const size_t slash = std::min(name.find('/'), name.size());
      out += value(std::string(name.substr(0, slash)), std::string(name.substr(slash)));
      text.remove_prefix(end + 1);
    } else {
      out += '$';
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace gs::differential
