#include "schema/validate.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "schema/formats.h"
#include "schema/list_keys.h"

namespace gs::schema {
namespace {

using json::Value;

// kube-openapi's validate.Result. `matches` picks the failures that are told where none of several schemas fits.
struct Outcome {
  FieldErrors errors;
  int matches = 0;

  bool ok() const { return errors.empty(); }
  void merge(Outcome other) {
    std::move(other.errors.begin(), other.errors.end(), std::back_inserter(errors));
    matches += other.matches;
  }
};

std::string field_of(const std::string& path) { return path.starts_with('.') ? path.substr(1) : path.empty() ? "<nil>" : path; }

// An error that names no field: kube-openapi has no path for it.
FieldError unplaced(std::string_view message) { return invalid("<nil>", Value(""), message); }

std::string join_path(const std::string& path, std::string_view name) { return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name); }

bool integral(const Value& v) {
  if (v.integer()) return true;
  const auto number = v.number();
  return number && std::trunc(*number) == *number;
}

std::string_view json_type(const Value& v) {
  if (v.is_number()) return v.integer() ? "integer" : "number";
  return v.type_name();
}

std::vector<std::string_view> types_of(const Schema& schema) {
  if (schema.int_or_string) return {"integer", "string"};
  switch (schema.type) {
    case Type::kObject: return {"object"};
    case Type::kArray: return {"array"};
    case Type::kString: return {"string"};
    case Type::kInteger: return {"integer"};
    case Type::kNumber: return {"number"};
    case Type::kBoolean: return {"boolean"};
    case Type::kAny: break;
  }
  return {};
}

// The format where it is one that is looked at for its type (apiextensions strips the others).
std::string_view effective_format(const Schema& schema) {
  if (schema.format.empty() || schema.int_or_string) return {};
  switch (schema.type) {
    case Type::kAny:
    case Type::kString: return known_format(schema.format) ? schema.format : std::string_view();
    case Type::kInteger: return schema.format == "int32" || schema.format == "int64" ? schema.format : std::string_view();
    case Type::kNumber: return schema.format == "float" || schema.format == "double" ? schema.format : std::string_view();
    default: return {};
  }
}

std::string size_of(int64_t n) { return std::to_string(n); }

class Validator {
 public:
  Outcome check(const Schema& schema, const Value& v, const Value* old, const std::string& path) const {
    Outcome out;
    if (old != nullptr && *old == v) return out;
    if (v.is_null()) {
      null_value(schema, path, out);
      return out;
    }
    if (!types_of(schema).empty() || !effective_format(schema).empty()) add(out, type(schema, v, path));
    add(out, logic(schema, v, path));
    if (v.is_string()) {
      add(out, text(schema, v, path));
      const std::string_view format = effective_format(schema);
      if (known_format(format)) add(out, form(format, v, path));
    }
    if (v.is_number()) add(out, number(schema, v, path));
    if (v.is_array()) add(out, array(schema, v, old, path));
    add(out, enumeration(schema, v, path));
    if (v.is_object()) add(out, object(schema, v, old, path));
    ++out.matches;
    return out;
  }

 private:
  static void add(Outcome& to, Outcome what) {
    to.merge(std::move(what));
    ++to.matches;
  }

  static void null_value(const Schema& schema, const std::string& path, Outcome& out) {
    const auto types = types_of(schema);
    if (!types.empty() && !schema.nullable) {
      out.errors.push_back(type_invalid(field_of(path), "null", fmt::format("{} in body must be of type {}: \"null\"", path, fmt::join(types, ","))));
    } else {
      ++out.matches;
    }
    out.merge(enumeration(schema, Value(), path));
  }

  static Outcome type(const Schema& schema, const Value& v, const std::string& path) {
    Outcome out;
    const auto types = types_of(schema);
    const auto has = [&](std::string_view t) { return std::find(types.begin(), types.end(), t) != types.end(); };
    const std::string_view found = json_type(v), format = effective_format(schema);
    const bool fits = has(found) || (v.is_number() && has("integer") && integral(v)) || (found == "integer" && has("number"));
    const bool textual = v.is_string() || v.is_array();
    if (!textual && !format.empty() && !fits) {
      const std::string_view got = found == "integer" ? "int64" : found == "number" ? "float64" : "";
      if (got != format) {
        out.errors.push_back(type_invalid(field_of(path), got, fmt::format("{} in body must be of type {}: \"{}\"", path, format, got)));
        return out;
      }
    }
    if (textual && !format.empty() && !has("number") && !has("integer")) {
      ++out.matches;
    } else if (!fits) {
      out.errors.push_back(type_invalid(field_of(path), found, fmt::format("{} in body must be of type {}: \"{}\"", path, fmt::join(types, ","), found)));
    } else {
      ++out.matches;
    }
    return out;
  }

