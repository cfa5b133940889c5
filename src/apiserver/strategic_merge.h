// The strategic merge patch (k8s.io/apimachinery/pkg/util/strategicpatch): a merge patch that knows from
// the type which lists are merged, by which key, and takes the directives $patch, $retainKeys,
// $setElementOrder and $deleteFromPrimitiveList. Pure.
#pragma once

#include "json/value.h"
#include "schema/schema.h"

namespace gs::apiserver {

// `schema` of the whole document; null: lists are replaced. kInvalid in Kubernetes' words.
Result<json::Value> strategic_merge(const schema::Schema* schema, json::Value document, const json::Value& patch);

}  // namespace gs::apiserver
