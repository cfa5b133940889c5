// Gateway: serves the calls of reconciles and reviews. Each is read, checked against the Controller and the key, or
// against the Webhook and what is under review, answered from the cache where that is allowed and complete, or rebuilt
// and sent with the cluster's own credential. One a pair (of a Webhook, too), on its cluster's loop.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "cache/informer.h"
#include "delegate/attempt.h"
#include "gateway/answers.h"
#include "gateway/authority.h"
#include "gateway/list_digest.h"
#include "gateway/overlay.h"
#include "gateway/refusals.h"
#include "kube/selector.h"
#include "kube/transport.h"

namespace gs::gateway {

// Reads and writes that a reconcile made, told as they happen. `backed`: an informer covers it, so that its
// changes are heard of.
class ReadObserver {
 public:
  virtual void read_name(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name,
                         const kube::ObjectRef& seen, bool backed) = 0;
  // `version` empty and no digest where the answer did not tell them.
  virtual void read_list(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& selector,
                         const std::string& version, std::optional<ListDigest> digest, bool backed) = 0;
  // A change that the cache told before this read was known of: it triggered nobody.
  virtual void overtaken() = 0;
  // Something else was read that no list or name describes (a subresource, a table).
  virtual void read_other() = 0;
  // A write was answered with 2xx. `before`: what the cache had when it was sent; both may be null.
  virtual void wrote(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name,
                     const kube::ObjectRef& before, const kube::ObjectRef& after) = 0;

 protected:
  ~ReadObserver() = default;
};

// Of a review: nothing is requeued or fetched ahead by what it read.
class NoReads final : public ReadObserver {
 public:
  void read_name(const cache::GroupVersionResource&, const std::string&, const std::string&, const kube::ObjectRef&, bool) override {}
  void read_list(const cache::GroupVersionResource&, const std::string&, const std::string&, const std::string&, std::optional<ListDigest>,
                 bool) override {}
  void read_other() override {}
  void overtaken() override {}
  void wrote(const cache::GroupVersionResource&, const std::string&, const std::string&, const kube::ObjectRef&, const kube::ObjectRef&) override {}
};

struct GatewayStats {
  uint64_t from_cache = 0;
  uint64_t forwarded = 0;
  uint64_t failed = 0;
};

// Plural resource to kind, of what the Controller watches: a list that is empty has one, too.
using Kinds = std::map<cache::GroupVersionResource, std::string>;

// "gulfstream-<controller>", at most the 128 bytes that an API server takes; a longer name is cut and
// ends in a hash of the whole, so that two Controllers never share a field manager.
std::string field_manager_of(const std::string& controller);

class Gateway {
 public:
  // Writes must be answered within this, so that a key's former writes are settled in bounded time.
  static constexpr Duration kCallTimeout = std::chrono::seconds(30);
  // Long lists may take longer; they are passed on as they come.
  static constexpr Duration kListTimeout = std::chrono::minutes(2);
  // A list longer than this is not held whole: it goes to the delegate as it comes.
  static constexpr size_t kHeldList = 1024 * 1024;

  Gateway(Loop& loop, kube::KubeTransport& transport, cache::InformerSet& informers, Rules rules, Kinds kinds,
          std::string controller, std::string cluster);

  // The handler of one reconcile; `reads` and the gateway outlive it.
  class Reconcile final : public delegate::CallHandler {
   public:
    Reconcile(Gateway& gateway, KeyScope key, ReadObserver& reads) : gateway_(gateway), key_(std::move(key)), reads_(reads) {}
    Task<void> handle(const delegate::pb::Call& call, delegate::CallReply& reply) override;

   private:
    friend class Gateway;
    Gateway& gateway_;
    KeyScope key_;
    ReadObserver& reads_;
    // Kinds of which a write had an unknown outcome, or that were deleted by collection: read live.
    std::set<cache::GroupVersionResource> live_;
  };

  // The handler of one review; the gateway outlives it. `object`: of what is under review, with `review` set.
  class Review final : public delegate::CallHandler {
   public:
    Review(Gateway& gateway, KeyScope object) : reading_(gateway, std::move(object), no_reads_) {}
    Task<void> handle(const delegate::pb::Call& call, delegate::CallReply& reply) override { return reading_.handle(call, reply); }

   private:
    NoReads no_reads_;
    Reconcile reading_;
  };

  Overlay& overlay() { return overlay_; }
  const Authority& authority() const { return authority_; }
  const GatewayStats& stats() const { return stats_; }
  Refusals& refusals() { return refusals_; }
  const Refusals& refusals() const { return refusals_; }
  // The kind of a resource; empty where it is not known.
  std::string kind_of(const cache::GroupVersionResource& resource) const;
  // May the delegate see this object in the reconcile of this key? For prefetching.
  bool may_get(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name, const KeyScope& key) const;
  // A synced, live informer without selectors that covers the namespace; null where there is none.
  cache::Informer* covering(const cache::GroupVersionResource& resource, std::string_view ns) const;
  // Drops what the watches have caught up with.
  void prune_overlay(size_t most);

 private:
  // What the cache had when a request went out.
  struct Sight {
    kube::ObjectRef object;  // of the name that is asked for
    std::string version;     // of the informer; empty: there is none
  };

  Task<void> serve(Reconcile& reconcile, const delegate::pb::Call& call, delegate::CallReply& reply);
  std::optional<Answer> check(const Result<RestRequest>& request, const KeyScope& key, const delegate::pb::Call& call);
  cache::Informer* cache_for(const Reconcile& reconcile, const RestRequest& request, const delegate::pb::Call& call) const;
  std::optional<Answer> get_from_cache(Reconcile& reconcile, const RestRequest& request, cache::Informer& informer);
  std::optional<std::vector<kube::ObjectRef>> list_from_cache(Reconcile& reconcile, const RestRequest& request, cache::Informer& informer);
  kube::Request to_server(const RestRequest& request, const delegate::pb::Call& call) const;
  Task<void> forward_list(Reconcile& reconcile, RestRequest request, kube::Request out, delegate::CallReply& reply);
  Task<Answer> forward(Reconcile& reconcile, RestRequest request, const delegate::pb::Call& call, delegate::CallReply& reply);
  void observe(Reconcile& reconcile, const RestRequest& request, const Answer& answer, const Sight& before, bool dry_run);
  void observe_read(Reconcile& reconcile, const RestRequest& request, const Answer& answer, const Sight& before);
  void observe_list(Reconcile& reconcile, const RestRequest& request, std::string_view body, const Sight& before);
  void compare_with_cache(Reconcile& reconcile, const RestRequest& request, const kube::ObjectRef& read, const Sight& before);
  void list_item_ahead(const cache::Informer& informer, std::string_view item);
  Sight sight(const RestRequest& request) const;
  void observe_delete(Reconcile& reconcile, const RestRequest& request, const kube::ObjectRef& object, std::string_view body,
                      const kube::ObjectRef& before);

  Loop& loop_;
  kube::KubeTransport& transport_;
  cache::InformerSet& informers_;
  Authority authority_;
  Kinds kinds_;
  std::string field_manager_;
  Overlay overlay_;
  Refusals refusals_;
  GatewayStats stats_;
};

}  // namespace gs::gateway
