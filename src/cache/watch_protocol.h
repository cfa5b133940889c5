// The list and watch protocol as a state machine without input or output, in the manner of kube-rs'
// watcher: next() says what to do, on_*() what came of it. Rules from client-go's
// tools/cache/reflector.go unless another source is named. Tested by tables.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"
#include "runtime/random.h"

namespace gs::cache {

// What to do next.
struct Step {
  enum class Kind {
    kWatchList,  // watch with sendInitialEvents=true: initial state, a bookmark that ends it, then changes
    kList,       // chunked list, then a watch
    kWatch,      // from resource_version
    kWait,       // `wait`, then ask again; kick() ends it early
  };
  Kind kind = Kind::kWait;
  std::string resource_version;
  bool chunked = true;  // kList: limit=500, else the whole list in one answer
  Duration wait{0};
};

enum class Health {
  kStarting,
  kLive,       // synced, and the watch is open or about to be
  kRetrying,   // the last attempt failed; the cache holds what was last seen
  kMissing,    // 404: no such resource in this cluster (a CRD that is not installed)
  kForbidden,  // 403: our credential may not list or watch it
};

class WatchProtocol {
 public:
  static constexpr Duration kFirstBackoff = std::chrono::milliseconds(800);
  static constexpr Duration kLastBackoff = std::chrono::seconds(30);
  static constexpr Duration kBackoffReset = std::chrono::minutes(2);
  // Parked on 404 or 403: asked again after the first, then after twice of it up to the last, jittered.
  // What appears is more often met by a kick (informer.h).
  static constexpr Duration kFirstParked = std::chrono::seconds(1);
  static constexpr Duration kLastParked = std::chrono::seconds(30);
  static constexpr Duration kVeryShortWatch = std::chrono::seconds(1);

  explicit WatchProtocol(bool prefer_watch_list = true) : watch_list_(prefer_watch_list) {}

  Step next() const;

  // The wait is over, or was ended by a kick: something has changed, what is parked looks often again.
  void on_waited(bool kicked = false);
  // A list is complete, at this version.
  void on_listed(std::string resource_version);
  // The initial events of a WatchList are complete.
  void on_watch_list_synced(std::string resource_version);
  // An event or a bookmark of a watch; during initial events only bookmarks count.
  void on_version(std::string resource_version) { version_ = std::move(resource_version); }
  // A list or WatchList attempt failed. `page` counts from 0.
  void on_list_failed(const Error& error, int page, MonoTime now, Random& random);
  void on_watch_list_failed(const Error& error, MonoTime now, Random& random);
  // The server has begun to answer a watch: the cache is being kept up to date again.
  void on_watch_opened();
  // A watch ended, `open_for` after the server began to answer it (zero: it never did); `error` null for a regular end.
  void on_watch_ended(const Error* error, size_t events, Duration open_for, MonoTime now, Random& random);

  Health health() const { return health_; }
  // Why health() is not kLive, for a condition.
  const std::string& reason() const { return reason_; }
  // Whether either is another than when this was asked last.
  bool take_health_changed() { return std::exchange(health_changed_, false); }
  const std::string& resource_version() const { return version_; }
  bool synced() const { return synced_; }

 private:
  void failed(const Error& error, MonoTime now, Random& random);
  void back_off(const Error& error, MonoTime now, Random& random);
  void healthy();
  void set_health(Health health, const std::string& reason);

  bool watch_list_;           // the server speaks WatchList, as far as we know
  bool list_this_time_ = false;
  bool watching_ = false;     // version_ is good to watch from
  bool version_unavailable_ = false;  // list with "" instead of the last version
  bool whole_list_ = false;
  bool synced_ = false;
  std::string version_;       // last seen
  Duration wait_{0};
  Duration backoff_ = kFirstBackoff;
  Duration parked_ = kFirstParked;
  MonoTime last_failure_{};
  bool health_changed_ = false;
  Health health_ = Health::kStarting;
  std::string reason_;
};

}  // namespace gs::cache
