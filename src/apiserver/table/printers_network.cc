// Services and what leads to them.
#include <fmt/format.h>

#include <set>

#include "apiserver/table/printers.h"
#include "base/strings.h"

namespace gs::apiserver::table {
namespace {

using json::Array;

std::vector<std::string> texts(const Array& values) {
  std::vector<std::string> out;
  for (const Value& v : values) {
    if (v.string() != nullptr) out.push_back(*v.string());
  }
  return out;
}

// Addresses of a load balancer, sorted.
std::vector<std::string> ingress_points(const Row& row) {
  std::set<std::string> out;
  for (const Value& point : row.list("status.loadBalancer.ingress")) {
    const std::string_view ip = point.text("ip"), host = point.text("hostname");
    if (!ip.empty() || !host.empty()) out.emplace(ip.empty() ? host : ip);
  }
  return {out.begin(), out.end()};
}

std::string external_ip(const Row& row) {
  const std::string_view type = row.object.text("spec.type");
  std::vector<std::string> external = texts(row.list("spec.externalIPs"));
  if (type == "ClusterIP" || type == "NodePort") return external.empty() ? "<none>" : join(external, ",");
  if (type == "ExternalName") return std::string(row.object.text("spec.externalName"));
  if (type != "LoadBalancer") return "<unknown>";
  std::vector<std::string> all = ingress_points(row);
  all.insert(all.end(), external.begin(), external.end());
  return all.empty() ? "<pending>" : join(all, ",");
}

void print_service(Row& row) {
  std::vector<std::string> ports;
  for (const Value& port : row.list("spec.ports")) {
    const int64_t node = integer_of(port.find("nodePort"));
    const std::string number = node > 0 ? fmt::format("{}:{}", integer_of(port.find("port")), node) : fmt::format("{}", integer_of(port.find("port")));
    ports.push_back(fmt::format("{}/{}", number, port.text("protocol")));
  }
  const std::vector<std::string> ips = texts(row.list("spec.clusterIPs"));
  row.name().text("spec.type").add(ips.empty() ? "<none>" : ips.front()).add(external_ip(row));
  row.add(ports.empty() ? "<none>" : join(ports, ",")).age().add(format_labels(row.object.at("spec.selector")));
}

std::string host_port(std::string_view ip, int64_t port) {
  return ip.find(':') == std::string_view::npos ? fmt::format("{}:{}", ip, port) : fmt::format("[{}]:{}", ip, port);
}

void print_endpoints(Row& row) {
  std::vector<std::string> all;
  for (const Value& subset : row.list("subsets")) {
    const Array& addresses = elements(subset.find("addresses"));
    const Array& ports = elements(subset.find("ports"));
    for (size_t i = 0; ports.empty() && i < addresses.size(); ++i) all.emplace_back(addresses[i].text("ip"));
    for (const Value& port : ports) {
      for (const Value& address : addresses) all.push_back(host_port(address.text("ip"), integer_of(port.find("port"))));
    }
  }
  row.name().add(row.list("subsets").empty() ? "<none>" : first_three(all, "")).age();
}

void print_endpoint_slice(Row& row) {
  std::vector<std::string> ports, addresses;
  for (const Value& port : row.list("ports")) {
    const Value* number = port.find("port");
    ports.push_back(number != nullptr ? scalar(number) : port.find("name") != nullptr ? std::string(port.text("name")) : "*");
  }
  for (const Value& endpoint : row.list("endpoints")) {
    for (const std::string& address : texts(elements(endpoint.find("addresses")))) addresses.push_back(address);
  }
  row.name().text("addressType").add(first_three(ports, "<unset>")).add(first_three(addresses, "<unset>")).age();
}

void print_ingress(Row& row) {
  const Array& rules = row.list("spec.rules");
  std::vector<std::string> hosts;
  bool more = false;
  for (const Value& rule : rules) {
    more |= hosts.size() == 3;
    if (!more && !rule.text("host").empty()) hosts.emplace_back(rule.text("host"));
  }
  std::string shown = hosts.empty() ? "*" : join(hosts, ",");
  if (more) shown += fmt::format(" + {} more...", rules.size() - 3);
  row.name().text("spec.ingressClassName", "<none>").add(shown).add(join(ingress_points(row), ",")).add(row.list("spec.tls").empty() ? "80" : "80, 443").age();
}

// "NAME (default)" where the annotation says so.
Row& name_with_default(Row& row, std::initializer_list<std::string_view> annotations) {
  std::string name(row.object.text("metadata.name"));
  const Value* all = row.object.at("metadata.annotations");
  for (const std::string_view annotation : annotations) {
    const Value* found = all != nullptr ? all->find(annotation) : nullptr;
    if (found == nullptr || found->string() == nullptr || *found->string() != "true") continue;
    name += " (default)";
    break;
  }
  return row.add(name);
}

void print_ingress_class(Row& row) {
  std::string parameters = "<none>";
  if (row.object.at("spec.parameters") != nullptr) {
    parameters = row.object.text("spec.parameters.kind");
    if (const std::string_view group = row.object.text("spec.parameters.apiGroup"); !group.empty()) parameters.append(".").append(group);
    parameters.append("/").append(row.object.text("spec.parameters.name"));
  }
  name_with_default(row, {"ingressclass.kubernetes.io/is-default-class"}).text("spec.controller").add(parameters).age();
}

void print_network_policy(Row& row) { row.name().add(format_label_selector(row.object.at("spec.podSelector"))).age(); }
void print_service_cidr(Row& row) { row.name().add(join(texts(row.list("spec.cidrs")), ",")).age(); }

void print_ip_address(Row& row) {
  std::string parent = "<none>";
  if (row.object.at("spec.parentRef") != nullptr) {
    parent = row.object.text("spec.parentRef.resource");
    if (const std::string_view group = row.object.text("spec.parentRef.group"); !group.empty()) parent.append(".").append(group);
    parent = to_lower(parent);
    if (const std::string_view ns = row.object.text("spec.parentRef.namespace"); !ns.empty()) parent.append("/").append(ns);
    parent.append("/").append(row.object.text("spec.parentRef.name"));
  }
  row.name().add(parent).age();
}

void print_storage_class(Row& row) {
  name_with_default(row, {"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"});
  row.text("provisioner").text("reclaimPolicy", "Delete").text("volumeBindingMode", "Immediate").boolean("allowVolumeExpansion").age();
}

}  // namespace

void add_network_printers(std::vector<std::pair<std::string, Printer>>& to) {
  to.push_back({"services", {{name_column(), "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", {"Selector", "string", 1}}, print_service}});
  to.push_back({"endpoints", {{name_column(), "Endpoints", "Age"}, print_endpoints}});
  to.push_back({"endpointslices.discovery.k8s.io", {{name_column(), "AddressType", "Ports", "Endpoints", "Age"}, print_endpoint_slice}});
  to.push_back({"ingresses.networking.k8s.io", {{name_column(), "Class", "Hosts", "Address", "Ports", "Age"}, print_ingress}});
  to.push_back({"ingressclasses.networking.k8s.io", {{name_column(), "Controller", "Parameters", "Age"}, print_ingress_class}});
  to.push_back({"networkpolicies.networking.k8s.io", {{name_column(), "Pod-Selector", "Age"}, print_network_policy}});
  to.push_back({"servicecidrs.networking.k8s.io", {{name_column(), "CIDRs", "Age"}, print_service_cidr}});
  to.push_back({"ipaddresses.networking.k8s.io", {{name_column(), "ParentRef", "Age"}, print_ip_address}});
  to.push_back({"storageclasses.storage.k8s.io", {{name_column(), "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"}, print_storage_class}});
}

}  // namespace gs::apiserver::table
