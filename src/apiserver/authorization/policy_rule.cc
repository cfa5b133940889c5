#include "apiserver/authorization/policy_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "schema/go_text.h"

namespace gs::apiserver {
namespace {

using Strings = std::vector<std::string>;

bool has(const Strings& set, std::string_view element) { return std::find(set.begin(), set.end(), element) != set.end(); }
bool has_or_all(const Strings& set, std::string_view element) { return has(set, "*") || has(set, element); }

// "/healthz/*" covers what begins with "/healthz/".
bool url_covers(std::string_view pattern, std::string_view path) {
  if (pattern == path) return true;
  if (!pattern.ends_with('*')) return false;
  while (pattern.ends_with('*')) pattern.remove_suffix(1);
  return path.starts_with(pattern);
}

bool resource_matches(const Strings& rule, std::string_view resource, std::string_view subresource) {
  if (subresource.empty()) return has_or_all(rule, resource);
  return has_or_all(rule, fmt::format("{}/{}", resource, subresource)) || has(rule, fmt::format("*/{}", subresource));
}

Strings strings_at(const json::Value& rule, std::string_view field) {
  Strings out;
  const json::Value* value = rule.find(field);
  if (value == nullptr || value->array() == nullptr) return out;
  for (const json::Value& one : *value->array()) {
    if (one.string() != nullptr) out.push_back(*one.string());
  }
  return out;
}

// Each with one verb and one resource with at most one name, or one verb and one URL.
void break_down(const PolicyRule& rule, PolicyRules& out) {
  const Strings names = rule.resource_names.empty() ? Strings{""} : rule.resource_names;
  for (const std::string& group : rule.api_groups) {
    for (const std::string& resource : rule.resources) {
      for (const std::string& verb : rule.verbs) {
        for (const std::string& name : names) {
          PolicyRule one;
          one.api_groups = {group};
          one.resources = {resource};
          one.verbs = {verb};
          if (!rule.resource_names.empty()) one.resource_names = {name};
          out.push_back(std::move(one));
        }
      }
    }
  }
  for (const std::string& url : rule.non_resource_urls) {
    for (const std::string& verb : rule.verbs) {
      PolicyRule one;
      one.non_resource_urls = {url};
      one.verbs = {verb};
      out.push_back(std::move(one));
    }
  }
}

bool covers_resource(const Strings& owned, const std::string& resource) {
  if (has_or_all(owned, resource)) return true;
  const size_t slash = resource.find('/');
  return slash != std::string::npos && has(owned, "*" + resource.substr(slash));
}

// `part` is one of break_down().
bool rule_covers(const PolicyRule& owned, const PolicyRule& part) {
  if (!has_or_all(owned.verbs, part.verbs.front())) return false;
  if (!part.non_resource_urls.empty()) {
    const std::string& url = part.non_resource_urls.front();
    return owned.resource_names.empty() && std::any_of(owned.non_resource_urls.begin(), owned.non_resource_urls.end(), [&](const std::string& u) { return url_covers(u, url); });
  }
  if (!owned.resource_names.empty() && (part.resource_names.empty() || !has(owned.resource_names, part.resource_names.front()))) return false;
  return has_or_all(owned.api_groups, part.api_groups.front()) && covers_resource(owned.resources, part.resources.front());
}

}  // namespace

bool PolicyRule::allows(const Attributes& asked) const {
  if (!has_or_all(verbs, asked.verb)) return false;
  if (!asked.resource_request) return std::any_of(non_resource_urls.begin(), non_resource_urls.end(), [&](const std::string& url) { return url_covers(url, asked.path); });
  return has_or_all(api_groups, asked.group) && resource_matches(resources, asked.resource, asked.subresource) && (resource_names.empty() || has(resource_names, asked.name));
}

std::string PolicyRule::to_string() const {
  Strings parts;
  const auto add = [&](const char* name, const Strings& values) {
    if (values.empty()) return;
    Strings all;
    for (const std::string& value : values) all.push_back(schema::quoted(value));
    parts.push_back(fmt::format("{}:[{}]", name, fmt::join(all, " ")));
  };
  add("APIGroups", api_groups);
  add("Resources", resources);
  add("NonResourceURLs", non_resource_urls);
  add("ResourceNames", resource_names);
  add("Verbs", verbs);
  return fmt::format("{{{}}}", fmt::join(parts, ", "));
}

PolicyRules rules_of(const json::Value& role) {
  PolicyRules out;
  const json::Value* rules = role.find("rules");
  if (rules == nullptr || rules->array() == nullptr) return out;
  for (const json::Value& rule : *rules->array()) {
    PolicyRule& one = out.emplace_back();
    one.verbs = strings_at(rule, "verbs");
    one.api_groups = strings_at(rule, "apiGroups");
    one.resources = strings_at(rule, "resources");
    one.resource_names = strings_at(rule, "resourceNames");
    one.non_resource_urls = strings_at(rule, "nonResourceURLs");
  }
  return out;
}

PolicyRules uncovered(const PolicyRules& owned, const PolicyRules& wanted) {
  PolicyRules parts, out;
  for (const PolicyRule& rule : wanted) break_down(rule, parts);
  for (PolicyRule& part : parts) {
    const bool covered = std::any_of(owned.begin(), owned.end(), [&](const PolicyRule& rule) { return rule_covers(rule, part); });
    if (!covered) out.push_back(std::move(part));
  }
  return out;
}

PolicyRules full_authority() {
  PolicyRule resources, urls;
  resources.verbs = resources.api_groups = resources.resources = {"*"};
  urls.verbs = urls.non_resource_urls = {"*"};
  return {resources, urls};
}

PolicyRules compacted(const PolicyRules& rules) {
  PolicyRules out;
  std::map<std::tuple<std::string, std::string, Strings>, size_t> simple;  // where in `out`
  for (const PolicyRule& rule : rules) {
    const bool is_simple = rule.api_groups.size() == 1 && rule.resources.size() == 1 && rule.resource_names.size() <= 1 && rule.non_resource_urls.empty();
    if (is_simple) {
      const auto [at, is_new] = simple.emplace(std::tuple(rule.api_groups[0], rule.resources[0], rule.resource_names), out.size());
      if (!is_new) {
        out[at->second].verbs.insert(out[at->second].verbs.end(), rule.verbs.begin(), rule.verbs.end());
        continue;
      }
    }
    out.push_back(rule);
  }
  return out;
}

}  // namespace gs::apiserver
