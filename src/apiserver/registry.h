// What writes mean: the rules of k8s.io/apiserver's registry over the store. Each write is one step:
// it reads, decides and stores without waiting, so writes are linearizable. Lives on the store's loop.
// Of types it asks the strategies only (strategy.h). With webhooks to be asked a step stops where they are, and is run again
// once they have answered (admission/attributes.h).
//
// Apply merges maps and replaces lists; it knows the fields of other appliers, not of other writers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/admission/attributes.h"
#include "apiserver/answer.h"
#include "apiserver/delete_options.h"
#include "apiserver/store.h"
#include "apiserver/strategy.h"
#include "gateway/rest_request.h"

namespace gs::apiserver {

using gateway::RestRequest;
using AppliedPtr = std::shared_ptr<const Applied>;

class Registry {
 public:
  // Told of each change right after it, within the write: what lives in other processes of a real cluster
  // (namespace lifecycle, garbage collection) takes note here and acts later.
  class Follower {
   public:
    // `before` is null for a new object, `after` for one that is gone.
    virtual void changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) = 0;

   protected:
    ~Follower() = default;
  };

  // Asked of each object that is about to be created or replaced, before it is judged: for one request of one user.
  class Guard {
   public:
    // `old` is null for a new object.
    virtual std::optional<Answer> refuses(const ResourceType& type, const RestRequest& request, const json::Value& object, const json::Value* old) const = 0;

   protected:
    ~Guard() = default;
  };
  // The guard of what is written as long as this lives; null: none. Requests are one step, so there is never a second.
  class Guarded {
   public:
    Guarded(Registry& registry, const Guard* guard) : registry_(registry) { registry_.guard_ = guard; }
    ~Guarded() { registry_.guard_ = nullptr; }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

   private:
    Registry& registry_;
  };

  // While one lives, writes pass its gate, and may answer admission::undecided(): then nothing was written.
  class Admitting {
   public:
    Admitting(Registry& registry, admission::Gate* gate) : registry_(registry) { registry_.gate_ = gate; }
    ~Admitting() { registry_.gate_ = nullptr; }
    Admitting(const Admitting&) = delete;
    Admitting& operator=(const Admitting&) = delete;

   private:
    Registry& registry_;
  };

  Registry(Loop& loop, ResourceTable& table, Store& store);
  // Outlives the registry's last write.
  void add_follower(Follower& follower) { followers_.push_back(&follower); }

  // Bodies are JSON, but an apply's, which is YAML.
  Answer create(const ResourceType& type, const RestRequest& request, std::string_view body);
  Answer update(const ResourceType& type, const RestRequest& request, std::string_view body);
  Answer patch(const ResourceType& type, const RestRequest& request, std::string_view body);
  Answer remove(const ResourceType& type, const RestRequest& request, std::string_view body);
  Answer remove_collection(const ResourceType& type, const RestRequest& request, std::string_view body);
  // autoscaling/v1 Scale of an object.
  Answer scale(const ResourceType& type, const RestRequest& request) const;
  // Of a pod: always a refusal, as there is no node behind this server.
  Answer log(const ResourceType& type, const RestRequest& request) const;

  // For those who act as a controller: deletes by the same rules as a request.
  Answer remove_object(const ResourceType& type, const StoredPtr& current, const DeleteOptions& options);
  // Puts another state of an object in the place of `current`, as an update of it by a controller; with the
  // last finalizer of a deleted object it goes. Null then.
  StoredPtr change(const ResourceType& type, const StoredPtr& current, json::Value next);
  // Whether a path of the type has this subresource.
  static bool has_subresource(const ResourceType& type, std::string_view subresource);

 private:
  using Warnings = std::vector<std::string>;

