// Objects as servers send them: what parses is valid JSON again, and its parts are inside it.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "json/value.h"
#include "kube/object.h"
#include "kube/selector.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto object = gs::kube::Object::parse(text, {}, "v1", "Pod");
  if (object) {
    const auto value = gs::json::parse((*object)->json());
    if (!value || value->at("metadata.managedFields") != nullptr) std::abort();
    if (value->text("metadata.name") != (*object)->name()) std::abort();
  }
  const auto selector = gs::kube::LabelSelector::parse(text);
  if (selector && !gs::kube::LabelSelector::parse(selector->to_string())) std::abort();
  return 0;
}
