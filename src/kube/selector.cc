#include "kube/selector.h"

#include <algorithm>

#include "base/strings.h"
#include "json/scan.h"

namespace gs::kube {

Result<LabelSelector::Requirement> LabelSelector::expression(const json::Value& value, const std::string& path) {
  const std::string_view op = value.text("operator");
  Requirement out{std::string(value.text("key")), Operator::kExists, {}};
  if (out.key.empty()) return fail(Code::kInvalid, "{}.key: is required", path);
  if (const json::Value* values = value.find("values"); values != nullptr && values->is_array()) {
    for (const json::Value& v : *values->array()) out.values.emplace_back(v.string() ? *v.string() : "");
    std::sort(out.values.begin(), out.values.end());
  }
  if (op == "In") {
    out.op = Operator::kIn;
  } else if (op == "NotIn") {
    out.op = Operator::kNotIn;
  } else if (op == "DoesNotExist") {
    out.op = Operator::kDoesNotExist;
  } else if (op != "Exists") {
    return fail(Code::kInvalid, "{}.operator: \"{}\" is not one of In, NotIn, Exists, DoesNotExist", path, op);
  }
  const bool needs_values = op == "In" || op == "NotIn";
  if (needs_values == out.values.empty()) {
    return fail(Code::kInvalid, "{}.values: must {} for {}", path, needs_values ? "not be empty" : "be empty", op);
  }
  return out;
}

Result<LabelSelector> LabelSelector::from_object(const json::Value& value, std::string_view path) {
  LabelSelector out;
  const json::Object* selector = value.object();
  if (selector == nullptr) return fail(Code::kInvalid, "{}: must be an object", path);
  for (const auto& [name, member] : *selector) {
    if (name == "matchLabels" && member.is_object()) {
      for (const auto& [key, wanted] : *member.object()) {
        if (!wanted.is_string()) return fail(Code::kInvalid, "{}.matchLabels.{}: must be a string", path, key);
        out.requirements_.push_back({key, Operator::kIn, {*wanted.string()}});
      }
    } else if (name == "matchExpressions" && member.is_array()) {
      for (size_t i = 0; i < member.array()->size(); ++i) {
        const std::string at = fmt::format("{}.matchExpressions[{}]", path, i);
        GS_TRY(Requirement requirement, expression((*member.array())[i], at));
        out.requirements_.push_back(std::move(requirement));
      }
    } else {
      return fail(Code::kInvalid, "{}.{}: unknown field, or not of the right type", path, name);
    }
  }
  return out;
}

bool LabelSelector::Requirement::holds(const std::string* value) const {
  const bool listed = value != nullptr && std::find(values.begin(), values.end(), *value) != values.end();
  switch (op) {
    case Operator::kIn: return listed;
    case Operator::kNotIn: return !listed;
    case Operator::kExists: return value != nullptr;
    case Operator::kDoesNotExist: return value == nullptr;
    case Operator::kGreaterThan:
    case Operator::kLessThan: {
      const auto number = value != nullptr ? integer(*value) : std::nullopt;
      return number && (op == Operator::kGreaterThan ? *number > integer(values[0]) : *number < integer(values[0]));
    }
  }
  return false;
}

bool LabelSelector::matches(std::string_view raw_labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& requirement) {
    std::string value;
    bool present = false;
    json::for_each_string(raw_labels, [&](std::string_view k, std::string_view v) {
      if (k != requirement.key) return;
      present = true;
      value = v;
    });
    return requirement.holds(present ? &value : nullptr);
  });
}

std::string LabelSelector::Requirement::to_string() const {
  switch (op) {
    case Operator::kExists: return key;
    case Operator::kDoesNotExist: return "!" + key;
    case Operator::kIn: return values.size() == 1 ? key + "=" + values[0] : key + " in (" + join(values, ",") + ")";
    case Operator::kNotIn: return values.size() == 1 ? key + "!=" + values[0] : key + " notin (" + join(values, ",") + ")";
    case Operator::kGreaterThan: return key + ">" + values[0];
    case Operator::kLessThan: return key + "<" + values[0];
  }
  return {};
}

std::string LabelSelector::to_string() const {
  std::vector<std::string> parts;
  parts.reserve(requirements_.size());
  for (const Requirement& requirement : requirements_) parts.push_back(requirement.to_string());
  std::sort(parts.begin(), parts.end());
  return join(parts, ",");
}

}  // namespace gs::kube
