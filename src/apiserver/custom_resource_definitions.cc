#include "apiserver/custom_resource_definitions.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/crd_strategy.h"
#include "apiserver/object_meta.h"
#include "schema/field_error.h"

namespace gs::apiserver {
namespace {

using json::Value;

// What other CRDs of a group have claimed.
struct Claimed {
  std::set<std::string> resources;
  std::set<std::string> kinds;
};

// One name after the other: those that are free are taken, and the condition names the last that is not.
class Naming {
 public:
  Naming(const Value& crd, const Claimed& claimed) : claimed_(claimed) {
    if (const Value* names = crd.at("spec.names")) wanted_ = *names;
    if (const Value* names = crd.at("status.acceptedNames")) had_ = accepted = *names;
    one("plural", claimed_.resources, "PluralConflict");
    one("singular", claimed_.resources, "SingularConflict");
    short_names();
    one("kind", claimed_.kinds, "KindConflict");
    one("listKind", claimed_.kinds, "ListKindConflict");
    copy("categories");
  }

  Value accepted{json::Object()};
  std::string reason = "NoConflicts";
  std::string message = "no conflicts found";
  bool ok() const { return reason == "NoConflicts"; }

 private:
  void copy(const char* field) {
    if (const Value* value = wanted_.find(field)) {
      accepted[field] = *value;
    } else {
      accepted.make_object().erase(field);
    }
  }

  void one(const char* field, const std::set<std::string>& used, const char* conflict) {
    const std::string name(wanted_.text(field));
    if (name == had_.text(field) || !used.contains(name)) return copy(field);
    reason = conflict;
    message = fmt::format("\"{}\" is already in use", name);
  }

  void short_names() {
    const std::vector<std::string> mine = strings_of(had_.find("shortNames"));
    std::vector<std::string> problems;
    for (const std::string& name : strings_of(wanted_.find("shortNames"))) {
      if (std::find(mine.begin(), mine.end(), name) != mine.end() || !claimed_.resources.contains(name)) continue;
      problems.push_back(fmt::format("\"{}\" is already in use", name));
    }
    if (problems.empty()) return copy("shortNames");
    reason = "ShortNamesConflict";
    message = schema::aggregate(problems);
  }

