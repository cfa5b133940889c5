// Which of two resource versions is the later. Both answers are false where they cannot be compared
// (kube::compare_versions; KEP-5504).
#pragma once

#include <string_view>

#include "kube/object.h"

namespace gs::gateway {

// `version` is at or after `wanted`.
inline bool reached(std::string_view version, std::string_view wanted) {
  const auto order = kube::compare_versions(version, wanted);
  return order.comparable && order.order >= 0;
}
inline bool newer(std::string_view version, std::string_view than) {
  const auto order = kube::compare_versions(version, than);
  return order.comparable && order.order > 0;
}

}  // namespace gs::gateway