  Outcome logic(const Schema& schema, const Value& v, const std::string& path) const {
    Outcome out;
    if (schema.rules != nullptr) {
      const Rules& rules = *schema.rules;
      if (!rules.any_of.empty()) any_of(rules.any_of, v, path, out);
      if (!rules.one_of.empty()) one_of(rules.one_of, v, path, out);
      if (!rules.all_of.empty()) all_of(rules.all_of, v, path, out);
      if (rules.negated != nullptr && check(*rules.negated, v, nullptr, path).ok()) {
        out.errors.push_back(unplaced(fmt::format("\"{}\" must not validate the schema (not)", path)));
      }
    }
    ++out.matches;
    return out;
  }

  void any_of(const std::vector<const Schema*>& schemas, const Value& v, const std::string& path, Outcome& out) const {
    std::optional<Outcome> best;
    for (const Schema* schema : schemas) {
      Outcome result = check(*schema, v, nullptr, path);
      if (result.ok()) return out.merge(std::move(result));
      if (!best || result.matches > best->matches) best = std::move(result);
    }
    out.errors.push_back(unplaced(fmt::format("\"{}\" must validate at least one schema (anyOf)", path)));
    out.merge(*std::move(best));
  }

  void one_of(const std::vector<const Schema*>& schemas, const Value& v, const std::string& path, Outcome& out) const {
    std::optional<Outcome> best, first;
    int valid = 0;
    for (const Schema* schema : schemas) {
      Outcome result = check(*schema, v, nullptr, path);
      if (result.ok()) {
        ++valid;
        best.reset();
        if (!first) first = std::move(result);
      } else if (valid == 0 && (!best || result.matches > best->matches)) {
        best = std::move(result);
      }
    }
    if (valid == 1) return out.merge(*std::move(first));
    const std::string more = valid == 0 ? "Found none valid" : fmt::format("Found {} valid alternatives", valid);
    out.errors.push_back(unplaced(fmt::format("\"{}\" must validate one and only one schema (oneOf). {}", path, more)));
    if (best) out.merge(*std::move(best));
  }

  void all_of(const std::vector<const Schema*>& schemas, const Value& v, const std::string& path, Outcome& out) const {
    size_t valid = 0;
    for (const Schema* schema : schemas) {
      Outcome result = check(*schema, v, nullptr, path);
      valid += result.ok() ? 1 : 0;
      out.merge(std::move(result));
    }
    if (valid == schemas.size()) return;
    out.errors.push_back(unplaced(fmt::format("\"{}\" must validate all the schemas (allOf){}", path, valid == 0 ? ". None validated" : "")));
  }

  static Outcome text(const Schema& schema, const Value& v, const std::string& path) {
    Outcome out;
    if (schema.rules == nullptr) return out;
    const Rules& rules = *schema.rules;
    const std::string& data = *v.string();
    const int64_t runes = std::count_if(data.begin(), data.end(), [](char c) { return (c & 0xc0) != 0x80; });
    if (rules.max_length && runes > *rules.max_length) {
      out.errors.push_back(too_long(field_of(path), *rules.max_length));
    } else if (rules.min_length && runes < *rules.min_length) {
      out.errors.push_back(invalid(field_of(path), v, fmt::format("{} in body should be at least {} chars long", path, *rules.min_length)));
    } else if (rules.pattern_re != nullptr && !re2::RE2::PartialMatch(data, *rules.pattern_re)) {
      out.errors.push_back(invalid(field_of(path), v, fmt::format("{} in body should match '{}'", path, rules.pattern)));
    }
    return out;
  }

  static Outcome form(std::string_view format, const Value& v, const std::string& path) {
    Outcome out;
    if (has_format(format, *v.string())) return out;
    out.errors.push_back(type_invalid(field_of(path), v, fmt::format("{} in body must be of type {}: {}", path, format, quoted(*v.string()))));
    return out;
  }

  static Outcome number(const Schema& schema, const Value& v, const std::string& path) {
    Outcome out;
    range(schema, v, path, out);
    if (schema.rules != nullptr) bounds(*schema.rules, v, path, out);
    ++out.matches;
    return out;
  }

  static void range(const Schema& schema, const Value& v, const std::string& path, Outcome& out) {
    const double value = v.number().value_or(std::numeric_limits<double>::infinity());
    const std::string_view format = effective_format(schema);
    bool fits = true;
    std::string_view type = "number";
    if (schema.type == Type::kInteger && !schema.int_or_string) {
      type = "integer";
      const auto integer = v.integer();
      fits = integer.has_value() || (integral(v) && std::abs(value) < 0x1p63);
      if (format == "int32") fits = fits && std::abs(value) <= 0x1p31 - (value > 0 ? 1 : 0);
    } else if (format == "float") {
      fits = std::abs(value) <= std::numeric_limits<float>::max();
    }
    if (fits) return;
    const std::string how = format.empty() ? "(default format)" : fmt::format("with format {}", format);
    out.errors.push_back(unplaced(fmt::format("Checked value must be of type {} {} in {}", type, how, path)));
  }

