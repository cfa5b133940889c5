#include "apiserver/built_in_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "apiserver/object_meta.h"

namespace gs::apiserver::checks {

using schema::child;
using schema::index;
using schema::invalid;
using schema::required;

const json::Array& items(const Value* list) {
  static const json::Array none;
  return list != nullptr && list->array() != nullptr ? *list->array() : none;
}

std::optional<int64_t> integer(const Value& object, std::string_view path) {
  const Value* value = object.at(path);
  return value != nullptr ? value->integer() : std::nullopt;
}

bool truth(const Value& object, std::string_view path) {
  const Value* value = object.at(path);
  return value != nullptr && value->boolean().value_or(false);
}

bool there(const Value& object, std::string_view path) {
  const Value* value = object.at(path);
  return value != nullptr && !value->is_null();
}

void non_negative(const Value& object, std::string_view field, const std::string& path, FieldErrors& errors) {
  if (const auto value = integer(object, field); value.value_or(0) < 0) errors.push_back(invalid(child(path, field), *value, "must be greater than or equal to 0"));
}

void one_of(const Value& object, std::string_view field, const std::string& path, const std::vector<std::string>& words, bool needed, FieldErrors& errors) {
  const std::string word = text(object, field);
  if (word.empty()) {
    if (needed) errors.push_back(required(child(path, field), ""));
  } else if (std::find(words.begin(), words.end(), word) == words.end()) {
    errors.push_back(schema::not_supported(child(path, field), word, words));
  }
}

void named(const std::string& path, const std::string& name, schema::Problems (*rule)(std::string_view), FieldErrors& errors) {
  for (const std::string& problem : rule(name)) errors.push_back(invalid(path, name, problem));
}

void needed(const Value& object, std::string_view field, const std::string& path, FieldErrors& errors) {
  if (text(object, field).empty()) errors.push_back(required(child(path, field), ""));
}

bool differs(const Value& a, const Value& b, std::string_view field) {
  const Value *left = a.find(field), *right = b.find(field);
  return (left == nullptr) != (right == nullptr) || (left != nullptr && !(*left == *right));
}

void immutable(const Value& object, const Value& old, std::string_view field, FieldErrors& errors) {
  const Value *now = object.at(field), *before = old.at(field);
  if ((now == nullptr) == (before == nullptr) && (now == nullptr || *now == *before)) return;
  errors.push_back(invalid(std::string(field), now != nullptr ? *now : Value(), "field is immutable"));
}

void label_selector(const Value* selector, const std::string& path, FieldErrors& errors) {
  if (selector == nullptr || !selector->is_object()) return;
  validate_labels(selector->find("matchLabels"), child(path, "matchLabels"), errors);
  const json::Array& all = items(selector->find("matchExpressions"));
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string at = index(child(path, "matchExpressions"), i), op = text(all[i], "operator");
    const bool values = !items(all[i].find("values")).empty();
    if (op == "In" || op == "NotIn") {
      if (!values) errors.push_back(required(child(at, "values"), "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (values) errors.push_back(schema::forbidden(child(at, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
    } else {
      errors.push_back(invalid(child(at, "operator"), op, "not a valid selector operator"));
    }
    named(child(at, "key"), text(all[i], "key"), schema::label_key, errors);
  }
}

bool selects(const Value* selector, const Value* labels) {
  if (selector == nullptr || !selector->is_object()) return false;
  const auto value_of = [&](std::string_view key) { return labels != nullptr ? labels->find(key) : nullptr; };
  if (const Value* wanted = selector->find("matchLabels"); wanted != nullptr && wanted->object() != nullptr) {
    for (const json::Member& m : *wanted->object()) {
      const Value* value = value_of(m.first);
      if (value == nullptr || *value != m.second) return false;
    }
  }
  for (const Value& e : items(selector->find("matchExpressions"))) {
    const Value* value = value_of(e.text("key"));
    const std::string op = text(e, "operator");
    const json::Array& values = items(e.find("values"));
    const bool in = value != nullptr && std::find(values.begin(), values.end(), *value) != values.end();
    if ((op == "In" && !in) || (op == "NotIn" && in) || (op == "Exists" && value == nullptr) || (op == "DoesNotExist" && value != nullptr)) return false;
  }
  return true;
}

std::string quantity_text(const Value& value) { return value.string() != nullptr ? *value.string() : value.dump(); }

double quantity(const Value& value) {
  const std::string text = quantity_text(value);
  size_t end = 0;
  while (end < text.size() && (std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == '.' || text[end] == '-' || text[end] == '+')) ++end;
  const double number = json::number_value(text.substr(text.starts_with('+') ? 1 : 0, end)).number().value_or(0);
  const std::string_view suffix = std::string_view(text).substr(end);
  constexpr std::pair<std::string_view, double> kSuffixes[] = {{"n", 1e-9}, {"u", 1e-6},      {"m", 1e-3},      {"k", 1e3},       {"M", 1e6},       {"G", 1e9},       {"T", 1e12},
                                                               {"P", 1e15}, {"E", 1e18},      {"Ki", 0x1p10},   {"Mi", 0x1p20},   {"Gi", 0x1p30},   {"Ti", 0x1p40},   {"Pi", 0x1p50},
                                                               {"Ei", 0x1p60}};
  for (const auto& [name, factor] : kSuffixes) {
    if (suffix == name) return number * factor;
  }
  if (suffix.size() > 1 && (suffix[0] == 'e' || suffix[0] == 'E')) return json::number_value(text).number().value_or(0);
  return number;
}

void int_or_percent(const Value& object, std::string_view field, const std::string& path, FieldErrors& errors) {
  const Value* value = object.find(field);
  if (value == nullptr) return;
  if (const std::string* percent = value->string()) {
    const bool digits = percent->size() > 1 && percent->ends_with('%') && percent->find_first_not_of("0123456789") == percent->size() - 1;
    if (!digits) errors.push_back(invalid(child(path, field), *value, schema::regex_error("a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", {"1%", "93%"})));
  } else {
    non_negative(object, field, path, errors);
  }
}

}  // namespace gs::apiserver::checks
