// Pod specs: k8s.io/kubernetes/pkg/apis/core/validation, of what users meet first.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/built_in_checks.h"

namespace gs::apiserver::checks {
namespace {

using schema::child;
using schema::index;
using schema::invalid;
using schema::key;
using schema::required;

using Names = std::set<std::string>;

const std::vector<std::string> kProtocols = {"SCTP", "TCP", "UDP"};

void unique(const std::string& name, const std::string& path, Names& seen, FieldErrors& errors) {
  if (!name.empty() && !seen.insert(name).second) errors.push_back(schema::duplicate(path, name));
}

void port_value(const Value& object, std::string_view field, const std::string& path, FieldErrors& errors) {
  const Value* port = object.find(field);
  const std::string at = child(path, field);
  if (port != nullptr && port->string() != nullptr) return named(at, *port->string(), schema::port_name, errors);
  const int64_t number = port != nullptr ? port->integer().value_or(0) : 0;
  for (const std::string& p : schema::port_number(number)) errors.push_back(invalid(at, number, p));
}

void ports(const Value& container, const std::string& path, FieldErrors& errors) {
  const json::Array& all = items(container.find("ports"));
  Names names;
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string at = index(path, i), name = text(all[i], "name");
    if (!name.empty()) {
      const schema::Problems problems = schema::port_name(name);
      named(child(at, "name"), name, schema::port_name, errors);
      if (problems.empty()) unique(name, child(at, "name"), names, errors);
    }
    const int64_t number = integer(all[i], "containerPort").value_or(0);
    if (number == 0) {
      errors.push_back(required(child(at, "containerPort"), ""));
    } else {
      for (const std::string& p : schema::port_number(number)) errors.push_back(invalid(child(at, "containerPort"), number, p));
    }
    if (const int64_t host = integer(all[i], "hostPort").value_or(0); host != 0) {
      for (const std::string& p : schema::port_number(host)) errors.push_back(invalid(child(at, "hostPort"), host, p));
    }
    one_of(all[i], "protocol", at, kProtocols, true, errors);
  }
}

void environment(const Value& container, const std::string& path, FieldErrors& errors) {
  const json::Array& all = items(container.find("env"));
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string at = index(path, i), name = text(all[i], "name");
    if (name.empty()) {
      errors.push_back(required(child(at, "name"), ""));
    } else {
      named(child(at, "name"), name, schema::env_var_name, errors);
    }
    const Value* from = all[i].find("valueFrom");
    if (from == nullptr || !from->is_object()) continue;
    const std::string source = child(at, "valueFrom");
    if (from->object()->empty()) {
      errors.push_back(invalid(source, Value(""), "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"));
    } else if (!text(all[i], "value").empty()) {
      errors.push_back(invalid(source, Value(""), "may not be specified when `value` is not empty"));
    } else if (from->object()->size() > 1) {
      errors.push_back(invalid(source, Value(""), "may not have more than one field specified at a time"));
    }
    for (const char* ref : {"configMapKeyRef", "secretKeyRef"}) {
      const Value* selected = from->find(ref);
      if (selected == nullptr) continue;
      named(child(child(source, ref), "name"), text(*selected, "name"), schema::dns1123_subdomain, errors);
      if (text(*selected, "key").empty()) {
        errors.push_back(required(child(child(source, ref), "key"), ""));
      } else {
        named(child(child(source, ref), "key"), text(*selected, "key"), schema::config_map_key, errors);
      }
    }
  }
}

void mounts(const Value& container, const std::string& path, const Names& volumes, FieldErrors& errors) {
  const json::Array& all = items(container.find("volumeMounts"));
  Names paths;
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string at = index(path, i), name = text(all[i], "name"), mount = text(all[i], "mountPath");
    needed(all[i], "name", at, errors);
    if (!volumes.contains(name)) errors.push_back(schema::not_found(child(at, "name"), name));
    if (mount.empty()) errors.push_back(required(child(at, "mountPath"), ""));
    if (!mount.empty() && !paths.insert(mount).second) errors.push_back(invalid(child(at, "mountPath"), mount, "must be unique"));
  }
}

