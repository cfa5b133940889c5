// Serves watches: each reads the history of its collection at its own pace, so a slow watcher holds no
// buffer; one that falls behind what is kept is told 410. Lives on the store's loop.
#pragma once

#include "apiserver/conversion/conversion_memo.h"
#include "apiserver/faults.h"
#include "apiserver/representation.h"
#include "apiserver/selection.h"
#include "apiserver/store.h"
#include "net/http.h"

namespace gs::apiserver {

struct WatchOptions {
  Duration bookmark_period = std::chrono::minutes(1);
  // Where the request names no timeoutSeconds: a random time between this and twice this.
  Duration min_timeout = std::chrono::minutes(30);
  size_t batch_bytes = 64 * 1024;
};

class WatchHub {
 public:
  WatchHub(Loop& loop, Store& store, WatchOptions options) : loop_(loop), store_(store), options_(options) {}
  // Runs until the watch ends, in its own way or the client's. Answers errors too.
  // `clients` convert custom resources where a webhook does; null: nobody does.
  Task<void> serve(net::HttpExchange& exchange, ResourceTypePtr type, gateway::RestRequest request, Representation as, WatchFault fault, admission::WebhookClients* clients);
  size_t open() const { return open_; }

 private:
  struct Watch;
  Task<void> run(Watch& watch);
  // Has converted what the next events need. An answer: why it could not be.
  Task<std::optional<Answer>> convert_next(Watch& watch);
  // Whether there is something to tell.
  bool behind(const Watch& watch) const;
  // What an event of this change shows, and as what; null: it shows none.
  static StoredPtr told(const Watch& watch, const Change& change, std::string_view& type);
  // Events that wait, as frames, up to a batch; false: the watch has fallen behind.
  bool take(Watch& watch, std::string& out) const;
  void bookmark(Watch& watch, bool initial_end, std::string& out) const;
  MonoTime next_bookmark(const Watch& watch) const;
  MonoTime wake_at(const Watch& watch) const;

  Loop& loop_;
  Store& store_;
  WatchOptions options_;
  size_t open_ = 0;
};

}  // namespace gs::apiserver
