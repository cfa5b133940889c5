// Webhook configurations (pkg/apis/admissionregistration/validation, k8s.io/apiserver/pkg/util/webhook/validation.go).
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/built_in_checks.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"

namespace gs::apiserver {
namespace {

using namespace checks;  // NOLINT: this file is made of them
using schema::child;
using schema::forbidden;
using schema::index;
using schema::invalid;
using schema::required;

constexpr std::string_view kForm = "; desired format: https://host[/path]";

void url(const std::string& text, const std::string& at, FieldErrors& errors) {
  const size_t colon = text.find("://");
  const std::string scheme = colon == std::string::npos ? text.substr(0, text.find(':') == std::string::npos ? 0 : text.find(':')) : text.substr(0, colon);
  if (scheme != "https") errors.push_back(invalid(at, scheme, fmt::format("'https' is the only allowed URL scheme{}", kForm)));
  const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 3);
  const std::string authority = rest.substr(0, rest.find_first_of("/?#"));
  const size_t user = authority.rfind('@');
  if (authority.substr(user == std::string::npos ? 0 : user + 1).empty()) errors.push_back(invalid(at, "", fmt::format("host must be specified{}", kForm)));
  if (user != std::string::npos) errors.push_back(invalid(at, authority.substr(0, user), "user information is not permitted in the URL"));
  const size_t fragment = text.find('#'), query = text.find('?');
  if (fragment != std::string::npos && fragment + 1 < text.size()) errors.push_back(invalid(at, text.substr(fragment + 1), "fragments are not permitted in the URL"));
  if (query < fragment && query + 1 < std::min(fragment, text.size())) {
    errors.push_back(invalid(at, text.substr(query + 1, fragment == std::string::npos ? fragment : fragment - query - 1), "query parameters are not permitted in the URL"));
  }
}

void service_path(const std::string& path, const std::string& at, FieldErrors& errors) {
  if (path.empty() || path == "/") return;
  if (path == "//") return errors.push_back(invalid(at, path, "segment[0] may not be empty"));
  if (!path.starts_with('/')) errors.push_back(invalid(at, path, "must start with a '/'"));
  std::string_view rest = std::string_view(path).substr(1);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const std::vector<std::string_view> steps = split(rest, '/');
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].empty()) {
      errors.push_back(invalid(at, path, fmt::format("segment[{}] may not be empty", i)));
      continue;
    }
    for (const std::string& problem : schema::dns1123_subdomain(steps[i])) errors.push_back(invalid(at, path, fmt::format("segment[{}]: {}", i, problem)));
  }
}

// "*" stands alone.
void wildcard_alone(const Value& rule, const char* field, const char* others, const std::string& path, FieldErrors& errors) {
  const std::vector<std::string> all = strings_of(rule.find(field));
  if (all.size() > 1 && std::find(all.begin(), all.end(), "*") != all.end()) {
    errors.push_back(invalid(child(path, field), *rule.find(field), fmt::format("if '*' is present, must not specify other {}", others)));
  }
}

void resources(const Value& rule, const std::string& at, FieldErrors& errors) {
  const std::vector<std::string> all = strings_of(rule.find("resources"));
  if (all.empty()) errors.push_back(required(at, ""));
  std::set<std::string> any_subresource, any_resource;
  bool plain = false;  // as Kubernetes has it: of the last one without a subresource
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string& one = all[i];
    const size_t slash = one.find('/');
    if (one.empty()) errors.push_back(required(index(at, i), ""));
    if (!one.empty() && slash == std::string::npos) plain = one != "*";
    if (slash == std::string::npos) continue;
    const std::string resource = one.substr(0, slash), sub = one.substr(slash + 1);
    if (any_subresource.contains(resource)) errors.push_back(invalid(index(at, i), one, fmt::format("if '{}/*' is present, must not specify {}", resource, one)));
    if (any_resource.contains(sub)) errors.push_back(invalid(index(at, i), one, fmt::format("if '*/{}' is present, must not specify {}", sub, one)));
    if (sub == "*") any_subresource.insert(resource);
    if (resource == "*") any_resource.insert(sub);
  }
  const auto has = [&](const char* word) { return std::find(all.begin(), all.end(), word) != all.end(); };
  if (all.size() > 1 && has("*/*")) errors.push_back(invalid(at, *rule.find("resources"), "if '*/*' is present, must not specify other resources"));
  if (has("*") && plain) errors.push_back(invalid(at, *rule.find("resources"), "if '*' is present, must not specify other resources without subresources"));
}

