// What deploy/ says that a hub needs: CRDs and roles, as they were when the program was built.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace gs::daemon {

// File names and their YAML.
const std::vector<std::pair<std::string_view, std::string_view>>& hub_manifests();

}  // namespace gs::daemon
