// Label selectors as users write them ("a=b,c in (x,y),!d,e>5") and as objects hold them (LabelSelector).
// k8s.io/apimachinery/pkg/labels/selector.go.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "json/value.h"

namespace gs::kube {

class LabelSelector {
 public:
  // Empty text selects everything. kInvalid in Kubernetes' words.
  static Result<LabelSelector> parse(std::string_view text);
  // {matchLabels, matchExpressions}; `path` names the field in errors. Empty selects everything.
  static Result<LabelSelector> from_object(const json::Value& value, std::string_view path);

  bool matches(std::string_view raw_labels_json) const;
  bool empty() const { return requirements_.empty(); }
  // Canonical text: requirements sorted by key, as it goes into a query.
  std::string to_string() const;

 private:
  enum class Operator { kIn, kNotIn, kExists, kDoesNotExist, kGreaterThan, kLessThan };
  // As Go's strconv.ParseInt reads it.
  static std::optional<int64_t> integer(std::string_view text);
  struct Requirement {
    std::string key;
    Operator op = Operator::kExists;
    std::vector<std::string> values;
    bool holds(const std::string* value) const;
    std::string to_string() const;
  };
  class Parser;
  static Result<Requirement> expression(const json::Value& value, const std::string& path);
  std::vector<Requirement> requirements_;
};

}  // namespace gs::kube
