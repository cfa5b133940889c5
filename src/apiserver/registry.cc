#include "apiserver/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/conversion/conversion_memo.h"
#include "apiserver/registry_rules.h"
#include "apiserver/version_view.h"
#include "base/strings.h"
#include "schema/go_json.h"

namespace gs::apiserver {

using gateway::PatchType;
using json::Value;

namespace {

constexpr std::string_view kModified = "the object has been modified; please apply your changes to the latest version and try again";
// k8s.io/apiserver's SimpleNameGenerator: what is generated fits a label.
constexpr size_t kMaxGeneratedBase = 63 - 5;
constexpr int kNameAttempts = 8;

// validation of a precondition on the stored object, in etcd3's words.
Answer wrong_uid(const ResourceType& type, std::string_view ns, std::string_view name, std::string_view asked, std::string_view is) {
  return conflict(type, name,
                  fmt::format("StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: {}",
                              storage_key(type, ns, name), asked, is));
}

// A custom resource in another version than the stored may lose fields by a write that changes none of its own.
bool stored_alike(const ResourceType& type, Value next, const Stored& current) {
  if (!type.custom || shown_as_stored(type, current)) return true;
  to_storage(type, next);
  next.make_object().erase("kind");
  next.make_object().erase("apiVersion");
  return next == current.value();
}

}  // namespace

bool is_namespace(const ResourceType& type) { return type.group.empty() && type.resource == "namespaces"; }
bool deleting(const Value& object) { return !object.text("metadata.deletionTimestamp").empty(); }

bool has_entries(const Value& object, std::string_view path) {
  const Value* value = object.at(path);
  return value != nullptr && value->array() != nullptr && !value->array()->empty();
}

bool has_string(const Value& object, std::string_view path, std::string_view text) {
  const Value* value = object.at(path);
  if (value == nullptr || value->array() == nullptr) return false;
  return std::any_of(value->array()->begin(), value->array()->end(), [&](const Value& v) { return v.string() != nullptr && *v.string() == text; });
}

void drop_finalizer(Value& object, std::string_view finalizer) {
  Value* all = object["metadata"].make_object().find("finalizers");
  if (all == nullptr || all->array() == nullptr) return;
  std::erase_if(*all->array(), [&](const Value& v) { return v.string() != nullptr && *v.string() == finalizer; });
  if (all->array()->empty()) object["metadata"].make_object().erase("finalizers");
}

Registry::Registry(Loop& loop, ResourceTable& table, Store& store) : loop_(loop), table_(table), store_(store) {}

// k8s.io/apimachinery/pkg/util/rand: no vowels, nothing that looks like another.
std::string Registry::random_suffix() {
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (int i = 0; i < 5; ++i) out += kAlphabet[loop_.random().below(kAlphabet.size())];
  return out;
}

StoredPtr Registry::find(const ResourceType& type, const RestRequest& request) const {
  return store_.get(type, type.namespaced ? request.ns : "", request.name);
}

bool Registry::has_subresource(const ResourceType& type, std::string_view subresource) {
  return type.subresource(subresource) != nullptr || (subresource == "status" && type.has_status) || (subresource == "scale" && type.has_scale);
}

bool Registry::waits(const ResourceType& type) { return type.asks_webhook() && type.converter->missing(); }

bool Registry::storable(const ResourceType& type, const Value& object) {
  if (!type.asks_webhook()) return true;
  Value stored = object;
  to_storage(type, stored);
  return !waits(type);
}

void Registry::tell(Answer& answer, const ResourceType& type, const StoredPtr& written) {
  if (type.asks_webhook()) {
    answer.written = written;
  } else {
    answer.body = shown_text(type, *written);
  }
}

StoredPtr Registry::commit(const ResourceType& type, const StoredPtr& before, Value object, AppliedPtr applied) {
  to_storage(type, object);
  const StoredPtr after = store_.put(type, std::move(object), std::move(applied));
  for (Follower* follower : followers_) follower->changed(type, before, after);
  return after;
}

StoredPtr Registry::erase(const ResourceType& type, const StoredPtr& before) {
  const StoredPtr last = store_.erase(type, before->ns, before->name);
  for (Follower* follower : followers_) follower->changed(type, before, nullptr);
  return last;
}

StoredPtr Registry::change(const ResourceType& type, const StoredPtr& current, Value next) {
  if (may_go(type, next)) {
    erase(type, current);
    return nullptr;
  }
  return commit(type, current, std::move(next), current->applied);
}

Checked<Prepared> Registry::read(const ResourceType& type, const RestRequest& request, Result<Value> parsed, std::string_view body) const {
  if (!parsed) return refuse(unrecognized(type, parsed.error().message, body));
  const Checked<FieldValidation> validation = field_validation(type, request.option("fieldValidation"));
  if (!validation) return refuse(validation.error());
  return addressed(type, request, decode(type, *std::move(parsed), body, *validation));
}

Checked<Prepared> Registry::addressed(const ResourceType& type, const RestRequest& request, Checked<Prepared> out) const {
  if (!out) return out;
  const auto refused = [&](const std::string& why) { return refuse(with_warnings(bad_request(why), out->warnings)); };
  Value& metadata = out->object["metadata"];
  const std::string ns(metadata.text("namespace")), name(metadata.text("name"));
  if (type.namespaced && !ns.empty() && ns != request.ns) return refused("the namespace of the provided object does not match the namespace sent on the request");
  if (!request.name.empty() && name.empty() && request.patch != PatchType::kApply) {
    return refused(fmt::format("the name of the object ({} based on URL) was undeterminable: name must be provided", request.name));
  }
  if (!request.name.empty() && name != request.name && !name.empty()) {
    return refused(fmt::format("the name of the object ({}) does not match the name on the URL ({})", name, request.name));
  }
  if (type.namespaced) {
    metadata["namespace"] = request.ns;
  } else {
    metadata.make_object().erase("namespace");
  }
  if (!request.name.empty()) metadata["name"] = request.name;
  to_judged(type, out->object);
  return out;
}

Answer Registry::in_version(const ResourceType& type, Answer answer) const {
  if (&type.judged_as() == &type || !answer.is_object || answer.status >= 300) return answer;
  Result<Value> object = json::parse(answer.body);
  if (!object) return answer;
  from_judged(type, *object);
  answer.body = object->dump();
  return answer;
}

// k8s.io/apiserver's admission plugin NamespaceLifecycle.
Answer Registry::check_namespace(const ResourceType& type, std::string_view ns, std::string_view name) const {
  if (!type.namespaced) return Answer();
  const ResourceTypePtr namespaces = table_.find("", "namespaces");
  const StoredPtr found = store_.get(*namespaces, "", ns);
  if (!found) return not_found(*namespaces, ns);
  if (found->json.find("\"deletionTimestamp\"") == std::string_view::npos || !deleting(found->value())) return Answer();
  return forbidden(type, name, fmt::format("unable to create new content in namespace {} because it is being terminated", ns),
                   fmt::format(R"([{{"reason":"NamespaceTerminating","message":"namespace {} is being terminated","field":"metadata.namespace"}}])", ns));
}

Answer Registry::generate_name(const ResourceType& type, const std::string& ns, Value& metadata) {
  const std::string base(metadata.text("generateName"));
  if (!metadata.text("name").empty() || base.empty()) return Answer();
  if (gate_ != nullptr && !gate_->draft().name.empty()) {
    metadata["name"] = gate_->draft().name;
    return Answer();
  }
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    const std::string name = base.substr(0, kMaxGeneratedBase) + random_suffix();
    metadata["name"] = name;
    if (store_.get(type, ns, name)) continue;
    if (gate_ != nullptr) gate_->draft().name = name;
    return Answer();
  }
  return failure(409, "AlreadyExists", fmt::format("{} \"{}\" already exists, the server was not able to generate a unique name for the object", type.qualified(), metadata.text("name")));
}

