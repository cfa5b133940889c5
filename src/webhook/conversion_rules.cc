#include "webhook/conversion_rules.h"

#include <algorithm>

#include "base/strings.h"
#include "json/value.h"

namespace gs::webhook {
namespace {

constexpr size_t kMaxRules = 64;
constexpr size_t kMaxMoves = 256;

// {"example.com/", "v1"}; the core group has no first part.
std::pair<std::string_view, std::string_view> split_api_version(std::string_view api_version) {
  const size_t slash = api_version.rfind('/');
  const size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
  return {api_version.substr(0, begin), api_version.substr(begin)};
}

Status check_path(const std::string& path) {
  if (path.empty()) return fail(Code::kInvalid, "is required");
  for (const std::string_view part : split(path, '.')) {
    if (part.empty()) return fail(Code::kInvalid, "\"{}\" must be names joined by dots (\"spec.replicas\")", path);
  }
  const std::string_view first = split(path, '.').front();
  if (first == "metadata" || first == "apiVersion" || first == "kind") {
    return fail(Code::kInvalid, "\"{}\" must not be metadata, apiVersion or kind: API servers keep those", path);
  }
  return ok();
}

bool within(std::string_view path, std::string_view other) {
  return path.starts_with(other) && (path.size() == other.size() || path[other.size()] == '.');
}

Status check_move(const ConversionRule::Move& move) {
  if (Status status = check_path(move.from); !status) return fail(std::move(status).error().with_context("from"));
  if (Status status = check_path(move.to); !status) return fail(std::move(status).error().with_context("to"));
  if (within(move.to, move.from) || within(move.from, move.to)) {
    return fail(Code::kInvalid, "to: \"{}\" and from, \"{}\", must not contain each other", move.to, move.from);
  }
  return ok();
}

// The object that holds the last name of `path`; null where it is not there. `make`: objects on the way are made.
json::Object* holder(json::Value& root, std::string_view path, bool make, std::string_view& last) {
  json::Value* at = &root;
  while (true) {
    json::Object* object = at->object();
    if (object == nullptr && make && at->is_null()) object = &at->make_object();
    if (object == nullptr) return nullptr;
    const size_t dot = path.find('.');
    if (dot == std::string_view::npos) {
      last = path;
      return object;
    }
    at = make ? &(*object)[path.substr(0, dot)] : object->find(path.substr(0, dot));
    if (at == nullptr) return nullptr;
    path.remove_prefix(dot + 1);
  }
}

// Moves what is there; what is not there leaves nothing behind. An object that loses its last member stays, empty.
Status move_field(json::Value& object, const std::string& from, const std::string& to) {
  std::string_view from_name, to_name;
  json::Object* source = holder(object, from, false, from_name);
  if (source == nullptr || source->find(from_name) == nullptr) return ok();
  json::Value value = std::move(*source->find(from_name));
  source->erase(from_name);
  json::Object* target = holder(object, to, true, to_name);
  if (target == nullptr || target->find(to_name) != nullptr) {
    return fail(Code::kInvalid, "{} cannot move to {}: something else stands there", from, to);
  }
  (*target)[to_name] = std::move(value);
  return ok();
}

}  // namespace

Result<ConversionRules> ConversionRules::make(std::vector<ConversionRule> rules) {
  if (rules.size() > kMaxRules) return fail(Code::kInvalid, "more than {} rules", kMaxRules);
  for (size_t i = 0; i < rules.size(); ++i) {
    const ConversionRule& rule = rules[i];
    if (rule.from.empty()) return fail(Code::kInvalid, "[{}].from: is required", i);
    if (rule.to.empty()) return fail(Code::kInvalid, "[{}].to: is required", i);
    if (rule.from == rule.to) return fail(Code::kInvalid, "[{}].to: must be another version than from, \"{}\"", i, rule.from);
    if (rule.moves.size() > kMaxMoves) return fail(Code::kInvalid, "[{}].moves: more than {}", i, kMaxMoves);
    for (size_t m = 0; m < rule.moves.size(); ++m) {
      if (Status status = check_move(rule.moves[m]); !status) {
        return fail(Code::kInvalid, "[{}].moves[{}].{}", i, m, status.error().message);
      }
    }
    const auto same = [&](const ConversionRule& other) { return other.from == rule.from && other.to == rule.to; };
    if (std::any_of(rules.begin(), rules.begin() + static_cast<ptrdiff_t>(i), same)) {
      return fail(Code::kInvalid, "[{}]: there is a rule from {} to {} already", i, rule.from, rule.to);
    }
  }
  ConversionRules out;
  out.rules_ = std::move(rules);
  return out;
}

const ConversionRule* ConversionRules::find(std::string_view from, std::string_view to) const {
  const auto found = std::find_if(rules_.begin(), rules_.end(), [&](const auto& rule) { return rule.from == from && rule.to == to; });
  return found == rules_.end() ? nullptr : &*found;
}

Result<std::string> ConversionRules::convert(std::string_view object, std::string_view desired_api_version) const {
  GS_TRY(json::Value value, json::parse(object));
  const auto [group, from] = split_api_version(value.text("apiVersion"));
  const auto [wanted_group, to] = split_api_version(desired_api_version);
  if (group != wanted_group) return fail(Code::kNotFound, "no rule leads from group \"{}\" to \"{}\"", group, wanted_group);
  const ConversionRule* forth = find(from, to);
  const ConversionRule* back = find(to, from);
  if (forth == nullptr && back == nullptr) return fail(Code::kNotFound, "no rule leads from {} to {}", from, to);
  if (forth != nullptr) {
    for (const auto& move : forth->moves) GS_TRY_STATUS(move_field(value, move.from, move.to));
  } else {
    for (auto move = back->moves.rbegin(); move != back->moves.rend(); ++move) GS_TRY_STATUS(move_field(value, move->to, move->from));
  }
  value["apiVersion"] = desired_api_version;
  return value.dump();
}

}  // namespace gs::webhook
