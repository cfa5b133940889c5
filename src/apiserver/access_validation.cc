// Who may do what and who may talk to whom: RBAC and network policies.
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/built_in_checks.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"
#include "schema/formats.h"

namespace gs::apiserver {
namespace {

using namespace checks;  // NOLINT: this file is made of them
using schema::child;
using schema::forbidden;
using schema::index;
using schema::invalid;
using schema::required;

void role(const Value& object, bool namespaced, FieldErrors& errors) {
  const json::Array& rules = items(object.find("rules"));
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string at = index("rules", i);
    const auto some = [&](const char* field) { return !items(rules[i].find(field)).empty(); };
    if (!some("verbs")) errors.push_back(required(child(at, "verbs"), "verbs must contain at least one value"));
    if (some("nonResourceURLs")) {
      if (namespaced) errors.push_back(invalid(child(at, "nonResourceURLs"), *rules[i].find("nonResourceURLs"), "namespaced rules cannot apply to non-resource URLs"));
      if (!namespaced && (some("apiGroups") || some("resources") || some("resourceNames"))) {
        errors.push_back(invalid(child(at, "nonResourceURLs"), *rules[i].find("nonResourceURLs"), "rules cannot apply to both regular resources and non-resource URLs"));
      }
      continue;
    }
    if (!some("apiGroups")) errors.push_back(required(child(at, "apiGroups"), "resource rules must supply at least one api group"));
    if (!some("resources")) errors.push_back(required(child(at, "resources"), "resource rules must supply at least one resource"));
  }
}

void binding(const Value& object, const Value* old, bool namespaced, FieldErrors& errors) {
  static const Value none{json::Object()};
  const Value& ref = object.find("roleRef") != nullptr ? *object.find("roleRef") : none;
  if (const std::string group = text(ref, "apiGroup"); group != "rbac.authorization.k8s.io") {
    errors.push_back(schema::not_supported("roleRef.apiGroup", group, {"rbac.authorization.k8s.io"}));
  }
  const std::vector<std::string> kinds = namespaced ? std::vector<std::string>{"Role", "ClusterRole"} : std::vector<std::string>{"ClusterRole"};
  if (const std::string kind = text(ref, "kind"); std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
    errors.push_back(schema::not_supported("roleRef.kind", kind, kinds));
  }
  if (text(ref, "name").empty()) {
    errors.push_back(required("roleRef.name", ""));
  } else {
    named("roleRef.name", text(ref, "name"), schema::path_segment_name, errors);
  }
  const json::Array& subjects = items(object.find("subjects"));
  for (size_t i = 0; i < subjects.size(); ++i) {
    const std::string at = index("subjects", i), kind = text(subjects[i], "kind");
    needed(subjects[i], "name", at, errors);
    if (kind == "ServiceAccount") {
      if (!text(subjects[i], "name").empty()) named(child(at, "name"), text(subjects[i], "name"), schema::dns1123_subdomain, errors);
      if (!namespaced) needed(subjects[i], "namespace", at, errors);
    } else if (kind != "User" && kind != "Group") {
      errors.push_back(schema::not_supported(child(at, "kind"), kind, {"ServiceAccount", "User", "Group"}));
    }
  }
  if (old == nullptr || !differs(object, *old, "roleRef")) return;
  Value shown{json::Object()};
  shown["APIGroup"] = text(ref, "apiGroup");
  shown["Kind"] = text(ref, "kind");
  shown["Name"] = text(ref, "name");
  errors.push_back(invalid("roleRef", shown, "cannot change roleRef"));
}

void peers(const Value& rule, const char* list, const std::string& path, FieldErrors& errors) {
  const json::Array& ports = items(rule.find("ports"));
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string at = index(child(path, "ports"), i);
    one_of(ports[i], "protocol", at, {"TCP", "UDP", "SCTP"}, false, errors);
    const Value* port = ports[i].find("port");
    if (port != nullptr && port->string() != nullptr) named(child(at, "port"), *port->string(), schema::port_name, errors);
    if (port == nullptr || !port->integer()) continue;
    for (const std::string& p : schema::port_number(*port->integer())) errors.push_back(invalid(child(at, "port"), *port, p));
    if (const auto end = integer(ports[i], "endPort"); end && *end < *port->integer()) errors.push_back(invalid(child(at, "endPort"), *port, "must be greater than or equal to `port`"));
  }
  const json::Array& all = items(rule.find(list));
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string at = index(child(path, list), i);
    size_t given = 0;
    for (const char* selector : {"podSelector", "namespaceSelector"}) {
      if (!there(all[i], selector)) continue;
      ++given;
      label_selector(all[i].find(selector), child(at, selector), errors);
    }
    if (const Value* block = all[i].find("ipBlock")) {
      const std::string cidr = text(*block, "cidr"), where = child(at, "ipBlock.cidr");
      if (cidr.empty()) {
        errors.push_back(required(where, ""));
      } else if (!schema::has_format("cidr", cidr)) {
        errors.push_back(invalid(where, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
      }
      if (given > 0) errors.push_back(forbidden(at, "may not specify both ipBlock and another peer"));
      ++given;
    }
    if (given == 0) errors.push_back(required(at, "must specify a peer"));
  }
}

void network_policy(const Value& object, FieldErrors& errors) {
  label_selector(object.at("spec.podSelector"), "spec.podSelector", errors);
  const json::Array &ingress = items_at(object, "spec.ingress"), &egress = items_at(object, "spec.egress"), &types = items_at(object, "spec.policyTypes");
  for (size_t i = 0; i < ingress.size(); ++i) peers(ingress[i], "from", index("spec.ingress", i), errors);
  for (size_t i = 0; i < egress.size(); ++i) peers(egress[i], "to", index("spec.egress", i), errors);
  for (size_t i = 0; i < types.size(); ++i) {
    const std::string type = types[i].string() != nullptr ? *types[i].string() : "";
    if (type != "Ingress" && type != "Egress") errors.push_back(schema::not_supported(index("spec.policyTypes", i), type, {"Ingress", "Egress"}));
  }
}

}  // namespace

void checks::access(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors) {
  const std::string& r = type.resource;
  if (r == "networkpolicies") network_policy(object, errors);
  if (r.ends_with("webhookconfigurations")) webhooks(object, errors);
  if (type.group != "rbac.authorization.k8s.io") return;
  r.ends_with("bindings") ? binding(object, old, type.namespaced, errors) : role(object, type.namespaced, errors);
}

}  // namespace gs::apiserver
