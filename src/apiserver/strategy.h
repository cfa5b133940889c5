// What a type makes of a write: k8s.io/apiserver's strategies. The registry asks this and nothing else about types;
// what concerns the request (namespace, preconditions, uid, generateName) stays with the registry. Pure.
//
// A write goes: decode() what the body says (400), then the registry's own checks, then prepare() (422), then the store.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/answer.h"
#include "json/value.h"
#include "schema/field_error.h"

namespace gs::apiserver {

enum class Operation { kCreate, kUpdate, kUpdateStatus };
// The option fieldValidation: what becomes of fields that are unknown or twice there.
enum class FieldValidation { kIgnore, kWarn, kStrict };

struct Prepared {
  json::Value object;
  std::vector<std::string> warnings;  // for Warning headers
};

// The option as requests write it; empty is Warn. 422 for any other word.
Checked<FieldValidation> field_validation(const ResourceType& type, std::string_view option);

// An object of this type from the body's tree: kind and version are checked and set, unknown fields refused or told of
// and pruned, wrong types refused, defaults filled in. `body`: the text, to find fields that are twice there; empty where
// the tree came from a patch.
Checked<Prepared> decode(const ResourceType& type, json::Value object, std::string_view body, FieldValidation validation);

// A patch, as what came out of it is read.
struct PatchSource {
  // A strategic merge patch, which is read by a reader of its own; null: a JSON patch or a merge patch.
  const json::Value* strategic = nullptr;
  std::vector<std::string> strict;      // what is unknown or twice there in the patch's own text
  std::function<std::string()> object;  // what came out, for messages
};
// The same for what a patch made of an object; refused with 422 (k8s.io/apiserver/pkg/endpoints/handlers/patch.go).
Checked<Prepared> decode_patched(const ResourceType& type, json::Value object, PatchSource source, FieldValidation validation);

// What will be stored: parts that the operation may not touch are those of `old` (null on create), generation and status
// as the type has them; all that is wrong with it in one answer. The name is there already. `object` was decoded.
Checked<Prepared> prepare(const ResourceType& type, Operation operation, json::Value object, const json::Value* old);

// 400: a body that is no JSON, or no object; `why` in Go's words.
Answer unrecognized(const ResourceType& type, const std::string& why, std::string_view body);

// What a first deletion sets before the object is marked: the finalizer of a CRD and its condition. `now` is RFC 3339.
void prepare_deletion(const ResourceType& type, json::Value& object, std::string_view now);

// 422 with all causes.
Answer invalid(const ResourceType& type, std::string_view name, const schema::FieldErrors& errors);

}  // namespace gs::apiserver
