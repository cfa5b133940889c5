// MemoryStore: a StateStore in memory, for tests and the simulation. What is put waits until store()
// is called (by itself where `automatic`), so that a crash can be put between any two steps: crash()
// loses what waits and keeps the marks, as a killed process does; restart() is the next start.
#pragma once

#include <map>

#include "store/marks.h"
#include "store/write_queue.h"

namespace gs::store {

class MemoryStore final : public StateStore {
 public:
  explicit MemoryStore(bool automatic = true) : automatic_(automatic), queue_(stats_) { stats_.available = true; }

  void begin_term(std::string now, std::string before) override;
  void mark(const PairName& pair, std::string_view ns, std::string_view name) override;
  void put(const std::shared_ptr<const PairName>& pair, KeyRecord record, uint32_t marks) override;
  void erase(const std::shared_ptr<const PairName>& pair, std::string ns, std::string name, uint32_t marks) override;
  void put_pair(const std::shared_ptr<const PairName>& pair, PairRecord record) override;
  void erase_pair(const std::shared_ptr<const PairName>& pair) override;
  void load(const std::shared_ptr<const PairName>& pair, std::string after_ns, std::string after_name, Loop& loop, Loaded done) override;
  void flush(Loop& loop, std::function<void()> done) override;
  void detach() override {}
  const StoreStats& stats() const override { return stats_; }

  void store();
  void crash();
  void restart();
  // Nothing can be loaded or stored; what was there does not count any more.
  void fail_from_now_on();

  const KeyRecord* find(const PairName& pair, const std::string& ns, const std::string& name) const;
  std::optional<PairRecord> pair_record(const PairName& pair) const;

 private:
  using Key = std::pair<std::string, std::string>;
  void stored_soon();

  bool automatic_;
  bool failing_ = false;
  std::string term_;
  StoreStats stats_;
  WriteQueue queue_;
  Marks marks_;
  std::map<PairName, std::map<Key, KeyRecord>> keys_;
  std::map<PairName, PairRecord> pairs_;
};

}  // namespace gs::store
