// The columns that kubectl shows, by resource: Kubernetes' own printers for the built-in ones
// (k8s.io/kubernetes pkg/printers/internalversion/printers.go), always in their wide form, as an API
// server answers. Static and shared; descriptions of columns are left out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/table/cells.h"

namespace gs::apiserver::table {

struct Column {
  Column(const char* n, const char* t = "string", int p = 0, const char* f = "") : name(n), type(t), format(f), priority(p) {}
  std::string name;
  std::string type;
  std::string format;
  std::string description;
  int priority = 0;
};
inline Column name_column() { return Column("Name", "string", 0, "name"); }

struct Printer {
  std::vector<Column> columns;
  void (*print)(Row& row);  // appends as many cells as there are columns
};

// Null where Kubernetes has none for it.
const Printer* find_printer(std::string_view group, std::string_view resource);

// The parts of the table, each of a family of resources.
void add_pod_printers(std::vector<std::pair<std::string, Printer>>& to);
void add_workload_printers(std::vector<std::pair<std::string, Printer>>& to);
void add_network_printers(std::vector<std::pair<std::string, Printer>>& to);
void add_storage_printers(std::vector<std::pair<std::string, Printer>>& to);
void add_cluster_printers(std::vector<std::pair<std::string, Printer>>& to);

}  // namespace gs::apiserver::table
