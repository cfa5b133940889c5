// Volumes and their drivers.
#include <fmt/format.h>

#include "apiserver/table/printers.h"
#include "base/strings.h"

namespace gs::apiserver::table {
namespace {

std::string access_modes(const json::Array& modes) {
  std::vector<std::string> out;
  for (const auto& [mode, shown] : {std::pair("ReadWriteOnce", "RWO"), std::pair("ReadOnlyMany", "ROX"), std::pair("ReadWriteMany", "RWX"), std::pair("ReadWriteOncePod", "RWOP")}) {
    for (const Value& value : modes) {
      if (value.string() == nullptr || *value.string() != mode) continue;
      out.emplace_back(shown);
      break;
    }
  }
  return join(out, ",");
}

// The annotation of old counts before the field.
std::string storage_class(const Row& row) {
  const Value* annotations = row.object.at("metadata.annotations");
  const Value* old = annotations != nullptr ? annotations->find("volume.beta.kubernetes.io/storage-class") : nullptr;
  return old != nullptr ? scalar(old) : std::string(row.object.text("spec.storageClassName"));
}

std::string_view phase(const Row& row) { return row.object.text("metadata.deletionTimestamp").empty() ? row.object.text("status.phase") : "Terminating"; }

void print_volume(Row& row) {
  std::string claim;
  if (row.object.at("spec.claimRef") != nullptr) claim = fmt::format("{}/{}", row.object.text("spec.claimRef.namespace"), row.object.text("spec.claimRef.name"));
  const Value* capacity = row.object.at("spec.capacity.storage");
  row.name().add(capacity == nullptr ? "0" : scalar(capacity)).add(access_modes(row.list("spec.accessModes"))).text("spec.persistentVolumeReclaimPolicy");
  row.add(phase(row)).add(claim).add(storage_class(row)).text("spec.volumeAttributesClassName", "<unset>").text("status.reason").age().text("spec.volumeMode", "<unset>");
}

void print_claim(Row& row) {
  const bool bound = !row.object.text("spec.volumeName").empty();
  const Value* capacity = row.object.at("status.capacity.storage");
  row.name().add(phase(row)).text("spec.volumeName").add(!bound ? "" : capacity == nullptr ? "0" : scalar(capacity));
  row.add(bound ? access_modes(row.list("status.accessModes")) : "").add(storage_class(row)).text("spec.volumeAttributesClassName", "<unset>").age().text("spec.volumeMode", "<unset>");
}

void print_attributes_class(Row& row) { row.name().text("driverName").age(); }

void print_attachment(Row& row) {
  row.name().text("spec.attacher").text("spec.source.persistentVolumeName").text("spec.nodeName").boolean("status.attached").age();
}

void print_csi_node(Row& row) { row.name().add(static_cast<int64_t>(row.list("spec.drivers").size())).age(); }

void print_csi_driver(Row& row) {
  std::vector<std::string> audiences, modes;
  for (const Value& request : row.list("spec.tokenRequests")) audiences.emplace_back(request.text("audience"));
  for (const Value& mode : row.list("spec.volumeLifecycleModes")) modes.push_back(scalar(&mode));
  row.name().boolean("spec.attachRequired", true).boolean("spec.podInfoOnMount").boolean("spec.storageCapacity");
  row.add(row.object.at("spec.tokenRequests") == nullptr ? "<unset>" : join(audiences, ",")).boolean("spec.requiresRepublish");
  row.add(modes.empty() ? "<none>" : join(modes, ",")).age();
}

void print_csi_capacity(Row& row) {
  const Value* capacity = row.object.find("capacity");
  row.name().text("storageClassName").add(capacity == nullptr ? "<unset>" : scalar(capacity));
}

}  // namespace

void add_storage_printers(std::vector<std::pair<std::string, Printer>>& to) {
  to.push_back({"persistentvolumes", {{name_column(), "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass", "VolumeAttributesClass", "Reason", "Age", {"VolumeMode", "string", 1}}, print_volume}});
  to.push_back({"persistentvolumeclaims", {{name_column(), "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass", "Age", {"VolumeMode", "string", 1}}, print_claim}});
  to.push_back({"volumeattributesclasses.storage.k8s.io", {{name_column(), "DriverName", "Age"}, print_attributes_class}});
  to.push_back({"volumeattachments.storage.k8s.io", {{name_column(), {"Attacher", "string", 0, "name"}, "PV", "Node", {"Attached", "boolean"}, "Age"}, print_attachment}});
  to.push_back({"csinodes.storage.k8s.io", {{name_column(), {"Drivers", "integer"}, "Age"}, print_csi_node}});
  to.push_back({"csidrivers.storage.k8s.io",
                {{name_column(), {"AttachRequired", "boolean"}, {"PodInfoOnMount", "boolean"}, {"StorageCapacity", "boolean"}, "TokenRequests", {"RequiresRepublish", "boolean"}, "Modes", "Age"}, print_csi_driver}});
  to.push_back({"csistoragecapacities.storage.k8s.io", {{name_column(), "StorageClassName", "Capacity"}, print_csi_capacity}});
}

}  // namespace gs::apiserver::table
