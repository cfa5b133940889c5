// Ingresses and EndpointSlices: k8s.io/kubernetes/pkg/apis/networking/validation and pkg/apis/discovery/validation.
#include <fmt/format.h>

#include <set>

#include "apiserver/built_in_checks.h"
#include "apiserver/object_meta.h"
#include "schema/formats.h"

namespace gs::apiserver::checks {
namespace {

using schema::child;
using schema::index;
using schema::invalid;
using schema::required;

constexpr size_t kMaxEndpoints = 1000, kMaxAddresses = 100, kMaxPorts = 20000;

bool is_address(std::string_view text) { return schema::has_format("ipv4", text) || schema::has_format("ipv6", text); }

// validation.IsWildcardDNS1123Subdomain.
void wildcard_host(const std::string& host, const std::string& path, FieldErrors& errors) {
  const bool good = host.starts_with("*.") && schema::dns1123_subdomain(host.substr(2)).empty();
  if (good) return;
  errors.push_back(invalid(path, host, schema::regex_error("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric "
                                                           "characters, '-' or '.' and end with an alphanumeric character",
                                                           R"(\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)", {"*.example.com"})));
}

void host_name(const std::string& host, const std::string& path, FieldErrors& errors) {
  if (host.find('*') != std::string::npos) return wildcard_host(host, path, errors);
  named(path, host, schema::dns1123_subdomain, errors);
}

void resource_backend(const Value& resource, const std::string& path, FieldErrors& errors) {
  if (there(resource, "apiGroup")) named(child(path, "apiGroup"), text(resource, "apiGroup"), schema::dns1123_subdomain, errors);
  for (const char* field : {"kind", "name"}) {
    const std::string word = text(resource, field);
    if (word.empty()) errors.push_back(required(child(path, field), ""));
    else named(child(path, field), word, schema::path_segment_name, errors);
  }
}

void service_backend(const Value& service, const std::string& path, FieldErrors& errors) {
  const std::string name = text(service, "name"), port = text(service, "port.name");
  const int64_t number = integer(service, "port.number").value_or(0);
  if (name.empty()) errors.push_back(required(child(path, "service.name"), ""));
  else named(child(path, "service.name"), name, schema::dns1123_label, errors);
  if (!port.empty() && number != 0) {
    errors.push_back(invalid(path, "", "cannot set both port name & port number"));
  } else if (!port.empty()) {
    named(child(path, "service.port.name"), port, schema::port_name, errors);
  } else if (number != 0) {
    for (const std::string& p : schema::port_number(number)) errors.push_back(invalid(child(path, "service.port.number"), number, p));
  } else {
    errors.push_back(required(path, "port name or number is required"));
  }
}

void backend(const Value* given, const std::string& path, FieldErrors& errors) {
  const bool resource = given != nullptr && there(*given, "resource"), service = given != nullptr && there(*given, "service");
  if (resource && service) return errors.push_back(invalid(path, "", "cannot set both resource and service backends"));
  if (resource) return resource_backend(*given->find("resource"), child(path, "resource"), errors);
  if (service) return service_backend(*given->find("service"), path, errors);
  errors.push_back(invalid(path, "", "resource or service backend is required"));
}

void http_path(const Value& rule, const std::string& at, FieldErrors& errors) {
  if (!there(rule, "pathType")) return errors.push_back(required(child(at, "pathType"), "pathType must be specified"));
  const std::string type = text(rule, "pathType"), path = text(rule, "path");
  const bool own = type == "ImplementationSpecific", strict = type == "Exact" || type == "Prefix";
  if (!own && !strict) errors.push_back(schema::not_supported(child(at, "pathType"), type, {"Exact", "ImplementationSpecific", "Prefix"}));
  const auto wrong = [&](const std::string& why) { errors.push_back(invalid(child(at, "path"), path, why)); };
  if ((strict || (own && !path.empty())) && !path.starts_with('/')) wrong("must be an absolute path");
  if (strict) {
    for (const char* sequence : {"//", "/./", "/../", "%2f", "%2F"}) {
      if (path.find(sequence) != std::string::npos) wrong(fmt::format("must not contain '{}'", sequence));
    }
    for (const char* suffix : {"/..", "/."}) {
      if (path.ends_with(suffix)) wrong(fmt::format("cannot end with '{}'", suffix));
    }
  }
  backend(rule.find("backend"), child(at, "backend"), errors);
}

void ingress_rule(const Value& rule, const std::string& at, FieldErrors& errors) {
  const std::string host = text(rule, "host");
  if (!host.empty()) {
    if (is_address(host)) errors.push_back(invalid(child(at, "host"), host, "must be a DNS name, not an IP address"));
    host_name(host, child(at, "host"), errors);
  }
  if (!there(rule, "http")) return;
  const json::Array& paths = items_at(rule, "http.paths");
  if (paths.empty()) errors.push_back(required(child(at, "http.paths"), ""));
  for (size_t i = 0; i < paths.size(); ++i) http_path(paths[i], index(child(at, "http.paths"), i), errors);
}

void ingress_tls(const json::Array& tls, FieldErrors& errors) {
  for (size_t i = 0; i < tls.size(); ++i) {
    const std::string at = index("spec.tls", i), secret = text(tls[i], "secretName");
    const std::vector<std::string> hosts = strings_of(tls[i].find("hosts"));
    for (size_t j = 0; j < hosts.size(); ++j) host_name(hosts[j], index(child(at, "hosts"), j), errors);
    if (!secret.empty()) named(child(at, "secretName"), secret, schema::dns1123_subdomain, errors);
  }
}

void slice_ports(const json::Array& ports, FieldErrors& errors) {
  if (ports.size() > kMaxPorts) return errors.push_back(schema::too_many("ports", static_cast<int64_t>(ports.size()), kMaxPorts));
  std::set<std::string> names;
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string at = index("ports", i), name = text(ports[i], "name");
    if (!name.empty()) named(child(at, "name"), name, schema::dns1123_label, errors);
    if (!names.insert(name).second) errors.push_back(schema::duplicate(child(at, "name"), name));
    one_of(ports[i], "protocol", at, {"SCTP", "TCP", "UDP"}, true, errors);
    if (there(ports[i], "appProtocol")) named(child(at, "appProtocol"), text(ports[i], "appProtocol"), schema::label_key, errors);
  }
}

void slice_address(const std::string& type, const std::string& address, const std::string& path, const std::string& at, FieldErrors& errors) {
  if (type != "IPv4" && type != "IPv6") return;
  const bool four = schema::has_format("ipv4", address);
  if (!is_address(address)) {
    errors.push_back(invalid(at, address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
  } else if (four != (type == "IPv4")) {
    errors.push_back(invalid(path, address, fmt::format("must be an {} address", type)));
  }
}

void slice_endpoint(const std::string& type, const Value& endpoint, const std::string& at, FieldErrors& errors) {
  const std::string path = child(at, "addresses");
  const std::vector<std::string> addresses = strings_of(endpoint.find("addresses"));
  if (addresses.empty()) errors.push_back(required(path, "must contain at least 1 address"));
  if (addresses.size() > kMaxAddresses) errors.push_back(schema::too_many(path, static_cast<int64_t>(addresses.size()), kMaxAddresses));
  for (size_t i = 0; i < addresses.size(); ++i) slice_address(type, addresses[i], path, index(path, i), errors);
  if (there(endpoint, "nodeName")) named(child(at, "nodeName"), text(endpoint, "nodeName"), schema::dns1123_subdomain, errors);
  if (there(endpoint, "hostname")) named(child(at, "hostname"), text(endpoint, "hostname"), schema::dns1123_label, errors);
}

}  // namespace

void ingress(const Value& object, const Value* old, FieldErrors& errors) {
  static const Value none{json::Object()};
  const Value& spec = object.find("spec") != nullptr ? *object.find("spec") : none;
  const json::Array& rules = items(spec.find("rules"));
  const bool fallback = there(spec, "defaultBackend");
  if (rules.empty() && !fallback) errors.push_back(invalid("spec", Value(), "either `defaultBackend` or `rules` must be specified"));
  if (fallback) backend(spec.find("defaultBackend"), "spec.defaultBackend", errors);
  for (size_t i = 0; i < rules.size(); ++i) ingress_rule(rules[i], index("spec.rules", i), errors);
  ingress_tls(items(spec.find("tls")), errors);
  if (!there(spec, "ingressClassName")) return;
  const std::string name = text(spec, "ingressClassName");
  named("spec.ingressClassName", name, schema::dns1123_subdomain, errors);
  const Value* annotations = object.at("metadata.annotations");
  const Value* annotation = annotations != nullptr ? annotations->find("kubernetes.io/ingress.class") : nullptr;
  if (old == nullptr && annotation != nullptr && annotation->string() != nullptr && *annotation->string() != name) {
    errors.push_back(invalid("annotations.kubernetes.io/ingress.class", *annotation, "must match `ingressClassName` when both are specified"));
  }
}

void endpoint_slice(const Value& object, const Value* old, FieldErrors& errors) {
  const std::string type = text(object, "addressType");
  one_of(object, "addressType", "", {"FQDN", "IPv4", "IPv6"}, true, errors);
  slice_ports(items(object.find("ports")), errors);
  const json::Array& endpoints = items(object.find("endpoints"));
  if (endpoints.size() > kMaxEndpoints) {
    errors.push_back(schema::too_many("endpoints", static_cast<int64_t>(endpoints.size()), kMaxEndpoints));
  } else if (old == nullptr || differs(object, *old, "endpoints")) {
    for (size_t i = 0; i < endpoints.size(); ++i) slice_endpoint(type, endpoints[i], index("endpoints", i), errors);
  }
  if (old != nullptr) immutable(object, *old, "addressType", errors);
}

}  // namespace gs::apiserver::checks
