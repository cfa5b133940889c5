// Deletion: k8s.io/apiserver's registry/generic/registry/store.go and registry/rest/delete.go.
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/crd_strategy.h"
#include "apiserver/registry.h"
#include "apiserver/registry_rules.h"
#include "apiserver/representation.h"
#include "apiserver/selection.h"
#include "apiserver/strategy.h"
#include "apiserver/version_view.h"

namespace gs::apiserver {
namespace {

using json::Value;

constexpr std::string_view kImmortal[] = {"default", "kube-system", "kube-public"};

std::optional<Answer> check_preconditions(const ResourceType& type, const StoredPtr& current, const Value& object, const DeleteOptions& options) {
  const std::string_view uid = object.text("metadata.uid"), version = object.text("metadata.resourceVersion");
  ResourceType by_kind;  // rest.BeforeDelete names the kind where others name the resource
  by_kind.group = type.group;
  by_kind.resource = type.kind;
  const bool ns = is_namespace(type);
  if (options.uid && *options.uid != uid) {
    return ns ? conflict(type, current->name, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", *options.uid, uid))
              : conflict(by_kind, current->name,
                         fmt::format("the UID in the precondition ({}) does not match the UID in record ({}). The object might have been deleted and then recreated", *options.uid, uid));
  }
  if (options.resource_version && *options.resource_version != version) {
    return ns ? conflict(type, current->name, fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object meta: {}", *options.resource_version, version))
              : conflict(by_kind, current->name,
                         fmt::format("the ResourceVersion in the precondition ({}) does not match the ResourceVersion in record ({}). The object might have been modified", *options.resource_version, version));
  }
  return std::nullopt;
}

// Which finalizers of the garbage collector an object has while it is deleted.
void set_collection_finalizers(const ResourceType& type, Value& object, const DeleteOptions& options) {
  if (!collects_garbage(type)) return;
  bool orphan = has_string(object, "metadata.finalizers", kOrphanFinalizer), foreground = has_string(object, "metadata.finalizers", kForegroundFinalizer);
  const bool either = orphan || foreground;
  if (options.orphan) {
    orphan = *options.orphan;
    foreground = false;
  } else if (options.propagation) {
    orphan = *options.propagation == Propagation::kOrphan;
    foreground = *options.propagation == Propagation::kForeground;
  } else if (!either) {
    orphan = orphans_by_default(type);
  }
  const auto set = [&](std::string_view finalizer, bool wanted) {
    if (has_string(object, "metadata.finalizers", finalizer) == wanted) return;
    if (!wanted) return drop_finalizer(object, finalizer);
    object["metadata"]["finalizers"].make_array().emplace_back(finalizer);
  };
  set(kOrphanFinalizer, orphan);
  set(kForegroundFinalizer, foreground);
}

void grow_generation(Value& object) {
  const Value* generation = object.at("metadata.generation");
  const int64_t was = generation != nullptr ? generation->integer().value_or(0) : 0;
  if (was > 0) object["metadata"]["generation"] = was + 1;
}

// What graceful deletion makes of a pod: kNow without a kubelet that would have to stop it.
enum class Graceful { kNow, kLater, kPending };

Graceful delete_pod_gracefully(Value& pod, const DeleteOptions& options, WallTime now) {
  const auto number = [&](std::string_view path) {
    const Value* found = pod.at(path);
    return found != nullptr ? found->integer() : std::nullopt;
  };
  if (deleting(pod)) {
    const int64_t had = number("metadata.deletionGracePeriodSeconds").value_or(0);
    if (had == 0) return Graceful::kNow;
    if (!options.grace_seconds || std::max<int64_t>(*options.grace_seconds, 0) >= had) return Graceful::kPending;
    const int64_t period = *options.grace_seconds < 0 ? 1 : *options.grace_seconds;
    const auto end = parse_rfc3339(pod.text("metadata.deletionTimestamp")).value_or(now) - std::chrono::seconds(had) + std::chrono::seconds(period);
    pod["metadata"]["deletionTimestamp"] = format_rfc3339(std::max(end, now));
    pod["metadata"]["deletionGracePeriodSeconds"] = end < now && period != 0 ? 1 : period;
    return period == 0 ? Graceful::kNow : Graceful::kLater;
  }
  int64_t period = options.grace_seconds.value_or(number("spec.terminationGracePeriodSeconds").value_or(0));
  const std::string_view phase = pod.text("status.phase");
  if (pod.text("spec.nodeName").empty() || phase == "Failed" || phase == "Succeeded") period = 0;
  if (period < 0) period = 1;
  pod["metadata"]["deletionTimestamp"] = format_rfc3339(now + std::chrono::seconds(period));
  pod["metadata"]["deletionGracePeriodSeconds"] = period;
  grow_generation(pod);
  return period == 0 ? Graceful::kNow : Graceful::kLater;
}

void mark_deleting(const ResourceType& type, Value& object, WallTime now) {
  if (is_crd(type)) {
    // Its own storage marks it in fewer words.
    if (!deleting(object)) object["metadata"]["deletionTimestamp"] = format_rfc3339(now);
    return;
  }
  if (!deleting(object)) {
    grow_generation(object);
    object["metadata"]["deletionTimestamp"] = format_rfc3339(now);
  } else if (const auto at = parse_rfc3339(object.text("metadata.deletionTimestamp")); at && *at > now) {
    object["metadata"]["deletionTimestamp"] = format_rfc3339(now);
  }
  object["metadata"]["deletionGracePeriodSeconds"] = 0;
}

}  // namespace

Answer Registry::remove(const ResourceType& type, const RestRequest& request, std::string_view body) {
  if (!request.subresource.empty()) return has_subresource(type, request.subresource) ? method_not_allowed() : no_such_resource();
  const Checked<DeleteOptions> options = read_delete_options(request, body);
  if (!options) return options.error();
  const StoredPtr current = find(type, request);
  if (is_namespace(type) && std::find(std::begin(kImmortal), std::end(kImmortal), request.name) != std::end(kImmortal)) {
    return forbidden(type, request.name, "this namespace may not be deleted");
  }
  if (!current) return not_found(type.judged_as(), request.name);
  Answer answer = in_version(type, remove_object(type.judged_as(), &request, current, *options));
  // It goes later, and somebody asked for cascading deletion in the old way.
  if (answer.status == 200 && options->orphan && !*options->orphan && answer.is_object && store_.get(type, current->ns, current->name)) answer.status = 202;
  return answer;
}

Answer Registry::remove_object(const ResourceType& type, const StoredPtr& current, const DeleteOptions& options) { return remove_object(type, nullptr, current, options); }

// With finalizers it is marked, and goes with the last of them. `request` null: nobody is asked.
Answer Registry::remove_object(const ResourceType& type, const RestRequest* request, const StoredPtr& current, const DeleteOptions& options) {
  const Value before = shown(type, *current);
  if (auto refusal = check_preconditions(type, current, before, options)) return *std::move(refusal);
  const auto show = [&](const Value& object) {
    Answer answer(200, object.dump());
    answer.is_object = true;
    return answer;
  };
  const auto gone = [&](const Value& object) { return deletion_returns_object(type) ? show(object) : deleted(type, current->name, before.text("metadata.uid")); };
  Value object = before;
  Graceful graceful = Graceful::kNow;
  const bool pod = type.group.empty() && type.resource == "pods";
  if (pod) {
    graceful = delete_pod_gracefully(object, options, loop_.wall_now());
    if (graceful == Graceful::kPending) return gone(before);
  }
  if (request != nullptr) {
    for (const admission::Phase phase : {admission::Phase::kMutating, admission::Phase::kValidating}) {
      if (std::optional<Answer> stop = admit_deletion(phase, *request, options, before)) return *std::move(stop);
    }
  }
  set_collection_finalizers(type, object, options);
  prepare_deletion(type, object, format_rfc3339(loop_.wall_now()));
  const bool held = has_entries(object, "metadata.finalizers") || (is_namespace(type) && has_entries(object, "spec.finalizers"));
  if (waits(type)) return admission::undecided();
  if (!held && graceful == Graceful::kNow) {
    if (options.dry_run) return gone(object);
    if (!deletion_returns_object(type)) {
      erase(type, current);
      return gone(object);
    }
    Value last = shown(type, *erase(type, current));
    // A pod that was leaving is told as this deletion makes it.
    if (pod && deleting(before)) last["metadata"]["deletionGracePeriodSeconds"] = *object.at("metadata.deletionGracePeriodSeconds");
    return gone(last);
  }
  if (graceful == Graceful::kNow && !is_namespace(type)) mark_deleting(type, object, loop_.wall_now());
  if (is_namespace(type) && !deleting(before)) {
    object["metadata"]["deletionTimestamp"] = format_rfc3339(loop_.wall_now());
    object["status"]["phase"] = "Terminating";
  }
  if (object == before || options.dry_run) return show(object);
  if (!storable(type, object)) return admission::undecided();
  Answer answer(200, "");
  tell(answer, type, commit(type, current, std::move(object), current->applied));
  answer.is_object = true;
  return answer;
}

Answer Registry::remove_collection(const ResourceType& type, const RestRequest& request, std::string_view body) {
  const Checked<DeleteOptions> options = read_delete_options(request, body);
  if (!options) return options.error();
  const Checked<Selection> selection = Selection::from(type, request);
  if (!selection) return selection.error();
  ListMeta meta;
  meta.version = store_.version();
  std::vector<StoredPtr> items;
  if (gate_ != nullptr && gate_->draft().listed) {
    items = gate_->draft().collection;
  } else {
    items = store_.list(type, selection->ns());
    std::erase_if(items, [&](const StoredPtr& object) { return !selection->matches(*object); });
  }
  if (gate_ != nullptr) {
    gate_->draft().listed = true;
    gate_->draft().collection = items;
  }
  for (size_t i = gate_ != nullptr ? gate_->draft().done : 0; i < items.size(); ++i) {
    // An earlier one may have taken it along.
    const StoredPtr current = store_.get(type, items[i]->ns, items[i]->name);
    if (!current || (current->version != items[i]->version && gate_ == nullptr)) continue;
    RestRequest one = request;
    one.ns = std::string(current->ns);
    Answer answer = remove_object(type.judged_as(), &one, current, *options);
    if (answer.status >= 400 || admission::is_undecided(answer)) return answer;
    if (gate_ != nullptr) gate_->draft().done = i + 1;
  }
  Answer answer(200, "");
  Presenter(type, Representation(), loop_.wall_now()).list(meta, items, answer.body);
  return answer;
}

}  // namespace gs::apiserver
