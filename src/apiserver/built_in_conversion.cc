#include "apiserver/built_in_conversion.h"

#include <utility>

namespace gs::apiserver {
namespace {

using json::Value;

// events.k8s.io/v1 and core/v1: the same fields under other names.
constexpr std::pair<const char*, const char*> kEventFields[] = {{"regarding", "involvedObject"},
                                                                {"note", "message"},
                                                                {"reportingController", "reportingComponent"},
                                                                {"deprecatedSource", "source"},
                                                                {"deprecatedFirstTimestamp", "firstTimestamp"},
                                                                {"deprecatedLastTimestamp", "lastTimestamp"},
                                                                {"deprecatedCount", "count"}};

void rename(Value& object, const char* from, const char* to) {
  json::Object& members = object.make_object();
  Value* found = members.find(from);
  if (found == nullptr) return;
  Value moved = std::move(*found);
  members.erase(from);
  members[to] = std::move(moved);
}

}  // namespace

void convert_built_in(const ResourceType& type, bool to_stored, Value& object) {
  if (type.resource == "events") {
    for (const auto& [theirs, kept] : kEventFields) to_stored ? rename(object, theirs, kept) : rename(object, kept, theirs);
  } else if (type.resource == "horizontalpodautoscalers") {
    to_stored ? autoscaler_to_v2(object) : autoscaler_to_v1(object);
  }
}

}  // namespace gs::apiserver