  static void bounds(const Rules& rules, const Value& v, const std::string& path, Outcome& out) {
    // Integers are compared with the bound's integer part, as Go's int64(max) has it.
    const auto integer = v.integer();
    const double value = integer ? static_cast<double>(*integer) : v.number().value_or(0);
    const auto bound = [&](double b) { return integer ? std::trunc(b) : b; };
    const auto complain = [&](std::string_view how, double b) {
      out.errors.push_back(invalid(field_of(path), v, fmt::format("{} in body should be {} {}", path, how, Value(bound(b)).dump())));
    };
    if (rules.multiple_of && bound(*rules.multiple_of) <= 0) {
      const std::string factor = Value(bound(*rules.multiple_of)).dump();
      out.errors.push_back(invalid(field_of(path), Value(bound(*rules.multiple_of)), fmt::format("factor MultipleOf declared for {} must be positive: {}", path, factor)));
    } else if (rules.multiple_of) {
      const double factor = bound(*rules.multiple_of), times = factor < 1 ? 1 / factor * value : value / factor;
      if (std::abs(times - std::round(times)) > 1e-9) complain("a multiple of", *rules.multiple_of);
    }
    if (rules.minimum && (rules.exclusive_minimum ? value <= bound(*rules.minimum) : value < bound(*rules.minimum))) {
      complain(rules.exclusive_minimum ? "greater than" : "greater than or equal to", *rules.minimum);
    }
    if (rules.maximum && (rules.exclusive_maximum ? value >= bound(*rules.maximum) : value > bound(*rules.maximum))) {
      complain(rules.exclusive_maximum ? "less than" : "less than or equal to", *rules.maximum);
    }
  }

  Outcome array(const Schema& schema, const Value& v, const Value* old, const std::string& path) const {
    Outcome out;
    const json::Array& items = *v.array();
    const auto size = static_cast<int64_t>(items.size());
    if (schema.items) {
      for (size_t i = 0; i < items.size(); ++i) {
        out.merge(check(*schema.items.schema, items[i], counterpart(schema, items[i], old), fmt::format("{}[{}]", path, i)));
      }
    }
    if (schema.rules != nullptr) {
      const Rules& rules = *schema.rules;
      if (rules.min_items && size < *rules.min_items) {
        out.errors.push_back(invalid(field_of(path), size, fmt::format("{} in body should have at least {} items", path, *rules.min_items)));
      }
      if (rules.max_items && size > *rules.max_items) out.errors.push_back(too_many(field_of(path), size, *rules.max_items));
      if (rules.unique_items && !unique(items)) {
        out.errors.push_back(invalid(field_of(path), Value(""), fmt::format("{} in body shouldn't contain duplicates", path)));
      }
    }
    ++out.matches;
    return out;
  }

  static bool unique(const json::Array& items) {
    std::set<std::string> seen;
    return std::all_of(items.begin(), items.end(), [&](const Value& v) { return seen.insert(go_json(v)).second; });
  }

  // The item of the old list with the same keys; other lists have none.
  static const Value* counterpart(const Schema& schema, const Value& item, const Value* old) {
    if (old == nullptr || old->array() == nullptr || schema.list_type != ListType::kMap) return nullptr;
    for (const Value& before : *old->array()) {
      if (list_key(schema, before) == list_key(schema, item)) return &before;
    }
    return nullptr;
  }

  static Outcome enumeration(const Schema& schema, const Value& v, const std::string& path) {
    Outcome out;
    if (schema.rules == nullptr || schema.rules->enumeration.empty()) return out;
    const auto& allowed = schema.rules->enumeration;
    if (!v.is_null() && std::find(allowed.begin(), allowed.end(), v) != allowed.end()) return out;
    std::vector<std::string> values;
    for (const Value& a : allowed) values.push_back(a.string() != nullptr ? *a.string() : go_json(a));
    out.errors.push_back(not_supported(field_of(path), v, values));
    return out;
  }

  Outcome object(const Schema& schema, const Value& v, const Value* old, const std::string& path) const {
    Outcome out;
    const json::Object& members = *v.object();
    const auto size = static_cast<int64_t>(members.size());
    if (const Rules* rules = schema.rules.get()) {
      if (rules->min_properties && size < *rules->min_properties) {
        out.errors.push_back(invalid(field_of(path), size, fmt::format("{} in body should have at least {} properties", path, size_of(*rules->min_properties))));
      }
      if (rules->max_properties && size > *rules->max_properties) out.errors.push_back(too_many(field_of(path), size, *rules->max_properties));
    }
    const auto before = [&](std::string_view name) { return old != nullptr ? old->find(name) : nullptr; };
    if (schema.additional) {
      for (const json::Member& m : members) {
        if (schema.find(m.first) == nullptr) out.merge(check(*schema.additional.schema, m.second, before(m.first), path + "." + m.first));
      }
    }
    for (const Property& property : schema.properties) {
      const Value* present = members.find(property.name);
      if (present != nullptr) out.merge(check(*property.slot.schema, *present, before(property.name), join_path(path, property.name)));
    }
    for (const std::string_view name : schema.required) {
      if (members.find(name) == nullptr) out.errors.push_back(required(field_of(fmt::format("{}.{}", path, name)), ""));
    }
    return out;
  }
};

}  // namespace

FieldErrors validate(const Schema& schema, const Value& object, const Value* old) {
  return Validator().check(schema, object, old, "").errors;
}

}  // namespace gs::schema
