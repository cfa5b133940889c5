// WriteQueue: what loops want stored, on its way to the thread that stores it. Bounded; the last put
// of a key within a batch wins. Thread-safe.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/marks.h"
#include "store/state_store.h"

namespace gs::store {

struct WriteOp {
  enum class Kind { kTerm, kPut, kErase, kPutPair, kErasePair, kLoad, kFlush };
  Kind kind = Kind::kPut;
  std::shared_ptr<const PairName> pair;
  KeyRecord record;    // kPut; of kErase, and of kLoad (after which), the names only
  PairRecord pair_record;
  std::string term;         // of kTerm: the present one,
  std::string term_before;  // and the one that it follows
  uint32_t slot = 0;   // of the key's mark,
  uint32_t marks = 0;  // and how many are taken back once this is stored
  Loop* loop = nullptr;
  StateStore::Loaded loaded;
  std::function<void()> flushed;

  using Pair = std::shared_ptr<const PairName>;
  static WriteOp begin_term(std::string now, std::string before);
  static WriteOp put(const Pair& pair, KeyRecord record, uint32_t marks);
  static WriteOp erase(const Pair& pair, std::string ns, std::string name, uint32_t marks);
  static WriteOp put_pair(const Pair& pair, PairRecord record);
  static WriteOp erase_pair(const Pair& pair);
  static WriteOp load(const Pair& pair, std::string after_ns, std::string after_name, Loop& loop, StateStore::Loaded done);
  static WriteOp flush(Loop& loop, std::function<void()> done);
};

class WriteQueue {
 public:
  explicit WriteQueue(StoreStats& stats) : stats_(stats) {}

  // A put or an erase of a key; dropped, its marks left standing, where the queue is full.
  void push_key(WriteOp op);
  // Anything else; never dropped: their number is bounded by the pairs that there are.
  void push(WriteOp op);
  void close();

  // Waits for something to do and `window` longer for more of it, unless somebody waits for an answer.
  // Empty only when it was closed.
  std::vector<WriteOp> take(std::chrono::milliseconds window);
  // What is there now; for a store without a thread.
  std::vector<WriteOp> take_now();

 private:
  std::vector<WriteOp> swap_locked();

  StoreStats& stats_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<WriteOp> ops_;
  std::unordered_map<std::string, size_t> by_key_;  // pair, namespace and name -> place in ops_
  bool urgent_ = false;
  bool closed_ = false;
};

}  // namespace gs::store
