// YAML from users' manifests and kubeconfigs: whatever is accepted is a value that JSON can hold.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "json/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto documents = gs::json::parse_yaml(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!documents) return 0;
  for (const gs::json::Value& document : *documents) {
    const auto again = gs::json::parse(document.dump());
    GS_CHECK(again && *again == document);
  }
  return 0;
}
