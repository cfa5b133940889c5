// Lists and watches of the plane's cache for a pair as a whole, bound to no reconcile: for delegates that
// keep local listers. Only what the Controller watches, and where delegateWatch allows it.
//
//   list   resourceVersion unset, "0", or one that the cache has reached; whole, in parts of 64 KiB; label
//          selectors; no pages (limit means nothing, as in an API server that answers from its cache)
//   watch  from a version that the journal still knows (else 410), or unset or "0" for the present state
//          and what follows; sendInitialEvents with its bookmark; bookmarks every minute
//
// One per pair, on its loop. Calls are destroyed with the pair or their stream.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cache/informer.h"
#include "delegate/attempt.h"
#include "gateway/answers.h"
#include "gateway/authority.h"
#include "gateway/gateway.h"
#include "gateway/journal.h"
#include "kube/selector.h"

namespace gs::gateway {

class PairReads final : public delegate::CallHandler {
 public:
  static constexpr Duration kBookmarks = std::chrono::minutes(1);
  // As an API server's --min-request-timeout: a watch without timeoutSeconds ends after this or up to twice this.
  static constexpr Duration kLongestWatch = std::chrono::minutes(30);
  // How often a watch that waits looks whether it is still wanted.
  static constexpr Duration kLook = std::chrono::seconds(5);

  PairReads(Loop& loop, Gateway& gateway) : loop_(loop), gateway_(gateway) {}

  Task<void> handle(const delegate::pb::Call& call, delegate::CallReply& reply) override;
  // The informers that the pair holds, and their changes when the store has them.
  void add(const cache::Informer& informer) { informers_.push_back(&informer); }
  void changed(const cache::Informer& informer, const kube::ObjectRef& before, const kube::ObjectRef& after, bool deleted);
  size_t watching() const { return watching_; }

 private:
  struct Filter {
    std::string ns;
    std::string name;  // of fieldSelector=metadata.name=x
    kube::LabelSelector labels;
    bool matches(const kube::Object& object) const;
  };
  struct Stream;
  std::optional<Answer> refuse(const Result<RestRequest>& request, const delegate::pb::Call& call);
  const cache::Informer* informer_for(const RestRequest& request) const;
  Result<Filter> filter_of(const RestRequest& request) const;
  std::vector<kube::ObjectRef> select(const cache::Informer& informer, const Filter& filter) const;
  // Its journal, which begins now if nobody asked before.
  Journal& journal_of(const cache::Informer& informer);
  std::optional<Answer> list_refusal(const RestRequest& request, const cache::Informer& informer) const;
  std::optional<Answer> begin_watch(const RestRequest& request, Stream& stream);
  Task<void> watch(Stream& stream);
  Task<Status> send_initial(Stream& stream);
  // Changes from the stream's place on into `part`, as far as one part has room; false where the place is lost.
  bool read_journal(Stream& stream, std::string& part);

  Loop& loop_;
  Gateway& gateway_;
  std::vector<const cache::Informer*> informers_;
  std::map<const cache::Informer*, std::unique_ptr<Journal>> journals_;  // looked up, never walked
  size_t watching_ = 0;
};

}  // namespace gs::gateway
