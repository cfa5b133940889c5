// Informer: one reflector and its store, shared by all who want the same collection of one cluster.
// InformerSet holds a cluster's informers and counts their users; the last one stops it. All of it
// lives on the cluster's loop; handlers are called synchronously there, in the server's order.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cache/crd_watch.h"
#include "cache/reflector.h"
#include "cache/store.h"
#include "runtime/task_scope.h"

namespace gs::cache {

// Told of every change. Must not release its own handle from inside a call.
class InformerHandler {
 public:
  virtual void on_added(const kube::ObjectRef& object, bool initial) = 0;
  virtual void on_updated(const kube::ObjectRef& old_object, const kube::ObjectRef& new_object) = 0;
  // `last_state` is the deleted object, or the last one seen where the deletion itself was missed
  // (`tombstone`; client-go's DeletedFinalStateUnknown).
  virtual void on_deleted(const kube::ObjectRef& last_state, bool tombstone) = 0;
  // The content is complete for the first time.
  virtual void on_synced() {}
  // A relist is complete; resource_version() is that of the list from the next turn of timers on.
  virtual void on_replaced() {}
  virtual void on_health(Health, const std::string& /*reason*/) {}

 protected:
  ~InformerHandler() = default;
};

class Informer final : private ReflectorSink {
 public:
  // `moved` (may be empty) is called when its health changed, and when it ends.
  Informer(Loop& loop, kube::KubeTransport& transport, InformerKey key, ReflectorOptions options,
           std::function<void()> moved = {});
  ~Informer();

  const InformerKey& key() const { return key_; }
  const Store& store() const { return store_; }
  // While handlers are told what a listing changed: each object's last state only, whatever became of it in between.
  bool replacing() const { return replacing_; }
  // The store has once been complete; it may be behind while health() is not kLive.
  bool synced() const { return reflector_.protocol().synced(); }
  Health health() const { return reflector_.protocol().health(); }
  const std::string& reason() const { return reflector_.protocol().reason(); }
  const std::string& resource_version() const { return reflector_.protocol().resource_version(); }
  const ReflectorStats& stats() const { return reflector_.stats(); }
  void kick() { reflector_.kick(); }
  // The store is indexed by owner from now on.
  void index_owners() { store_.index_owners(); }

 private:
  friend class InformerSet;
  friend class InformerHandle;
  struct User {
    explicit User(InformerHandler& h) : handler(h) {}
    InformerHandler& handler;
    bool primed = false;  // has been given the content
  };

  void add(User& user);
  void prime_new_users();
  template <class Call>
  void tell(Call call);

  void replace_begin() override;
  void replace_item(kube::ObjectRef object) override;
  void replace_abandoned() override;
  void replace_finish() override;
  void changed(EventType type, kube::ObjectRef object) override;
  void health_changed() override;
  void put(kube::ObjectRef object, bool initial);
  void drop(std::string_view ns, std::string_view name, const kube::ObjectRef& last_state, bool tombstone);

  InformerKey key_;
  Store store_;
  Store replacement_;  // filling while a listing runs; shares unchanged objects with store_
  bool replacing_ = false;
  std::vector<User*> users_;
  Reflector reflector_;
  CallbackTimer prime_;
  std::function<void()> moved_;
  TaskScope scope_;
};

class InformerSet;

// A user's share. Destroying it ends the calls at once, and the informer with its last user.
class InformerHandle {
 public:
  InformerHandle() = default;
  InformerHandle(InformerHandle&&) noexcept = default;
  InformerHandle& operator=(InformerHandle&& other) noexcept;
  ~InformerHandle() { release(); }

  explicit operator bool() const { return informer_ != nullptr; }
  Informer* operator->() const { return informer_.get(); }
  Informer& operator*() const { return *informer_; }

 private:
  friend class InformerSet;
  void release();
  std::shared_ptr<Informer> informer_;
  std::unique_ptr<Informer::User> user_;
};

class InformerSet {
 public:
  InformerSet(Loop& loop, kube::KubeTransport& transport, ReflectorOptions options);
  ~InformerSet();

  // Shares or starts the informer. The handler gets the present content as adds in a later turn.
  InformerHandle acquire(const InformerKey& key, InformerHandler& handler);
  // A running informer of this resource that covers `ns` (itself or all namespaces) without a
  // selector; null where there is none. For reads from the cache.
  Informer* find_covering(const GroupVersionResource& resource, std::string_view ns);
  // Asks all that wait to try again.
  void kick();
  size_t size() const;
  // Called when some informer has failed at what worked before or might: the cluster may be in trouble.
  void on_trouble(std::function<void()> call) { trouble_ = std::move(call); }
  // While the resource of some informer is missing, the cluster's CRDs are watched.
  bool watches_crds() const { return crds_ != nullptr; }
  template <class Each>
  void for_each(Each each) {
    for (auto& [key, weak] : informers_) {
      if (auto informer = weak.lock()) each(*informer);
    }
  }

 private:
  Loop& loop_;
  kube::KubeTransport& transport_;
  void look();
  void crd_changed(std::string_view name);

  ReflectorOptions options_;
  std::map<InformerKey, std::weak_ptr<Informer>> informers_;
  std::unique_ptr<CrdWatch> crds_;
  std::function<void()> trouble_;
  CallbackTimer look_;
};

}  // namespace gs::cache
