// Conversions that need no delegate: the same schema in another version, and fields that were renamed or moved. The fall-back
// where a delegate cannot answer in time, or all there is. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gs::webhook {

// One rule serves both directions unless there is one of its own for the other.
struct ConversionRule {
  struct Move {
    Move(std::string f, std::string t) : from(std::move(f)), to(std::move(t)) {}
    std::string from, to;  // paths of object members, "spec.replicas"; never within metadata
    bool operator==(const Move&) const = default;
  };
  std::string from, to;  // versions: "v1", "v2"
  std::vector<Move> moves;  // in order; none: only apiVersion changes
  bool operator==(const ConversionRule&) const = default;
};

class ConversionRules {
 public:
  ConversionRules() = default;
  // kInvalid names the rule and the field ("[0].moves[1].from: ...").
  static Result<ConversionRules> make(std::vector<ConversionRule> rules);

  bool empty() const { return rules_.empty(); }
  // kNotFound: no rule leads from the object's version to the wanted one; kInvalid: a field stands where another should go.
  Result<std::string> convert(std::string_view object, std::string_view desired_api_version) const;

 private:
  const ConversionRule* find(std::string_view from, std::string_view to) const;
  std::vector<ConversionRule> rules_;
};

}  // namespace gs::webhook