  Answer update_object(const ResourceType& type, const RestRequest& request, const StoredPtr& current, Prepared object);
  Answer create_object(const ResourceType& type, const RestRequest& request, Prepared object, AppliedPtr applied);
  // The one way in which an object changes. A write that changes nothing keeps the version.
  Answer replace(const ResourceType& type, const RestRequest& request, const StoredPtr& current, Prepared wanted, AppliedPtr applied);
  Answer replace_scale(const ResourceType& type, const RestRequest& request, const StoredPtr& current, json::Value scale);
  Answer finalize_namespace(const ResourceType& type, const RestRequest& request, const StoredPtr& current, json::Value wanted);
  Answer apply(const ResourceType& type, const RestRequest& request, const StoredPtr& current, std::string_view body);
  Answer create_subresource(const ResourceType& type, const RestRequest& request, std::string_view body);
  Answer bind(const ResourceType& type, const StoredPtr& pod, const json::Value& binding, bool dry_run);
  Answer evict(const ResourceType& type, const RestRequest& request, const StoredPtr& pod, const json::Value& eviction);
  Checked<Prepared> read_scale(const RestRequest& request, std::string_view body) const;
  Checked<Prepared> patched_scale(const ResourceType& type, const RestRequest& request, const StoredPtr& current, const json::Value& patch, PatchSource source,
                                  FieldValidation validation) const;
  Answer remove_object(const ResourceType& type, const RestRequest* request, const StoredPtr& current, const DeleteOptions& options);
  // What webhooks are told of a request, but for the objects.
  admission::Attributes attributes_of(const RestRequest& request, std::string_view operation) const;
  // Whether webhooks let an object through, which is of a type as it is judged; `object` as they made it. nullopt: on.
  std::optional<Answer> admit(admission::Phase phase, const RestRequest& request, json::Value& object, const json::Value* old);
  // The same of a body of another kind: a scale, a binding.
  std::optional<Answer> admit_as(admission::Phase phase, const RestRequest& request, admission::GroupVersionKind kind, json::Value& object, const json::Value* old);
  // What would be stored of an update, which a scale is shown to webhooks as.
  std::optional<Answer> admit_update(const RestRequest& request, json::Value& next, const json::Value& old);
  std::optional<Answer> admit_deletion(admission::Phase phase, const RestRequest& request, const DeleteOptions& options, const json::Value& before);
  std::optional<Answer> admit_create(const ResourceType& type, const RestRequest& request, json::Value& object);
  std::string fresh_uid();
  std::string creation_time();
  // An object of this type, for this address.
  Checked<Prepared> read(const ResourceType& type, const RestRequest& request, Result<json::Value> parsed, std::string_view body = {}) const;
  // Name and namespace are those of the address.
  Checked<Prepared> addressed(const ResourceType& type, const RestRequest& request, Checked<Prepared> object) const;
  // What was written, in the version of the request.
  Answer in_version(const ResourceType& type, Answer answer) const;
  // 404 or 403 where nothing may be created in the namespace; a good answer otherwise.
  Answer check_namespace(const ResourceType& type, std::string_view ns, std::string_view name) const;
  Answer generate_name(const ResourceType& type, const std::string& ns, json::Value& metadata);
  // Whether it is known what would be stored of an object, and all that was read of the type is what it says.
  static bool storable(const ResourceType& type, const json::Value& object);
  static bool waits(const ResourceType& type);
  // Answers with what was written.
  static void tell(Answer& answer, const ResourceType& type, const StoredPtr& written);
  StoredPtr commit(const ResourceType& type, const StoredPtr& before, json::Value object, AppliedPtr applied);
  StoredPtr erase(const ResourceType& type, const StoredPtr& before);
  StoredPtr find(const ResourceType& type, const RestRequest& request) const;
  std::string random_suffix();

  Loop& loop_;
  ResourceTable& table_;
  Store& store_;
  std::vector<Follower*> followers_;
  const Guard* guard_ = nullptr;
  admission::Gate* gate_ = nullptr;
};

// A document as a patch makes it, or why it cannot.
Checked<json::Value> apply_patch(const ResourceType& type, gateway::PatchType kind, json::Value before, const json::Value& patch);

// autoscaling/v1 Scale of an object, as JSON.
std::string scale_of(const ResourceType& type, const json::Value& object);

// The state of an object, asked in several places.
bool is_namespace(const ResourceType& type);
bool deleting(const json::Value& object);
bool has_entries(const json::Value& object, std::string_view path);
bool has_string(const json::Value& object, std::string_view path, std::string_view text);
// Takes a string out of the array at metadata.finalizers, and the array where it is the last.
void drop_finalizer(json::Value& object, std::string_view finalizer);

inline constexpr std::string_view kForegroundFinalizer = "foregroundDeletion";
inline constexpr std::string_view kOrphanFinalizer = "orphan";

}  // namespace gs::apiserver
