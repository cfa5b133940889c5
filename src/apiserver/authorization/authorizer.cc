#include "apiserver/authorization/authorizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "schema/go_text.h"

namespace gs::apiserver {
namespace {

constexpr std::string_view kNames[] = {"AlwaysAllow", "AlwaysDeny", "RBAC"};  // as AuthorizationMode
constexpr std::string_view kNotServed[] = {"ABAC", "Webhook", "Node"};

template <class List>
size_t place_of(const List& list, std::string_view word) {
  return static_cast<size_t>(std::find(std::begin(list), std::end(list), word) - std::begin(list));
}

// What is not found, of each.
std::string told(const std::vector<RoleRef>& missing) {
  std::vector<std::string> words;
  words.reserve(missing.size());
  for (const RoleRef& ref : missing) words.push_back(ref.not_found());
  if (words.empty()) return "";
  return words.size() == 1 ? words.front() : fmt::format("[{}]", fmt::join(words, ", "));
}

}  // namespace

Result<std::vector<AuthorizationMode>> parse_authorization_modes(std::string_view text) {
  std::vector<AuthorizationMode> out;
  for (const std::string_view word : split(text, ',')) {
    const size_t place = place_of(kNames, word);
    if (place_of(kNotServed, word) != std::size(kNotServed)) return fail(Code::kInvalid, "authorization-mode \"{}\" is not served; AlwaysAllow, AlwaysDeny and RBAC are", word);
    if (place == std::size(kNames)) return fail(Code::kInvalid, "authorization-mode {} is not a valid mode", schema::quoted(word));
    const auto mode = static_cast<AuthorizationMode>(place);
    if (std::find(out.begin(), out.end(), mode) != out.end()) return fail(Code::kInvalid, "authorization-mode {} has mode specified more than once", schema::quoted(text));
    out.push_back(mode);
  }
  return out;
}

Decision Authorizer::authorize(const UserInfo& user, const Attributes& attributes) const {
  Decision out;
  out.allowed = user.in_group(kMasters);
  std::vector<std::string> reasons;
  for (const AuthorizationMode mode : modes_) {
    if (out.allowed) break;
    if (mode == AuthorizationMode::kAlwaysAllow) {
      out.allowed = true;
    } else if (mode == AuthorizationMode::kAlwaysDeny) {
      reasons.emplace_back("Everything is forbidden.");
    } else {
      std::string why_not;
      const auto why = rbac_.allowed_by(user, attributes, why_not);
      out.allowed = why.has_value();
      if (why) out.reason = *why;
      else if (!why_not.empty()) reasons.push_back(std::move(why_not));
    }
  }
  if (!out.allowed) out.reason = join(reasons, "\n");
  return out;
}

PolicyRules Authorizer::rules_for(const UserInfo& user, const std::string& ns, std::string& error) const {
  PolicyRules out;
  for (const AuthorizationMode mode : modes_) {
    PolicyRules rules;
    std::vector<RoleRef> missing;
    if (mode == AuthorizationMode::kAlwaysAllow) rules = full_authority();
    if (mode == AuthorizationMode::kRbac) rules = rbac_.rules_for(user, ns, missing);
    out.insert(out.end(), rules.begin(), rules.end());
    if (!missing.empty()) error = told(missing);
  }
  return out;
}

}  // namespace gs::apiserver
