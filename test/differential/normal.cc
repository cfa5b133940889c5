#include "test/differential/normal.h"

#include <algorithm>
#include <cctype>

#include "apiserver/service_account/keys.h"
#include "base/strings.h"

namespace gs::differential {
namespace {

using json::Value;

bool digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// '9' a digit, 'x' a hexadecimal one, anything else itself.
bool looks_like(std::string_view text, std::string_view shape) {
  if (text.size() != shape.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool fits = shape[i] == '9' ? std::isdigit(c) != 0 : shape[i] == 'x' ? std::isxdigit(c) != 0 && std::isupper(c) == 0 : text[i] == shape[i];
    if (!fits) return false;
  }
  return true;
}

constexpr std::string_view kUid = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

bool is_object_metadata(const Value& metadata) { return !metadata.text("uid").empty() || !metadata.text("name").empty(); }

// Of this year or later: what servers write, while requests have times long past.
bool is_recent_time(std::string_view text) { return text.size() >= 20 && looks_like(text.substr(0, 19), "9999-99-99T99:99:99") && text >= "2025"; }

bool is_age(std::string_view text) {
  return text == "<unknown>" || (text.size() >= 2 && text.size() <= 4 && text.back() == 's' && digits(text.substr(0, text.size() - 1)));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

// Whole objects in messages have managedFields and times; what is wrong with them stands behind.
void hide_object_in(std::string& text) {
  constexpr std::string_view kBegin = "patch: Invalid value: \"{";
  const size_t begin = text.find(kBegin), short_begin = text.starts_with("Invalid value: \"{") ? 0 : std::string::npos;
  const size_t at = begin != std::string::npos ? begin + kBegin.size() - 1 : short_begin != std::string::npos ? 16 : std::string::npos;
  const size_t end = at == std::string::npos ? std::string::npos : text.rfind("}\": ");
  if (end != std::string::npos && end > at) text.replace(at, end + 1 - at, "<object>");
}

// Each run of digits behind `mark`.
void hide_number_behind(std::string& text, std::string_view mark) {
  size_t at = text.find(mark);
  if (at == std::string::npos) return;
  at += mark.size();
  const size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
  if (end > at) text.replace(at, end - at, "<rv>");
}

// Violations of what is a map in Go come in another order each time.
void sort_causes(Value& body) {
  Value* causes = body.pointer("/details/causes");
  if (causes == nullptr || causes->array() == nullptr || causes->array()->size() < 2) return;
  std::sort(causes->array()->begin(), causes->array()->end(), [](const Value& a, const Value& b) { return a.dump() < b.dump(); });
  std::vector<std::string> words;
  for (const Value& cause : *causes->array()) words.push_back(fmt::format("{}: {}", cause.text("field"), cause.text("message")));
  const std::string message(body.text("message"));
  if (message.find("is invalid: [") == std::string::npos) return;
  body["message"] = message.substr(0, message.find("is invalid: [")) + "is invalid: [" + join(words, ", ") + "]";
}

// What a token of a service account says, with its times as seconds from when it was made: each server signs with a key
// of its own. Empty: it is none.
std::string token_claims(std::string_view token) {
  std::optional<Value> claims = apiserver::claims_of(token, {"https://kubernetes.default.svc"});
  if (!claims) return "";
  const int64_t made = (*claims)["iat"].integer().value_or(0);
  for (const char* at : {"/exp", "/nbf", "/kubernetes.io/warnafter", "/iat"}) {
    if (Value* time = claims->pointer(at)) *time = time->integer().value_or(0) - made;
  }
  return claims->dump();
}

}  // namespace

void Normaliser::apply(Transcript& transcript, const Sequence& sequence) {
  Normaliser self;
  for (size_t i = 0; i < sequence.steps.size(); ++i) self.find_refused_name(sequence.steps[i], transcript[i].body);
  self.learn(transcript);
  for (Outcome& outcome : transcript) {
    self.rewrite(outcome.body, "", false);
    sort_causes(outcome.body);
    for (net::Header& header : outcome.reply.headers) {
      if (header.name == "warning") header.value = self.rewrite_text(header.value, header.name);
    }
    if (outcome.body.is_null()) outcome.reply.body = self.rewrite_text(outcome.reply.body, "message");
  }
  for (Outcome& outcome : transcript) {
    for (Value& event : outcome.events) {
      // Beside its metadata a bookmark has what Go writes of an empty object.
      json::Object* object = event.text("type") == "BOOKMARK" ? event["object"].object() : nullptr;
      for (const char* field : {"spec", "status"}) {
        if (object != nullptr) object->erase(field);
      }
      self.rewrite(event, "", false);
    }
  }
}

void Normaliser::learn(const Transcript& transcript) {
  for (size_t i = 0; i < transcript.size(); ++i) learn_step(std::to_string(i + 1), {&transcript[i].body});
  for (size_t i = 0; i < transcript.size(); ++i) {
    std::vector<const Value*> events;
    for (const Value& event : transcript[i].events) events.push_back(&event);
    learn_step("w" + std::to_string(i + 1), events);
  }
}

void Normaliser::learn_step(const std::string& step, const std::vector<const Value*>& values) {
  std::set<uint64_t> found;
  for (const Value* value : values) {
    find_versions(*value, found);
    find_names(*value);
  }
  const uint64_t highest = versions_.empty() ? 0 : versions_.rbegin()->first;
  int number = 0;
  for (const uint64_t version : found) {
    if (versions_.contains(version)) continue;
    versions_[version] = fmt::format("rv@{}.{}{}", step, ++number, version < highest ? "-" : "");
  }
}

void Normaliser::find_versions(const Value& value, std::set<uint64_t>& out) const {
  if (value.array() != nullptr) {
    for (const Value& item : *value.array()) find_versions(item, out);
  }
  if (value.object() == nullptr) return;
  for (const auto& [key, member] : *value.object()) {
    if (key == "metadata" && is_object_metadata(member)) {
      if (const auto version = parse_uint(member.text("resourceVersion"))) out.insert(*version);
    }
    find_versions(member, out);
  }
}

void Normaliser::find_names(const Value& value) {
  if (value.array() != nullptr) {
    for (const Value& item : *value.array()) find_names(item);
  }
  if (value.object() == nullptr) return;
  const std::string prefix(value.text("metadata.generateName")), name(value.text("metadata.name"));
  if (!prefix.empty() && name.size() == prefix.size() + 5 && name.starts_with(prefix)) generated_.emplace(name, prefix + "xxxxx");
  for (const auto& [key, member] : *value.object()) find_names(member);
}

// A generated name of an object that was refused stands in the Status only.
void Normaliser::find_refused_name(const Step& step, const Value& answer) {
  const auto body = json::parse(step.body);
  if (!body || body->text("metadata.generateName").empty()) return;
  const std::string name(answer.text("details.name"));
  if (name.size() < 6 || !body->text("metadata.name").empty()) return;
  generated_.emplace(name, name.substr(0, name.size() - 5) + "xxxxx");
}

std::string Normaliser::version_label(std::string_view text, bool of_object) const {
  const auto version = parse_uint(text);
  if (!version || *version == 0) return std::string(text);
  if (of_object) {
    const auto found = versions_.find(*version);
    return found == versions_.end() ? "rv@?" : found->second;
  }
  auto above = versions_.upper_bound(*version);
  return above == versions_.begin() ? "before rv@1.1" : "behind " + std::prev(above)->second;
}

void Normaliser::rewrite(Value& value, std::string_view key, bool in_metadata_of_object) {
  if (json::Array* array = value.array()) {
    for (Value& item : *array) rewrite(item, key, false);
  } else if (json::Object* object = value.object()) {
    object->erase("managedFields");
    object->erase("storageVersionHash");
    const bool of_object = key == "metadata" && is_object_metadata(value);
    for (auto& [name, member] : *object) rewrite(member, name, of_object);
  } else if (const std::string* text = value.string()) {
    if (key == "resourceVersion" && digits(*text)) {
      value = version_label(*text, in_metadata_of_object);
    } else {
      value = rewrite_text(*text, key);
    }
  } else if ((key == "nodePort" || key == "healthCheckNodePort") && value.integer().value_or(0) >= 30000) {
    value = "<port>";
  }
}

std::string Normaliser::rewrite_text(std::string text, std::string_view key) {
  if (key == "token" && text.starts_with("eyJ")) {
    if (const std::string claims = token_claims(text); !claims.empty()) return name_uids(claims);
  }
  if (key == "continue" && !text.empty()) return "<continue>";
  if (is_recent_time(text)) return text.size() == 20 ? "<time>" : "<time with fraction>";
  if (key == "serverAddress") return "<address>";
  if (key == "cells" && is_age(text)) return "<age>";
  // Addresses of services: 10.0.0.0/24 there, 10.96.0.0/12 here.
  if (text.starts_with("10.0.0.") && digits(text.substr(7))) return "<ip>";
  if (text.starts_with("10.") && text.find_first_not_of("0123456789.") == std::string_view::npos && std::count(text.begin(), text.end(), '.') == 3) return "<ip>";
  hide_object_in(text);
  text = name_uids(text);
  for (const auto& [name, label] : generated_) replace_all(text, name, label);
  const std::string lower = to_lower(text);
  if (lower.find("resource version") == std::string::npos && lower.find("resourceversion") == std::string::npos) return text;
  hide_number_behind(text, "current: ");
  hide_number_behind(text, " (");
  hide_number_behind(text, "in record (");
  for (auto it = versions_.rbegin(); it != versions_.rend(); ++it) {
    if (it->first >= 10) replace_all(text, std::to_string(it->first), it->second);
  }
  return text;
}

std::string Normaliser::name_uids(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (!looks_like(text.substr(at, kUid.size()), kUid)) {
      out += text[at++];
      continue;
    }
    const auto [found, fresh] = uids_.emplace(text.substr(at, kUid.size()), fmt::format("uid-{}", uids_.size() + 1));
    out += found->second;
    at += kUid.size();
  }
  return out;
}

}  // namespace gs::differential
