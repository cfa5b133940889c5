// The JSONPath of printer columns (k8s.io/client-go/util/jsonpath, of which a CRD may use the simple
// part): members, quoted members, indexes, slices' wildcards and filters on one comparison.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "json/value.h"

namespace gs::apiserver::table {

class JsonPath {
 public:
  // ".spec.replicas", ".status.conditions[?(@.type==\"Ready\")].status". kUnsupported for what is beyond.
  static Result<JsonPath> parse(std::string_view text);
  // The first of what it leads to; null where there is none.
  const json::Value* find(const json::Value& root) const;

 private:
  struct Step {
    enum class Kind { kMember, kIndex, kAll, kFilter } kind = Kind::kMember;
    std::string member;               // kMember
    int64_t index = 0;                // kIndex; negative: from the end
    std::vector<std::string> left;    // kFilter: a path within the element
    std::string op;                   // "==", "!=" or empty: it exists
    json::Value right;
  };
  class Parser;
  static const json::Value* walk(const json::Value& from, const std::vector<Step>& steps, size_t at);
  static bool holds(const Step& filter, const json::Value& element);
  std::vector<Step> steps_;
};

}  // namespace gs::apiserver::table
