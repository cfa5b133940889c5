// Reading and writing objects of built-in types as Go does: json.Unmarshal into the type's struct, and json.Marshal of it.
#pragma once

#include <string>
#include <vector>

#include "schema/schema.h"

namespace gs::schema {

// Who reads: json.Unmarshal, or runtime.DefaultUnstructuredConverter, which has words of its own for what does not fit
// (k8s.io/apimachinery/pkg/runtime/converter.go). Strategic merge patches are read by the latter.
enum class Reader { kJson, kConverter };

// Makes of `value` what Go's struct of this schema would hold: unknown fields are taken out and told in `unknown` (by path),
// nulls are taken out. The first thing of a wrong type is returned in Go's words, empty: none. `schema` is a built-in struct.
std::string decode(const Schema& schema, json::Value& value, std::vector<std::string>& unknown, Reader reader = Reader::kJson);

// Fills in the defaults that the schema itself names (protocol: TCP), within what is there.
void fill_defaults(const Schema& schema, json::Value& value);

// Writes it as Go would: zero values are left out where the field says omitempty, and written where it does not.
void normalise(const Schema& schema, json::Value& value);

}  // namespace gs::schema
