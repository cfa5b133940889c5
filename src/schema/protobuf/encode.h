// Objects of built-in types as protobuf, byte for byte as Go's generated code writes them: fields by number, those that are no
// pointers always, maps by key.
#pragma once

#include <string>
#include <string_view>

#include "schema/schema.h"

namespace gs::schema::protobuf {

// Appends the message of an object as decode() of schema/decode.h left it. What is of another type than the schema says (nothing
// that is stored is) counts as nothing.
void encode(const Schema& schema, const json::Value& value, std::string& out);

// Appends "k8s\0" and the runtime.Unknown of a message.
void write_envelope(std::string_view api_version, std::string_view kind, std::string_view raw, std::string& out);

// Appends one field of wire type 2.
void write_bytes(uint32_t number, std::string_view bytes, std::string& out);

}  // namespace gs::schema::protobuf
