// Objects in the version that a request speaks: what is stored in another, or by another state of a schema, is converted as it
// is read, and back before it is stored. Built-in types as their conversions in k8s.io/kubernetes have it; custom resources
// as apiextensions' decoders do: pruned and defaulted by the schema of the stored version, converted where a webhook does that
// (conversion/conversion_memo.h), then pruned by that of the request. But for that pure.
#pragma once

#include <string>

#include "apiserver/resource_table.h"
#include "apiserver/store.h"
#include "json/value.h"

namespace gs::apiserver {

// The stored bytes are what this version shows.
bool shown_as_stored(const ResourceType& type, const Stored& object);
// With the kind and apiVersion of `type`.
json::Value shown(const ResourceType& type, const Stored& object);
// The same as text, with kind and apiVersion or without (as Stored::json).
std::string shown_text(const ResourceType& type, const Stored& object);
std::string shown_json(const ResourceType& type, const Stored& object);

// An object as `type` was asked for becomes what is judged (ResourceType::judged_as), and what was answered of it the other way.
void to_judged(const ResourceType& type, json::Value& object);
void from_judged(const ResourceType& type, json::Value& object);

// What will be stored of an object that was judged as `type`.
void to_storage(const ResourceType& type, json::Value& object);

}  // namespace gs::apiserver