Answer Registry::create(const ResourceType& type, const RestRequest& request, std::string_view body) {
  if (!request.subresource.empty()) return create_subresource(type, request, body);
  Checked<Prepared> object = read(type, request, schema::parse_as_go(body), body);
  if (!object) return object.error();
  const Warnings warnings = std::exchange(object->warnings, {});
  return with_warnings(in_version(type, create_object(type.judged_as(), request, *std::move(object), nullptr)), warnings);
}

Answer Registry::create_object(const ResourceType& type, const RestRequest& request, Prepared decoded, AppliedPtr applied) {
  Value& object = decoded.object;
  if (std::optional<Answer> stop = admit_create(type, request, object)) return *std::move(stop);
  Value& metadata = object["metadata"];
  const std::string ns = type.namespaced ? request.ns : "";
  Answer refusal = generate_name(type, ns, metadata);
  if (refusal.status != 200) return refusal;
  const std::string name(metadata.text("name"));
  refusal = check_namespace(type, ns, name);
  if (refusal.status != 200) return refusal;
  if (guard_ != nullptr) {
    if (std::optional<Answer> refused = guard_->refuses(type, request, object, nullptr)) return *std::move(refused);
  }
  if (const std::string_view version = metadata.text("resourceVersion"); !version.empty() && version != "0") {
    return failure(500, "", "resourceVersion should not be set on objects to be created");
  }
  metadata["uid"] = fresh_uid();
  metadata["creationTimestamp"] = creation_time();
  for (const char* field : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"}) metadata.make_object().erase(field);
  if (is_namespace(type)) {
    if (!has_string(object, "spec.finalizers", "kubernetes")) object["spec"]["finalizers"].make_array().emplace_back("kubernetes");
    metadata["labels"]["kubernetes.io/metadata.name"] = name;
  }
  Checked<Prepared> prepared = prepare(type, Operation::kCreate, std::move(object), nullptr);
  if (!prepared) return prepared.error();
  if (std::optional<Answer> stop = admit(admission::Phase::kValidating, request, prepared->object, nullptr)) return with_warnings(*std::move(stop), prepared->warnings);
  if (!request.dry_run() && !storable(type, prepared->object)) return admission::undecided();
  if (const StoredPtr there = store_.get(type, ns, name)) {
    const bool leaving = there->json.find("\"deletionTimestamp\"") != std::string_view::npos && deleting(there->value());
    Answer refused = leaving ? failure(409, "AlreadyExists", fmt::format("object is being deleted: {} \"{}\" already exists", type.qualified(), name), details_of(type, name)) : already_exists(type, name);
    return with_warnings(std::move(refused), prepared->warnings);
  }
  Answer answer(201, "");
  answer.is_object = true;
  answer.warnings = std::move(prepared->warnings);
  if (request.dry_run()) {
    answer.body = prepared->object.dump();
  } else {
    tell(answer, type, commit(type, nullptr, std::move(prepared->object), std::move(applied)));
  }
  return answer;
}

Answer Registry::update(const ResourceType& type, const RestRequest& request, std::string_view body) {
  if (!request.subresource.empty() && !has_subresource(type, request.subresource)) return no_such_resource();
  const StoredPtr current = find(type, request);
  if (request.subresource == "scale") {
    if (!current) return not_found(type.judged_as(), request.name);
    const Checked<Prepared> scale = read_scale(request, body);
    if (!scale) return scale.error();
    return with_warnings(replace_scale(type, request, current, scale->object), scale->warnings);
  }
  Checked<Prepared> object = read(type, request, schema::parse_as_go(body), body);
  if (!object) return object.error();
  const Warnings warnings = std::exchange(object->warnings, {});
  return with_warnings(in_version(type, update_object(type, request, current, *std::move(object))), warnings);
}

Answer Registry::update_object(const ResourceType& type, const RestRequest& request, const StoredPtr& current, Prepared object) {
  if (!current) {
    if (!request.subresource.empty() || !created_by_update(type.judged_as())) return not_found(type.judged_as(), request.name);
    // The uid is a precondition, which nothing meets.
    const std::string uid(object.object.text("metadata.uid"));
    if (!uid.empty()) return wrong_uid(type.judged_as(), type.namespaced ? request.ns : "", request.name, uid, "");
    object.object["metadata"].make_object().erase("resourceVersion");
    return create_object(type.judged_as(), request, std::move(object), nullptr);
  }
  return replace(type.judged_as(), request, current, std::move(object), current->applied);
}

Answer Registry::replace(const ResourceType& type, const RestRequest& request, const StoredPtr& current, Prepared wanted, AppliedPtr applied) {
  const Value old = shown(type, *current);
  const std::string version(wanted.object.text("metadata.resourceVersion")), uid(wanted.object.text("metadata.uid"));
  if (!version.empty() && !parse_uint(version)) return failure(500, "", fmt::format("strconv.ParseUint: parsing \"{}\": invalid syntax", version));
  // An update makes it a precondition, a patch does not.
  if (!uid.empty() && uid != old.text("metadata.uid") && request.verb != gateway::Verb::kPatch) {
    return wrong_uid(type, current->ns, current->name, uid, old.text("metadata.uid"));
  }
  const bool scale = request.subresource == "scale";  // of which replace_scale() has asked
  std::optional<Answer> stop = scale ? std::nullopt : admit(admission::Phase::kMutating, request, wanted.object, &old);
  if (stop) return *std::move(stop);
  if (guard_ != nullptr) {
    if (std::optional<Answer> refused = guard_->refuses(type, request, wanted.object, &old)) return *std::move(refused);
  }
  if ((version.empty() || version == "0") && !updated_unconditionally(type)) return needs_version(type, request.name);
  if (!version.empty() && version != "0" && version != old.text("metadata.resourceVersion")) return conflict(type, request.name, std::string(kModified));
  if (is_namespace(type) && request.subresource == "finalize") return finalize_namespace(type, request, current, std::move(wanted.object));
  const bool main = request.subresource.empty() || scale || request.subresource == "ephemeralcontainers" || request.subresource == "resize";
  if (is_namespace(type)) {
    if (const Value* finalizers = old.at("spec.finalizers")) wanted.object["spec"]["finalizers"] = *finalizers;
    wanted.object["metadata"]["labels"]["kubernetes.io/metadata.name"] = request.name;
  }
  Checked<Prepared> prepared = prepare(type, main ? Operation::kUpdate : Operation::kUpdateStatus, std::move(wanted.object), &old);
  if (!prepared) return prepared.error();
  Value next = std::move(prepared->object);
  next["metadata"]["resourceVersion"] = old.text("metadata.resourceVersion");
  if ((stop = admit_update(request, next, old))) return with_warnings(*std::move(stop), prepared->warnings);
  Answer answer(200, "");
  answer.is_object = true;
  answer.warnings = std::move(prepared->warnings);
  if (waits(type) || (!request.dry_run() && !storable(type, next))) return admission::undecided();
  const bool same = next == old && stored_alike(type, next, *current);
  if (same || request.dry_run()) {
    // Who applied what is remembered beside the object; it makes no new version.
    if (same && !request.dry_run() && applied != current->applied) store_.remember(type, current, std::move(applied));
    answer.body = same && !type.asks_webhook() ? shown_text(type, *current) : next.dump();
    return answer;
  }
  if (may_go(type, next)) {
    // The update that takes the last finalizer away is the deletion: no version has the object without it.
    answer.body = next.dump();
    erase(type, current);
    return answer;
  }
  if (scale && type.asks_webhook()) answer.body = next.dump();
  const StoredPtr written = commit(type, current, std::move(next), std::move(applied));
  if (answer.body.empty()) tell(answer, type, written);
  return answer;
}

}  // namespace gs::apiserver