  const Claimed& claimed_;
  Value wanted_{json::Object()};
  Value had_{json::Object()};
};

constexpr Duration kInstancePoll = std::chrono::milliseconds(200);

}  // namespace

CustomResourceDefinitions::CustomResourceDefinitions(Loop& loop, ResourceTable& table, Store& store, Registry& registry)
    : loop_(loop), table_(table), store_(store), registry_(registry), scope_(loop) {}

std::string CustomResourceDefinitions::now() const { return format_rfc3339(loop_.wall_now()); }

void CustomResourceDefinitions::start() {
  sync();
  scope_.spawn(run());
}

Task<void> CustomResourceDefinitions::run() {
  const ResourceTypePtr crds = table_.find("apiextensions.k8s.io", "customresourcedefinitions");
  while (true) {
    Collection& collection = store_.collection(*crds);
    const uint64_t seen = collection.end();
    sync();
    // sync() writes too: what it wrote itself is looked at once more, and then there is nothing left.
    if (collection.end() != seen) {
      co_await yield_turn(loop_);
      continue;
    }
    // An instance that held a definition back may be gone by then: nothing here tells of that.
    const MonoTime until = terminating_ > 0 ? saturating_add(loop_.now(), kInstancePoll) : kNoDeadline;
    co_await collection.changed.wait(until);
  }
}

void CustomResourceDefinitions::sync() {
  const ResourceTypePtr crds = table_.find("apiextensions.k8s.io", "customresourcedefinitions");
  std::set<std::string> there;
  terminating_ = 0;
  for (const StoredPtr& stored : store_.list(*crds, "")) {
    there.emplace(stored->name);
    look(*crds, stored);
  }
  std::vector<std::string> gone;
  for (const auto& [name, known] : known_) {
    if (!there.contains(name)) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    stop_serving(name);
    known_.erase(name);
  }
  for (const std::string& name : there) {
    if (!known_[name].settled) act(*crds, name);
  }
}

void CustomResourceDefinitions::look(const ResourceType& crds, const StoredPtr& stored) {
  Known& known = known_[std::string(stored->name)];
  if (known.version == stored->version) return;
  const Value crd = stored->value(crds);
  known = Known();
  known.version = stored->version;
  known.group = crd.text("spec.group");
  const Value *accepted = crd.at("status.acceptedNames"), *wanted = crd.at("spec.names");
  if (accepted == nullptr || wanted == nullptr) return;
  for (const char* field : {"plural", "singular"}) known.resources.emplace(accepted->text(field));
  for (std::string& name : strings_of(accepted->find("shortNames"))) known.resources.insert(std::move(name));
  for (const char* field : {"kind", "listKind"}) known.kinds.emplace(accepted->text(field));
}

void CustomResourceDefinitions::act(const ResourceType& crds, const std::string& name) {
  const StoredPtr stored = store_.get(crds, "", name);
  if (deleting(stored->value(crds))) return terminate(crds, stored);
  accept_names(crds, stored);
  establish(crds, store_.get(crds, "", name));
  const StoredPtr current = store_.get(crds, "", name);
  look(crds, current);
  const Value crd = current->value(crds);
  serve(crd);
  const Value *accepted = crd.at("status.acceptedNames"), *wanted = crd.at("spec.names");
  known_[name].settled = crd_condition(crd, "Established") && accepted != nullptr && wanted != nullptr && *accepted == *wanted;
}

void CustomResourceDefinitions::accept_names(const ResourceType& crds, const StoredPtr& stored) {
  Value crd = stored->value(crds);
  const Value* accepted = crd.at("status.acceptedNames");
  const Value* wanted = crd.at("spec.names");
  if (accepted != nullptr && wanted != nullptr && *accepted == *wanted) return;
  Claimed claimed;
  for (const auto& [name, known] : known_) {
    if (known.group != crd.text("spec.group")) continue;
    claimed.resources.insert(known.resources.begin(), known.resources.end());
    claimed.kinds.insert(known.kinds.begin(), known.kinds.end());
  }
  const Naming naming(crd, claimed);
  const Value before = crd;
  crd["status"]["acceptedNames"] = naming.accepted;
  set_crd_condition(crd, "NamesAccepted", naming.ok(), naming.reason, naming.message, now());
  if (!crd_condition(crd, "Established")) {
    if (naming.ok()) {
      set_crd_condition(crd, "Established", false, "Installing", "the initial names have been accepted", now());
    } else {
      set_crd_condition(crd, "Established", false, "NotAccepted", "not all names are accepted", now());
    }
  }
  if (crd != before) registry_.change(crds, stored, std::move(crd));
}

void CustomResourceDefinitions::establish(const ResourceType& crds, const StoredPtr& stored) {
  Value crd = stored->value(crds);
  if (!crd_condition(crd, "NamesAccepted") || crd_condition(crd, "Established")) return;
  set_crd_condition(crd, "Established", true, "InitialNamesAccepted", "the initial names have been accepted", now());
  // Served before anybody can read that it is.
  serve(crd);
  registry_.change(crds, stored, std::move(crd));
}

void CustomResourceDefinitions::serve(const Value& crd) {
  if (!crd_condition(crd, "Established")) return;
  const std::string name(crd.text("metadata.name"));
  const auto generation = static_cast<uint64_t>(crd.at("metadata.generation") != nullptr ? crd.at("metadata.generation")->integer().value_or(0) : 0);
  Served& served = served_[name];
  if (served.generation == generation && served.uid == crd.text("metadata.uid")) return;
  served.generation = generation;
  served.uid = crd.text("metadata.uid");
  served.key = {std::string(crd.text("spec.group")), std::string(crd.text("status.acceptedNames.plural"))};
  const ResourceTypePtr before = table_.find(served.key.first, served.key.second);
  table_.remove(served.key.first, served.key.second);
  for (ResourceType& type : types_of_crd(crd)) table_.add(std::move(type));
  // Who watches by way of another webhook, or of none, would be told what nobody means any more.
  const ResourceTypePtr after = table_.find(served.key.first, served.key.second);
  if (before && after && (before->converter || after->converter)) store_.end_watches(*after);
}

// Instances go by the rules of deletion: those with finalizers hold the definition back until they are gone.
void CustomResourceDefinitions::terminate(const ResourceType& crds, const StoredPtr& stored) {
  Value crd = stored->value(crds);
  const std::vector<std::string> finalizers = strings_of(crd.at("metadata.finalizers"));
  if (std::find(finalizers.begin(), finalizers.end(), kCrdCleanupFinalizer) == finalizers.end()) return;
  const Value before = crd;
  const bool established = crd_condition(crd, "Established");
  // Also after a restart: what is not served cannot be removed.
  serve(crd);
  const ResourceTypePtr type = established ? table_.find(std::string(crd.text("spec.group")), std::string(crd.text("status.acceptedNames.plural"))) : nullptr;
  const std::vector<StoredPtr> instances = type ? store_.list(*type, "") : std::vector<StoredPtr>();
  for (const StoredPtr& instance : instances) registry_.remove_object(*type, instance, {});
  if (!instances.empty()) {
    // Also where all of them went: those who watch shall see it before the resource goes from under them.
    ++terminating_;
    set_crd_condition(crd, "Terminating", true, "InstanceDeletionInProgress", "CustomResource deletion is in progress", now());
    if (crd != before) registry_.change(crds, stored, std::move(crd));
    return;
  }
  if (established) {
    set_crd_condition(crd, "Terminating", false, "InstanceDeletionCompleted", "removed all instances", now());
  } else {
    set_crd_condition(crd, "Terminating", false, "NeverEstablished", "resource was never established", now());
  }
  json::Array& list = *crd["metadata"]["finalizers"].array();
  std::erase(list, Value(std::string(kCrdCleanupFinalizer)));
  if (list.empty()) crd["metadata"].make_object().erase("finalizers");
  const std::string name(stored->name);
  // With its last finalizer it goes.
  if (!registry_.change(crds, stored, std::move(crd))) stop_serving(name);
}

void CustomResourceDefinitions::stop_serving(const std::string& name) {
  const auto found = served_.find(name);
  if (found == served_.end()) return;
  const ResourceTable::Key key = found->second.key;
  if (const ResourceTypePtr type = table_.find(key.first, key.second)) store_.drop(*type);
  table_.remove(key.first, key.second);
  served_.erase(found);
}

}  // namespace gs::apiserver
