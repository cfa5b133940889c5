// Parts of a custom resource definition that its validation and its types read alike.
#pragma once

#include "json/value.h"

namespace gs::apiserver {

// spec.versions; empty where there are none.
inline const json::Array& versions_of_crd(const json::Value& crd) {
  static const json::Array none;
  const json::Value* list = crd.at("spec.versions");
  return list != nullptr && list->array() != nullptr ? *list->array() : none;
}

inline bool is_true(const json::Value& object, std::string_view path) {
  const json::Value* value = object.at(path);
  return value != nullptr && value->boolean().value_or(false);
}

}  // namespace gs::apiserver
