// What the cells of a Table are made of: helpers of Kubernetes' printers (k8s.io/kubernetes
// pkg/printers/internalversion/printers.go and apimachinery's util/duration). Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "json/value.h"

namespace gs::apiserver::table {

using json::Value;

// One row in the making: an object and the cells it has so far.
class Row {
 public:
  Row(const Value& o, WallTime n) : object(o), now(n) {}
  const Value& object;
  WallTime now;
  json::Array cells;
  const char* completed = nullptr;  // the reason of the condition Completed, where the row is of a pod that ended

  Row& add(Value cell) {
    cells.push_back(std::move(cell));
    return *this;
  }
  Row& name() { return text("metadata.name"); }
  Row& age() { return add(since("metadata.creationTimestamp")); }
  // The string at a path, else the fallback.
  Row& text(std::string_view path, std::string_view fallback = "") {
    const std::string_view found = object.text(path);
    return add(found.empty() ? fallback : found);
  }
  // The number at a path, or 0.
  Row& number(std::string_view path, int64_t fallback = 0) { return add(integer(path, fallback)); }
  Row& boolean(std::string_view path, bool fallback = false);
  int64_t integer(std::string_view path, int64_t fallback = 0) const;
  // How long ago a time is; "<unknown>" without one.
  std::string since(std::string_view path) const;
  // The elements of the array at a path; empty where there is none.
  const json::Array& list(std::string_view path) const;
  size_t members(std::string_view path) const;
};

const json::Array& elements(const Value* value);
int64_t integer_of(const Value* value, int64_t fallback = 0);
bool is_true(const Value* value);
// duration.HumanDuration: "5m30s", "3h".
std::string human_duration(Duration d);
std::string human_since(std::string_view rfc3339, WallTime now);
// "a=b,c=d" in the order of keys; "<none>" where empty.
std::string format_labels(const Value* labels);
std::string format_label_selector(const Value* selector);
// Of a list of containers.
std::string container_names(const json::Array& containers);
std::string container_images(const json::Array& containers);
// "a,b,c + 2 more..."
std::string first_three(const std::vector<std::string>& list, std::string_view if_empty);
// A number or string, as IntOrString and Quantity print.
std::string scalar(const Value* value);
// The condition of a type among an object's; null where absent.
const Value* condition(const json::Array& conditions, std::string_view type);
bool condition_true(const json::Array& conditions, std::string_view type);

}  // namespace gs::apiserver::table
