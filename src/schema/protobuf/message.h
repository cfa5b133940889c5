// The built-in types as protobuf messages: which number is which field. Made from the table of Kubernetes' types when protobuf
// is first spoken; shared by all loops.
#pragma once

#include <cstdint>
#include <vector>

#include "schema/schema.h"

namespace gs::schema::protobuf {

// 6 and 7 are none; they come all the same.
enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kStartGroup = 3, kEndGroup = 4, kFixed32 = 5 };

struct Message;

struct Field {
  uint32_t number = 0;
  const Property* property = nullptr;
  // JSON knows no embedding: an embedded struct is a message here, and its fields stand in the outer object there.
  const Message* embedded = nullptr;
};

struct Message {
  std::vector<Field> fields;  // by number
  const Field* find(uint32_t number) const;
};

bool is_struct(const Schema& schema);
// Of a built-in struct; one without fields where the schema is none of those.
const Message& message_of(const Schema& schema);
// How a value of this schema is written; of a list, one of its items.
Wire wire_of(const Schema& schema);
// apiextensions.v1.JSONSchemaProps: what the types that are "props or something else" are about.
const Schema& schema_props();
// meta.v1.ObjectMeta.
const Schema& object_meta();

}  // namespace gs::schema::protobuf
