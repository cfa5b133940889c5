// The objects and patches of generated sequences: a handful of types, values mostly good, some not.
#pragma once

#include <string>
#include <vector>

#include "json/value.h"
#include "test/differential/sequence.h"

namespace gs::differential {

struct Kind {
  std::string kind;
  std::string api_version;
  std::string collection;  // path
  bool has_status = false;
  bool has_scale = false;
  bool custom = false;
};
const std::vector<Kind>& kinds();
// Makes what the sequences rely on: the custom resource among the kinds.
Sequence preparation();

// Called from inside a rapidcheck property.
json::Value generated_object(const Kind& kind, const std::string& name);
json::Value generated_merge_patch(const Kind& kind);
json::Value generated_json_patch(const Kind& kind);

}  // namespace gs::differential
