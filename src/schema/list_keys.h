// What names an item of a list of type map.
#pragma once

#include "schema/schema.h"

namespace gs::schema {

// Its key fields, as an object; those that it lacks are not there.
inline json::Value list_key(const Schema& list, const json::Value& item) {
  json::Value out{json::Object()};
  for (const std::string_view key : list.map_keys) {
    if (const json::Value* value = item.find(key)) out[key] = *value;
  }
  return out;
}

}  // namespace gs::schema
