// Reflector: keeps a sink equal to a collection of one API server, by the steps of WatchProtocol over
// a KubeTransport. One coroutine on its cluster's loop, owned by an informer.
#pragma once

#include <string>

#include "cache/resource.h"
#include "cache/watch_protocol.h"
#include "kube/object.h"
#include "kube/transport.h"
#include "runtime/sync.h"

namespace gs::cache {

enum class EventType { kAdded, kModified, kDeleted };

// Where the objects go. Called on the reflector's loop, in the server's order.
class ReflectorSink {
 public:
  // A whole listing begins.
  virtual void replace_begin() = 0;
  virtual void replace_item(kube::ObjectRef object) = 0;
  // It will not be completed: what came of it is dropped.
  virtual void replace_abandoned() = 0;
  // It is complete: what it did not hold is gone.
  virtual void replace_finish() = 0;
  virtual void changed(EventType type, kube::ObjectRef object) = 0;
  virtual void health_changed() = 0;

 protected:
  ~ReflectorSink() = default;
};

struct ReflectorOptions {
  kube::ParseOptions parse;
  // Lists (and initial events of watches) that may run at once on this loop; null: no limit. Spreads a
  // fleet's start. Taken only with a connection, and given back when nothing comes for `permit_idle`: dead
  // clusters starve nobody.
  Semaphore* list_permits = nullptr;
  Duration permit_idle = std::chrono::seconds(5);
  int page_size = 500;  // of a list: client-go's pager
  // Only metadata are asked for (PartialObjectMetadata).
  bool metadata_only = false;
  // No bytes for so long on an open watch: it is dead whatever its pings say. The server's bookmarks
  // come about every minute.
  Duration watch_idle = std::chrono::seconds(150);
  // The server ends a watch after a random time between this and twice this.
  Duration watch_timeout = std::chrono::minutes(5);
  // For the answer to begin, a connection included.
  Duration head_timeout = std::chrono::minutes(1);
  // No object for so long among the initial events: the server does not know how to end them.
  Duration initial_idle = std::chrono::minutes(1);
  // No bytes for so long in a list.
  Duration list_idle = std::chrono::minutes(1);
};

struct ReflectorStats {
  uint64_t events = 0;
  uint64_t bookmarks = 0;
  uint64_t lists = 0;
  uint64_t watches = 0;
  uint64_t malformed = 0;  // objects that could not be parsed; the watch is begun again
};

class Reflector {
 public:
  Reflector(Loop& loop, kube::KubeTransport& transport, InformerKey key, ReflectorSink& sink,
            ReflectorOptions options);

  // Runs until destroyed.
  Task<void> run();
  // Ends a wait: something may have healed (a CRD was installed, a credential changed).
  void kick() { kicked_.wake_all(); }

  const WatchProtocol& protocol() const { return protocol_; }
  const ReflectorStats& stats() const { return stats_; }

 private:
  struct WatchRun;
  // A place among the lists that run at once; lapses where nothing comes.
  struct Lease;
  Task<void> list(Step step);
  Task<Status> list_with_lease(Step step, int& page, std::string& version);
  Task<Status> list_page(std::string target, Lease& lease, std::string& version, std::string& next);
  Task<Status> lease(kube::Lane lane, Lease& lease);
  kube::Request request_for(std::string target, kube::Lane lane) const;
  std::string page_query(const Step& step, const std::string& next) const;
  Task<void> watch(Step step);
  Task<Status> read_watch(std::string target, WatchRun& run);
  Status watch_event(std::string_view frame, WatchRun& run);
  void tell_health();
  std::string target(const std::string& query) const;

  Loop& loop_;
  kube::KubeTransport& transport_;
  InformerKey key_;
  ReflectorSink& sink_;
  ReflectorOptions options_;
  WatchProtocol protocol_;
  ReflectorStats stats_;
  WaitQueue kicked_;
};

}  // namespace gs::cache
