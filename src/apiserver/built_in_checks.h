// Small checks that validation of built-in types is made of. Each adds what is wrong, in Kubernetes' words.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/resource_table.h"
#include "json/value.h"
#include "schema/field_error.h"
#include "schema/names.h"

namespace gs::apiserver::checks {

using json::Value;
using schema::FieldErrors;

// The items of a list; none where there is no list.
const json::Array& items(const Value* list);
inline const json::Array& items_at(const Value& object, std::string_view path) { return items(object.at(path)); }
inline std::string text(const Value& object, std::string_view path) { return std::string(object.text(path)); }
std::optional<int64_t> integer(const Value& object, std::string_view path);
bool truth(const Value& object, std::string_view path);
bool there(const Value& object, std::string_view path);

// "must be greater than or equal to 0" where it is there and is not.
void non_negative(const Value& object, std::string_view field, const std::string& path, FieldErrors& errors);
// One of these words. `needed`: Required value where it is empty.
void one_of(const Value& object, std::string_view field, const std::string& path, const std::vector<std::string>& words, bool needed, FieldErrors& errors);
void named(const std::string& path, const std::string& name, schema::Problems (*rule)(std::string_view), FieldErrors& errors);
void needed(const Value& object, std::string_view field, const std::string& path, FieldErrors& errors);
// Whether a member is not what it was.
bool differs(const Value& a, const Value& b, std::string_view field);
// "field is immutable" where `old` has another value.
void immutable(const Value& object, const Value& old, std::string_view field, FieldErrors& errors);
// metav1.LabelSelector: keys, values, operators.
void label_selector(const Value* selector, const std::string& path, FieldErrors& errors);
bool selects(const Value* selector, const Value* labels);
// A quantity as a number, for comparing, and as it is shown.
double quantity(const Value& value);
std::string quantity_text(const Value& value);
// An integer that is not negative or a percentage.
void int_or_percent(const Value& object, std::string_view field, const std::string& path, FieldErrors& errors);

// Pod specs: containers, volumes, probes. `policies`: the restart policies that its owner allows; empty: any.
void pod_spec(const Value* spec, const std::string& path, const std::vector<std::string>& policies, FieldErrors& errors);

// Kinds that are validated in files of their own: Deployments and the like, jobs, pods; RBAC, network policies.
void workloads(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors);
void access(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors);
// Of both kinds of webhook configurations.
void webhooks(const Value& object, FieldErrors& errors);
// Whom a webhook is called at, and in which versions of its reviews; `none`: what is said where there are none.
void webhook_client(const Value* client, const std::string& at, FieldErrors& errors);
void review_versions(const Value* list, const std::string& at, const char* none, FieldErrors& errors);
void autoscaler(const Value& object, const Value* old, FieldErrors& errors);
void ingress(const Value& object, const Value* old, FieldErrors& errors);
void endpoint_slice(const Value& object, const Value* old, FieldErrors& errors);
// A status that is written alone.
void status(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors);
void event(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors);

}  // namespace gs::apiserver::checks
