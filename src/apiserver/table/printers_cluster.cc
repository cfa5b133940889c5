// What a cluster is made of: nodes, namespaces, configuration, identities and their rights, admission.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/table/printers.h"
#include "base/strings.h"

namespace gs::apiserver::table {
namespace {

using json::Array;

std::string node_roles(const Row& row) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  const Value* labels = row.object.at("metadata.labels");
  if (labels != nullptr && labels->is_object()) {
    for (const auto& [key, value] : *labels->object()) {
      if (key.starts_with(kPrefix) && key.size() > kPrefix.size()) roles.insert(key.substr(kPrefix.size()));
      if (key == "kubernetes.io/role" && !scalar(&value).empty()) roles.insert(scalar(&value));
    }
  }
  return roles.empty() ? "<none>" : join({roles.begin(), roles.end()}, ",");
}

std::string_view node_address(const Row& row, std::string_view type) {
  const Value* found = condition(row.list("status.addresses"), type);
  return found == nullptr ? "<none>" : found->text("address");
}

void print_node(Row& row) {
  const Value* ready = condition(row.list("status.conditions"), "Ready");
  std::string status = ready == nullptr ? "Unknown" : ready->text("status") == "True" ? "Ready" : "NotReady";
  if (is_true(row.object.at("spec.unschedulable"))) status += ",SchedulingDisabled";
  row.name().add(status).add(node_roles(row)).age().text("status.nodeInfo.kubeletVersion").add(node_address(row, "InternalIP")).add(node_address(row, "ExternalIP"));
  const std::string_view kernel = row.object.text("status.nodeInfo.kernelVersion"), arch = row.object.text("status.nodeInfo.architecture");
  std::string shown(kernel.empty() ? "<unknown>" : kernel);
  if (!arch.empty()) shown += fmt::format(" ({})", arch);
  row.text("status.nodeInfo.osImage", "<unknown>").add(shown).text("status.nodeInfo.containerRuntimeVersion", "<unknown>");
}

void print_namespace(Row& row) { row.name().text("status.phase").age(); }
void print_config_map(Row& row) { row.name().add(static_cast<int64_t>(row.members("data") + row.members("binaryData"))).age(); }
void print_secret(Row& row) { row.name().text("type").add(static_cast<int64_t>(row.members("data"))).age(); }
void print_name_and_age(Row& row) { row.name().age(); }
void print_lease(Row& row) { row.name().text("spec.holderIdentity").age(); }
void print_lease_candidate(Row& row) { row.name().text("spec.leaseName").text("spec.binaryVersion").text("spec.emulationVersion").age(); }
void print_runtime_class(Row& row) { row.name().text("handler").age(); }
void print_priority_class(Row& row) { row.name().number("value").boolean("globalDefault").age().text("preemptionPolicy"); }

void print_quota(Row& row) {
  std::string requests, limits;
  const Value* hard = row.object.at("status.hard");
  const Value* used = row.object.at("status.used");
  std::vector<std::string> names;
  if (hard != nullptr && hard->is_object()) {
    for (const auto& [name, value] : *hard->object()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    std::string& to = name.starts_with("limits.") ? limits : requests;
    if (!to.empty()) to += ", ";
    const Value* amount = used != nullptr ? used->find(name) : nullptr;
    to += fmt::format("{}: {}/{}", name, amount == nullptr ? "0" : scalar(amount), scalar(hard->find(name)));
  }
  row.name().add(requests).add(limits).age();
}

void print_binding(Row& row) {
  std::vector<std::string> users, groups, accounts;
  for (const Value& subject : row.list("subjects")) {
    const std::string_view kind = subject.text("kind"), ns = subject.text("namespace");
    const std::string name(subject.text("name"));
    if (kind == "User") users.push_back(name);
    if (kind == "Group") groups.push_back(name);
    if (kind == "ServiceAccount") accounts.push_back(ns.empty() ? name : fmt::format("{}/{}", ns, name));
  }
  row.name().add(fmt::format("{}/{}", row.object.text("roleRef.kind"), row.object.text("roleRef.name"))).age();
  row.add(join(users, ", ")).add(join(groups, ", ")).add(join(accounts, ", "));
}

// rest.NewDefaultTableConvertor: what has no printer of its own.
void print_created_at(Row& row) { row.name().text("metadata.creationTimestamp"); }

void print_signing_request(Row& row) {
  const Array& conditions = row.list("status.conditions");
  std::string status = condition(conditions, "Denied") != nullptr ? "Denied" : condition(conditions, "Approved") != nullptr ? "Approved" : "Pending";
  if (condition(conditions, "Failed") != nullptr) status += ",Failed";
  if (!row.object.text("status.certificate").empty()) status += ",Issued";
  const Value* seconds = row.object.at("spec.expirationSeconds");
  const std::string asked = seconds == nullptr ? "<none>" : human_duration(std::chrono::seconds(integer_of(seconds)));
  row.name().age().text("spec.signerName", "<none>").text("spec.username").add(asked).add(status);
}

void print_webhooks(Row& row) { row.name().add(static_cast<int64_t>(row.list("webhooks").size())).age(); }

void print_policy(Row& row, std::string_view rules) {
  std::string kind = "<unset>";
  if (row.object.at("spec.paramKind") != nullptr) kind = fmt::format("{}/{}", row.object.text("spec.paramKind.apiVersion"), row.object.text("spec.paramKind.kind"));
  row.name().add(static_cast<int64_t>(row.list(rules).size())).add(kind).age();
}
void print_validating_policy(Row& row) { print_policy(row, "spec.validations"); }
void print_mutating_policy(Row& row) { print_policy(row, "spec.mutations"); }

void print_policy_binding(Row& row) {
  std::string parameter = "<unset>";
  if (const std::string_view name = row.object.text("spec.paramRef.name"); !name.empty()) {
    const std::string_view ns = row.object.text("spec.paramRef.namespace");
    parameter = fmt::format("{}/{}", ns.empty() ? "*" : ns, name);
  }
  row.name().text("spec.policyName").add(parameter).age();
}

void print_flow_schema(Row& row) {
  const Value* dangling = condition(row.list("status.conditions"), "Dangling");
  row.name().text("spec.priorityLevelConfiguration.name").number("spec.matchingPrecedence").text("spec.distinguisherMethod.type", "<none>").age();
  row.add(dangling == nullptr ? "?" : dangling->text("status"));
}

void print_priority_level(Row& row) {
  const auto of = [&](std::string_view path) {
    const Value* found = row.object.at(path);
    return found == nullptr ? Value("<none>") : *found;
  };
  row.name().text("spec.type").add(of("spec.limited.nominalConcurrencyShares")).add(of("spec.limited.limitResponse.queuing.queues"));
  row.add(of("spec.limited.limitResponse.queuing.handSize")).add(of("spec.limited.limitResponse.queuing.queueLengthLimit")).age();
}

void print_resource_claim(Row& row) {
  const bool deleted = !row.object.text("metadata.deletionTimestamp").empty(), allocated = row.object.at("status.allocation") != nullptr;
  std::vector<std::string> states;
  if (deleted) states.emplace_back("deleted");
  if (!allocated && !deleted) states.emplace_back("pending");
  if (allocated) states.emplace_back("allocated");
  if (allocated && !row.list("status.reservedFor").empty()) states.emplace_back("reserved");
  row.name().add(join(states, ",")).age();
}

void print_resource_slice(Row& row) { row.name().text("spec.nodeName").text("spec.driver").text("spec.pool.name").age(); }

}  // namespace

void add_cluster_printers(std::vector<std::pair<std::string, Printer>>& to) {
  const Printer name_and_age{{name_column(), "Age"}, print_name_and_age}, created_at{{name_column(), {"Created At", "date"}}, print_created_at};
  to.push_back({"nodes",
                {{name_column(), "Status", "Roles", "Age", "Version", {"Internal-IP", "string", 1}, {"External-IP", "string", 1}, {"OS-Image", "string", 1}, {"Kernel-Version", "string", 1}, {"Container-Runtime", "string", 1}}, print_node}});
  to.push_back({"namespaces", {{name_column(), "Status", "Age"}, print_namespace}});
  to.push_back({"configmaps", {{name_column(), "Data", "Age"}, print_config_map}});
  to.push_back({"secrets", {{name_column(), "Type", "Data", "Age"}, print_secret}});
  to.push_back({"serviceaccounts", name_and_age});
  to.push_back({"limitranges", created_at});
  to.push_back({"resourcequotas", {{name_column(), "Request", "Limit", "Age"}, print_quota}});
  to.push_back({"leases.coordination.k8s.io", {{name_column(), "Holder", "Age"}, print_lease}});
  to.push_back({"leasecandidates.coordination.k8s.io", {{name_column(), "LeaseName", "BinaryVersion", "EmulationVersion", "Age"}, print_lease_candidate}});
  to.push_back({"runtimeclasses.node.k8s.io", {{name_column(), "Handler", "Age"}, print_runtime_class}});
  to.push_back({"priorityclasses.scheduling.k8s.io", {{name_column(), {"Value", "integer"}, {"Global-Default", "boolean"}, "Age", {"PreemptionPolicy", "string", 1}}, print_priority_class}});
  const Printer binding{{name_column(), "Role", "Age", {"Users", "string", 1}, {"Groups", "string", 1}, {"ServiceAccounts", "string", 1}}, print_binding};
  to.push_back({"rolebindings.rbac.authorization.k8s.io", binding});
  to.push_back({"clusterrolebindings.rbac.authorization.k8s.io", binding});
  for (const char* plain : {"roles.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io", "customresourcedefinitions.apiextensions.k8s.io"}) to.push_back({plain, created_at});
  to.push_back({"certificatesigningrequests.certificates.k8s.io", {{name_column(), "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"}, print_signing_request}});
  const Printer webhooks{{name_column(), {"Webhooks", "integer"}, "Age"}, print_webhooks}, policy_binding{{name_column(), "PolicyName", "ParamRef", "Age"}, print_policy_binding};
  to.push_back({"mutatingwebhookconfigurations.admissionregistration.k8s.io", webhooks});
  to.push_back({"validatingwebhookconfigurations.admissionregistration.k8s.io", webhooks});
  to.push_back({"validatingadmissionpolicies.admissionregistration.k8s.io", {{name_column(), {"Validations", "integer"}, "ParamKind", "Age"}, print_validating_policy}});
  to.push_back({"mutatingadmissionpolicies.admissionregistration.k8s.io", {{name_column(), {"Mutations", "integer"}, "ParamKind", "Age"}, print_mutating_policy}});
  to.push_back({"validatingadmissionpolicybindings.admissionregistration.k8s.io", policy_binding});
  to.push_back({"mutatingadmissionpolicybindings.admissionregistration.k8s.io", policy_binding});
  to.push_back({"flowschemas.flowcontrol.apiserver.k8s.io", {{name_column(), "PriorityLevel", "MatchingPrecedence", "DistinguisherMethod", "Age", "MissingPL"}, print_flow_schema}});
  to.push_back({"prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", {{name_column(), "Type", "NominalConcurrencyShares", "Queues", "HandSize", "QueueLengthLimit", "Age"}, print_priority_level}});
  to.push_back({"deviceclasses.resource.k8s.io", name_and_age});
  to.push_back({"resourceclaimtemplates.resource.k8s.io", name_and_age});
  to.push_back({"resourceclaims.resource.k8s.io", {{name_column(), "State", "Age"}, print_resource_claim}});
  to.push_back({"resourceslices.resource.k8s.io", {{name_column(), "Node", "Driver", "Pool", "Age"}, print_resource_slice}});
}

}  // namespace gs::apiserver::table