void rule_with_operations(const Value& rule, const std::string& path, FieldErrors& errors) {
  const std::vector<std::string> operations = strings_of(rule.find("operations")), words = {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"};
  if (operations.empty()) errors.push_back(required(child(path, "operations"), ""));
  wildcard_alone(rule, "operations", "operations", path, errors);
  for (size_t i = 0; i < operations.size(); ++i) {
    if (std::find(words.begin(), words.end(), operations[i]) == words.end()) errors.push_back(schema::not_supported(index(child(path, "operations"), i), operations[i], words));
  }
  if (items(rule.find("apiGroups")).empty()) errors.push_back(required(child(path, "apiGroups"), ""));
  wildcard_alone(rule, "apiGroups", "API groups", path, errors);
  const std::vector<std::string> versions = strings_of(rule.find("apiVersions"));
  if (versions.empty()) errors.push_back(required(child(path, "apiVersions"), ""));
  wildcard_alone(rule, "apiVersions", "API versions", path, errors);
  for (size_t i = 0; i < versions.size(); ++i) {
    if (versions[i].empty()) errors.push_back(required(index(child(path, "apiVersions"), i), ""));
  }
  resources(rule, child(path, "resources"), errors);
  one_of(rule, "scope", path, {"*", "Cluster", "Namespaced"}, false, errors);
}

void fully_qualified_name(const std::string& name, const std::string& at, FieldErrors& errors) {
  if (name.empty()) {
    errors.push_back(required(at, ""));
  } else if (const auto problems = schema::dns1123_subdomain(name); !problems.empty()) {
    errors.push_back(invalid(at, name, fmt::format("{}", fmt::join(problems, ","))));
  } else if (split(name, '.').size() < 3) {
    errors.push_back(invalid(at, name, "should be a domain with at least three segments separated by dots"));
  }
}

void webhook(const Value& hook, const std::string& at, FieldErrors& errors) {
  fully_qualified_name(text(hook, "name"), child(at, "name"), errors);
  const json::Array& rules = items(hook.find("rules"));
  for (size_t i = 0; i < rules.size(); ++i) rule_with_operations(rules[i], index(child(at, "rules"), i), errors);
  one_of(hook, "failurePolicy", at, {"Fail", "Ignore"}, false, errors);
  one_of(hook, "matchPolicy", at, {"Equivalent", "Exact"}, false, errors);
  if (text(hook, "sideEffects").empty()) {
    errors.push_back(required(child(at, "sideEffects"), "must specify one of None, NoneOnDryRun"));
  } else {
    one_of(hook, "sideEffects", at, {"None", "NoneOnDryRun"}, true, errors);
  }
  if (const auto seconds = integer(hook, "timeoutSeconds"); seconds && (*seconds < 1 || *seconds > 30)) {
    errors.push_back(invalid(child(at, "timeoutSeconds"), *seconds, "the timeout value must be between 1 and 30 seconds"));
  }
  for (const char* selector : {"namespaceSelector", "objectSelector"}) label_selector(hook.find(selector), child(at, selector), errors);
  one_of(hook, "reinvocationPolicy", at, {"IfNeeded", "Never"}, false, errors);
  webhook_client(hook.find("clientConfig"), child(at, "clientConfig"), errors);
  if (!items(hook.find("matchConditions")).empty()) {
    // Never ignored: what they leave out would be asked about, or refused.
    errors.push_back(forbidden(child(at, "matchConditions"), "match conditions are not evaluated by this server yet; remove them, or use a cluster that evaluates them"));
  }
  review_versions(hook.find("admissionReviewVersions"), child(at, "admissionReviewVersions"), "must specify one of v1, v1beta1", errors);
}

}  // namespace

void checks::webhook_client(const Value* client, const std::string& at, FieldErrors& errors) {
  const Value* service = client != nullptr ? client->find("service") : nullptr;
  const Value* address = client != nullptr ? client->find("url") : nullptr;
  if ((service == nullptr) == (address == nullptr)) {
    errors.push_back(required(at, "exactly one of url or service is required"));
  } else if (address != nullptr) {
    url(text(*client, "url"), child(at, "url"), errors);
  } else {
    // Kubernetes hands the two over the wrong way round, and so they are told.
    if (text(*service, "namespace").empty()) errors.push_back(required(child(at, "service.name"), ""));
    if (text(*service, "name").empty()) errors.push_back(required(child(at, "service.namespace"), ""));
    if (const auto port = integer(*service, "port")) {
      const auto problems = schema::port_number(*port);
      if (!problems.empty()) errors.push_back(invalid(child(at, "service.port"), *port, fmt::format("port is not valid: {}", fmt::join(problems, ", "))));
    }
    service_path(text(*service, "path"), child(at, "service.path"), errors);
  }
}

void checks::review_versions(const Value* list, const std::string& at, const char* none, FieldErrors& errors) {
  const std::vector<std::string> versions = strings_of(list);
  if (versions.empty()) return errors.push_back(required(at, none));
  std::set<std::string> seen;
  for (size_t i = 0; i < versions.size(); ++i) {
    if (!seen.insert(versions[i]).second) {
      errors.push_back(invalid(index(at, i), versions[i], "duplicate version"));
      continue;
    }
    for (const std::string& problem : schema::dns1035_label(versions[i])) errors.push_back(invalid(index(at, i), versions[i], problem));
  }
  if (!seen.contains("v1") && !seen.contains("v1beta1")) errors.push_back(invalid(at, *list, "must include at least one of v1, v1beta1"));
}

void checks::webhooks(const Value& object, FieldErrors& errors) {
  const json::Array& hooks = items(object.find("webhooks"));
  std::set<std::string> names;
  for (size_t i = 0; i < hooks.size(); ++i) {
    const std::string at = index("webhooks", i), name = text(hooks[i], "name");
    webhook(hooks[i], at, errors);
    if (!name.empty() && !names.insert(name).second) errors.push_back(schema::duplicate(child(at, "name"), name));
  }
}

}  // namespace gs::apiserver
