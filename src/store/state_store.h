// StateStore: what a restart must know so as not to reconcile the world. The seam between pairs and
// the disk; sqlite_store.h is the real one, memory_store.h its twin for tests and the simulation.
//
// The promise: a record with `settled` that load() gives describes the last attempt of its key that
// ever began, and no Enqueue came after it. So where everything it names is equal to what is there
// now, reconciling would find what the last reconcile left, and the key may be skipped. It is kept
// by marks: mark() is synchronous, survives the process, and makes whatever is stored of the key
// unsettled until a record put after it is stored. See README.md for each kind of crash.
//
// All members but load()'s answer may be called from any loop; none blocks.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "runtime/loop.h"
#include "store/records.h"

namespace gs::store {

struct StoreStats {
  std::atomic<uint64_t> written{0};       // records stored or erased
  std::atomic<uint64_t> transactions{0};
  std::atomic<uint64_t> errors{0};        // of opening, reading or writing
  std::atomic<uint64_t> dropped{0};       // not stored: the queue was full, or there is no file
  std::atomic<int64_t> pending{0};        // in the queue
  std::atomic<int64_t> rows{0};           // in the file, as far as known
  std::atomic<bool> available{false};     // there is a file, and it takes writes
};

struct LoadedBatch {
  std::vector<KeyRecord> records;  // by namespace and name; `settled` only where no mark stands
  bool last = false;
};

class StateStore {
 public:
  // Records that wait to be stored. Beyond this a record is dropped and its mark stays: its key is
  // reconciled after the next start.
  static constexpr size_t kMaxPending = 64 * 1024;
  static constexpr size_t kBatch = 512;

  virtual ~StateStore() = default;

  // A term is a stretch of time in which this plane alone reconciled; records are stored in the present one. What
  // is stored counts only if it was stored in the term `before`: another plane has led since otherwise, and what
  // came and went meanwhile is not seen. Once, before everything else.
  virtual void begin_term(std::string now, std::string before) = 0;
  // The key's stored record does not count any more: an attempt begins, or an Enqueue came. Each
  // mark is taken back by the put() or erase() that follows it, once that is stored.
  virtual void mark(const PairName& pair, std::string_view ns, std::string_view name) = 0;
  // `marks`: how many marks of this key the record answers. The last put of a key wins.
  virtual void put(const std::shared_ptr<const PairName>& pair, KeyRecord record, uint32_t marks) = 0;
  virtual void erase(const std::shared_ptr<const PairName>& pair, std::string ns, std::string name, uint32_t marks) = 0;
  virtual void put_pair(const std::shared_ptr<const PairName>& pair, PairRecord record) = 0;
  // The Controller or the cluster is gone for good.
  virtual void erase_pair(const std::shared_ptr<const PairName>& pair) = 0;

  // The records after (ns, name) in order, at most kBatch; everything put before is seen. `done` is
  // called on `loop`; an error means that nothing can be known.
  using Loaded = std::function<void(Result<LoadedBatch>)>;
  virtual void load(const std::shared_ptr<const PairName>& pair, std::string after_ns, std::string after_name, Loop& loop, Loaded done) = 0;
  // Calls `done` on `loop` once everything put before is stored, or cannot be.
  virtual void flush(Loop& loop, std::function<void()> done) = 0;

  // No answers any more: loops that asked may go. What was put is still stored.
  virtual void detach() = 0;

  virtual const StoreStats& stats() const = 0;
};

}  // namespace gs::store
