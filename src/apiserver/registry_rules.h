// What differs between types when objects are written and deleted, as their strategies in
// k8s.io/kubernetes/pkg/registry have it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "apiserver/answer.h"
#include "json/value.h"

namespace gs::apiserver {

// AllowCreateOnUpdate.
bool created_by_update(const ResourceType& type);
// AllowUnconditionalUpdate: an update may say no version.
bool updated_unconditionally(const ResourceType& type);
// ReturnDeletedObject: a deletion answers with the object, not with a Status.
bool deletion_returns_object(const ResourceType& type);
// DefaultGarbageCollectionPolicy.
bool orphans_by_default(const ResourceType& type);
bool collects_garbage(const ResourceType& type);
// Deleted, with nothing that holds it back.
bool may_go(const ResourceType& type, const json::Value& object);
Answer needs_version(const ResourceType& type, std::string_view name);
// Where etcd has it.
std::string storage_key(const ResourceType& type, std::string_view ns, std::string_view name);

}  // namespace gs::apiserver
