// What a write is to admission: k8s.io/apiserver/pkg/admission's Attributes, and the gate that a write passes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apiserver/answer.h"
#include "apiserver/store.h"
#include "json/value.h"

namespace gs::apiserver::admission {

// Mutating webhooks see an object before it is prepared, validating ones what would be stored.
enum class Phase { kMutating, kValidating };

struct GroupVersionKind {
  GroupVersionKind() = default;
  GroupVersionKind(std::string g, std::string v, std::string k) : group(std::move(g)), version(std::move(v)), kind(std::move(k)) {}
  std::string group, version, kind;
  bool operator==(const GroupVersionKind&) const = default;
};

struct Attributes {
  ResourceTypePtr type;    // as it was asked for
  GroupVersionKind kind;   // of the objects: the type's own, or that of a subresource with bodies of its own
  std::string operation;   // CREATE, UPDATE, DELETE
  std::string subresource;
  std::string ns;          // of a Namespace its own name
  std::string name;        // empty: not known yet (generateName), or that of a collection
  json::Value object;      // null on DELETE
  json::Value old_object;  // null on CREATE
  json::Value options;     // CreateOptions, UpdateOptions or DeleteOptions of meta.k8s.io/v1
  bool dry_run = false;
  bool changed = false;    // `object` is not what the write came with
};

// A write is one step of the registry, and webhooks take time. So the step asks the gate: what was decided already holds
// and the step goes on; what was not ends the step without a trace, and it is run again from its beginning, on the state of
// then, once it is decided. As in kube-apiserver's GuaranteedUpdate, whoever was overtaken is decided on anew.
class Gate {
 public:
  virtual ~Gate() = default;
  // nullopt: on, with `attributes.object` as it came out. Else what the step answers: a refusal, or undecided().
  virtual std::optional<Answer> pass(Phase phase, Attributes& attributes) = 0;

  // What a step makes up, kept for when it is run again.
  struct Draft {
    std::string uid, created, name;
    bool listed = false;  // of a deletion of many: what it is about, and how many of those are done
    std::vector<StoredPtr> collection;
    size_t done = 0;
  };
  Draft& draft() { return draft_; }

 private:
  Draft draft_;
};

inline Answer undecided() { return Answer(0, ""); }
inline bool is_undecided(const Answer& answer) { return answer.status == 0; }

}  // namespace gs::apiserver::admission