void handler(const Value& of, const std::string& path, FieldErrors& errors) {
  size_t types = 0;
  for (const char* type : {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}) {
    if (!there(of, type)) continue;
    if (++types > 1) errors.push_back(schema::forbidden(child(path, type), "may not specify more than 1 handler type"));
    const Value& inner = *of.find(type);
    const std::string at = child(path, type);
    if (std::string_view(type) == "exec" && items(inner.find("command")).empty()) errors.push_back(required(child(at, "command"), ""));
    if (std::string_view(type) == "httpGet") {
      needed(inner, "path", at, errors);
      port_value(inner, "port", at, errors);
      one_of(inner, "scheme", at, {"HTTP", "HTTPS"}, false, errors);
    }
    if (std::string_view(type) == "tcpSocket") port_value(inner, "port", at, errors);
  }
  if (types == 0) errors.push_back(required(path, "must specify a handler type"));
}

void probes(const Value& container, const std::string& path, FieldErrors& errors) {
  for (const char* name : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    const Value* probe = container.find(name);
    if (probe == nullptr || !probe->is_object()) continue;
    const std::string at = child(path, name);
    handler(*probe, at, errors);
    for (const char* field : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"}) non_negative(*probe, field, at, errors);
    const auto success = integer(*probe, "successThreshold");
    if (std::string_view(name) != "readinessProbe" && success && *success > 1) errors.push_back(invalid(child(at, "successThreshold"), *success, "must be 1"));
  }
  for (const char* name : {"postStart", "preStop"}) {
    const Value* hook = container.at(fmt::format("lifecycle.{}", name));
    if (hook != nullptr && hook->is_object()) handler(*hook, child(child(path, "lifecycle"), name), errors);
  }
}

// Standard names or qualified ones, and no request above its limit.
void resources(const Value& c, const std::string& path, FieldErrors& errors) {
  const auto amounts = [&](const char* kind) -> const json::Object* {
    const Value* all = c.at(fmt::format("resources.{}", kind));
    return all != nullptr ? all->object() : nullptr;
  };
  const json::Object* limits = amounts("limits");
  for (const char* kind : {"limits", "requests"}) {
    const json::Object* all = amounts(kind);
    for (size_t i = 0; all != nullptr && i < all->size(); ++i) {
      const json::Member& m = *(all->begin() + static_cast<std::ptrdiff_t>(i));
      const std::string at = key(child(path, kind), m.first);
      const bool standard = m.first == "cpu" || m.first == "memory" || m.first == "ephemeral-storage" || m.first.starts_with("hugepages-") || m.first.find('/') != std::string::npos;
      if (!standard) {
        errors.push_back(invalid(at, m.first, "must be a standard resource type or fully qualified"));
        errors.push_back(invalid(at, m.first, "must be a standard resource for containers"));
      }
      if (quantity(m.second) < 0) errors.push_back(invalid(at, quantity_text(m.second), "must be greater than or equal to 0"));
      const Value* limit = limits != nullptr && std::string_view(kind) == "requests" ? limits->find(m.first) : nullptr;
      if (limit == nullptr || quantity(m.second) <= quantity(*limit)) continue;
      errors.push_back(invalid(child(path, "requests"), quantity_text(m.second), fmt::format("must be less than or equal to {} limit of {}", m.first, quantity_text(*limit))));
    }
  }
}

void container(const Value& c, const std::string& path, const Names& volumes, Names& names, FieldErrors& errors) {
  const std::string name = text(c, "name"), image = text(c, "image");
  if (name.empty()) {
    errors.push_back(required(child(path, "name"), ""));
  } else {
    named(child(path, "name"), name, schema::dns1123_label, errors);
  }
  if (image.empty()) {
    errors.push_back(required(child(path, "image"), ""));
  } else if (path.starts_with("spec.containers") && (image.front() == ' ' || image.back() == ' ')) {
    // Templates are let through.
    errors.push_back(invalid(child(path, "image"), image, "must not have leading or trailing whitespace"));
  }
  unique(name, child(path, "name"), names, errors);
  probes(c, path, errors);
  one_of(c, "terminationMessagePolicy", path, {"File", "FallbackToLogsOnError"}, true, errors);
  ports(c, child(path, "ports"), errors);
  environment(c, child(path, "env"), errors);
  mounts(c, child(path, "volumeMounts"), volumes, errors);
  one_of(c, "imagePullPolicy", path, {"Always", "IfNotPresent", "Never"}, true, errors);
  resources(c, child(path, "resources"), errors);
}

Names volumes_of(const Value& spec, const std::string& path, FieldErrors& errors) {
  Names names;
  const json::Array& all = items(spec.find("volumes"));
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string at = index(path, i), name = text(all[i], "name");
    if (!all[i].is_object()) continue;
    const size_t before = errors.size();
    size_t sources = 0;
    for (const json::Member& m : *all[i].object()) {
      if (m.first != "name" && ++sources > 1) errors.push_back(schema::forbidden(child(at, m.first), "may not specify more than 1 volume type"));
    }
    if (sources == 0) errors.push_back(required(at, "must specify a volume type"));
    if (const Value* secret = all[i].find("secret")) needed(*secret, "secretName", child(at, "secret"), errors);
    if (const Value* map = all[i].find("configMap")) needed(*map, "name", child(at, "configMap"), errors);
    if (const Value* host = all[i].find("hostPath")) needed(*host, "path", child(at, "hostPath"), errors);
    if (const Value* claim = all[i].find("persistentVolumeClaim")) needed(*claim, "claimName", child(at, "persistentVolumeClaim"), errors);
    if (name.empty()) {
      errors.push_back(required(child(at, "name"), ""));
    } else {
      named(child(at, "name"), name, schema::dns1123_label, errors);
    }
    if (names.contains(name)) errors.push_back(schema::duplicate(child(at, "name"), name));
    // One that is wrong counts for nothing: it can neither be mounted nor be there twice.
    if (errors.size() == before) names.insert(name);
  }
  return names;
}

}  // namespace

