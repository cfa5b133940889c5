#include "apiserver/table/printers.h"

#include <map>

namespace gs::apiserver::table {
namespace {

// By "resource.group", or the resource alone in the core group.
std::map<std::string, Printer, std::less<>> make_printers() {
  std::vector<std::pair<std::string, Printer>> all;
  add_pod_printers(all);
  add_workload_printers(all);
  add_network_printers(all);
  add_storage_printers(all);
  add_cluster_printers(all);
  return {all.begin(), all.end()};
}

}  // namespace

const Printer* find_printer(std::string_view group, std::string_view resource) {
  static const std::map<std::string, Printer, std::less<>> kPrinters = make_printers();
  std::string key(resource);
  if (!group.empty()) key.append(".").append(group);
  const auto found = kPrinters.find(key);
  return found == kPrinters.end() ? nullptr : &found->second;
}

}  // namespace gs::apiserver::table
