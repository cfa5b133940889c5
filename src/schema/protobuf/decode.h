// Objects of built-in types from protobuf, as Kubernetes' clients send them and API servers answer.
#pragma once

#include <string>
#include <string_view>

#include "schema/schema.h"

namespace gs::schema::protobuf {

// What is around an object: "k8s\0" and a runtime.Unknown.
struct Envelope {
  std::string_view api_version;
  std::string_view kind;
  std::string_view raw;  // the object's message
};

// Empty, or what is wrong in the words of k8s.io/apimachinery. What is read refers to `bytes`.
std::string read_envelope(std::string_view bytes, Envelope& out);

// Makes of `value` what Go would write as JSON of the message: fields that are zero are left out where they are omitempty. Fields
// that the schema does not know are skipped. Empty, or what is wrong. `schema` is a built-in struct.
std::string decode(const Schema& schema, std::string_view bytes, json::Value& value);

}  // namespace gs::schema::protobuf
