// A schema as those hold it who never look inside.
#pragma once

#include <memory>

namespace gs::schema {

struct Schema;
// Immutable; shared by loops.
using SchemaPtr = std::shared_ptr<const Schema>;

}  // namespace gs::schema
