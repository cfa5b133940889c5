// What a CRD's schema makes of objects before they are judged: fields it does not know go, defaults come.
#pragma once

#include <string>
#include <vector>

#include "schema/schema.h"

namespace gs::schema {

// Takes out what the schema does not specify (pruning.PruneWithOptions). The paths of what went, sorted. The root is an
// embedded resource: its apiVersion, kind and metadata stay.
std::vector<std::string> prune(const Schema& schema, json::Value& object);

// Takes out nulls where the schema has neither nullable nor a default, then fills in defaults; idempotent.
void apply_defaults(const Schema& schema, json::Value& object);

}  // namespace gs::schema