void pod_spec(const Value* given, const std::string& path, const std::vector<std::string>& policies, FieldErrors& errors) {
  static const Value empty{json::Object()};
  const Value& spec = given != nullptr ? *given : empty;
  const Names volumes = volumes_of(spec, child(path, "volumes"), errors);
  Names names;
  const json::Array& containers = items(spec.find("containers"));
  if (containers.empty()) errors.push_back(required(child(path, "containers"), ""));
  for (size_t i = 0; i < containers.size(); ++i) container(containers[i], index(child(path, "containers"), i), volumes, names, errors);
  const json::Array& init = items(spec.find("initContainers"));
  for (size_t i = 0; i < init.size(); ++i) container(init[i], index(child(path, "initContainers"), i), volumes, names, errors);
  one_of(spec, "restartPolicy", path, {"Always", "OnFailure", "Never"}, given != nullptr, errors);
  one_of(spec, "dnsPolicy", path, {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"}, given != nullptr, errors);
  non_negative(spec, "terminationGracePeriodSeconds", path, errors);
  if (const auto seconds = integer(spec, "activeDeadlineSeconds"); seconds && *seconds < 1) {
    errors.push_back(invalid(child(path, "activeDeadlineSeconds"), *seconds, schema::between(1, 2147483647)));
  }
  if (const std::string account = text(spec, "serviceAccountName"); !account.empty()) named(child(path, "serviceAccountName"), account, schema::dns1123_subdomain, errors);
  if (const std::string node = text(spec, "nodeName"); !node.empty()) named(child(path, "nodeName"), node, schema::dns1123_subdomain, errors);
  if (const std::string host = text(spec, "hostname"); !host.empty()) named(child(path, "hostname"), host, schema::dns1123_label, errors);
  const std::string policy = text(spec, "restartPolicy");
  if (!policies.empty() && !policy.empty() && std::find(policies.begin(), policies.end(), policy) == policies.end()) {
    errors.push_back(schema::not_supported(child(path, "restartPolicy"), policy, policies));
  }
}

}  // namespace gs::apiserver::checks
