#include "store/memory_store.h"

#include "base/mutation.h"

namespace gs::store {

void MemoryStore::begin_term(std::string now, std::string before) {
  queue_.push(WriteOp::begin_term(std::move(now), std::move(before)));
  stored_soon();
}

void MemoryStore::mark(const PairName& pair, std::string_view ns, std::string_view name) { marks_.set(Marks::slot_of(pair, ns, name)); }

void MemoryStore::put(const std::shared_ptr<const PairName>& pair, KeyRecord record, uint32_t marks) {
  queue_.push_key(WriteOp::put(pair, std::move(record), marks));
  stored_soon();
}

void MemoryStore::erase(const std::shared_ptr<const PairName>& pair, std::string ns, std::string name, uint32_t marks) {
  queue_.push_key(WriteOp::erase(pair, std::move(ns), std::move(name), marks));
  stored_soon();
}

void MemoryStore::put_pair(const std::shared_ptr<const PairName>& pair, PairRecord record) {
  queue_.push(WriteOp::put_pair(pair, std::move(record)));
  stored_soon();
}

void MemoryStore::erase_pair(const std::shared_ptr<const PairName>& pair) {
  queue_.push(WriteOp::erase_pair(pair));
  stored_soon();
}

void MemoryStore::stored_soon() {
  if (automatic_) store();
}

void MemoryStore::store() {
  for (const WriteOp& op : queue_.take_now()) {
    if (failing_) {
      marks_.release(op.slot, op.marks);
      continue;
    }
    const Key key(op.record.ns, op.record.name);
    switch (op.kind) {
      case WriteOp::Kind::kTerm:
        if (term_ != op.term_before && !mutated(Mutation::kForeignTermTrusted)) keys_.clear();
        term_ = op.term;
        break;
      case WriteOp::Kind::kPut: keys_[*op.pair][key] = op.record; break;
      case WriteOp::Kind::kErase: keys_[*op.pair].erase(key); break;
      case WriteOp::Kind::kPutPair: pairs_[*op.pair] = op.pair_record; break;
      case WriteOp::Kind::kErasePair:
        keys_.erase(*op.pair);
        pairs_.erase(*op.pair);
        break;
      default: break;
    }
    stats_.written += 1;
    marks_.release(op.slot, op.marks);
  }
}

void MemoryStore::crash() { queue_.take_now(); }

void MemoryStore::restart() {
  for (auto& [pair, records] : keys_) {
    for (auto& [key, record] : records) {
      if (marks_.marked(Marks::slot_of(pair, key.first, key.second))) record.settled = false;
    }
  }
  marks_.clear();
}

void MemoryStore::fail_from_now_on() {
  failing_ = true;
  stats_.available = false;
  stats_.errors += 1;
  keys_.clear();
  pairs_.clear();
}

void MemoryStore::load(const std::shared_ptr<const PairName>& pair, std::string after_ns, std::string after_name, Loop& loop, Loaded done) {
  store();
  Result<LoadedBatch> out = LoadedBatch();
  if (failing_) {
    out = fail(Code::kUnavailable, "state is not kept");
  } else {
    const auto& records = keys_[*pair];
    auto at = records.upper_bound(Key(after_ns, after_name));
    for (; at != records.end() && out->records.size() < kBatch; ++at) {
      out->records.push_back(at->second);
      if (marks_.marked(Marks::slot_of(*pair, at->second.ns, at->second.name))) out->records.back().settled = false;
    }
    out->last = at == records.end();
  }
  loop.post([done = std::move(done), out = std::move(out)]() mutable { done(std::move(out)); });
}

void MemoryStore::flush(Loop& loop, std::function<void()> done) {
  store();
  loop.post(std::move(done));
}

const KeyRecord* MemoryStore::find(const PairName& pair, const std::string& ns, const std::string& name) const {
  const auto records = keys_.find(pair);
  if (records == keys_.end()) return nullptr;
  const auto found = records->second.find(Key(ns, name));
  return found == records->second.end() ? nullptr : &found->second;
}

std::optional<PairRecord> MemoryStore::pair_record(const PairName& pair) const {
  const auto found = pairs_.find(pair);
  return found == pairs_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace gs::store
