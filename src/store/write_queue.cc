#include "store/write_queue.h"

namespace gs::store {

WriteOp WriteOp::begin_term(std::string now, std::string before) {
  WriteOp op;
  op.kind = Kind::kTerm;
  op.term = std::move(now);
  op.term_before = std::move(before);
  return op;
}

WriteOp WriteOp::put(const Pair& pair, KeyRecord record, uint32_t marks) {
  WriteOp op;
  op.pair = pair;
  op.slot = Marks::slot_of(*pair, record.ns, record.name);
  op.marks = marks;
  op.record = std::move(record);
  return op;
}

WriteOp WriteOp::erase(const Pair& pair, std::string ns, std::string name, uint32_t marks) {
  WriteOp op;
  op.kind = Kind::kErase;
  op.pair = pair;
  op.slot = Marks::slot_of(*pair, ns, name);
  op.marks = marks;
  op.record.ns = std::move(ns);
  op.record.name = std::move(name);
  return op;
}

WriteOp WriteOp::put_pair(const Pair& pair, PairRecord record) {
  WriteOp op;
  op.kind = Kind::kPutPair;
  op.pair = pair;
  op.pair_record = std::move(record);
  return op;
}

WriteOp WriteOp::erase_pair(const Pair& pair) {
  WriteOp op;
  op.kind = Kind::kErasePair;
  op.pair = pair;
  return op;
}

WriteOp WriteOp::load(const Pair& pair, std::string after_ns, std::string after_name, Loop& loop, StateStore::Loaded done) {
  WriteOp op;
  op.kind = Kind::kLoad;
  op.pair = pair;
  op.record.ns = std::move(after_ns);
  op.record.name = std::move(after_name);
  op.loop = &loop;
  op.loaded = std::move(done);
  return op;
}

WriteOp WriteOp::flush(Loop& loop, std::function<void()> done) {
  WriteOp op;
  op.kind = Kind::kFlush;
  op.loop = &loop;
  op.flushed = std::move(done);
  return op;
}

void WriteQueue::push_key(WriteOp op) {
  std::string key;
  const PairName& pair = *op.pair;
  for (const std::string_view part : {std::string_view(pair.cluster), std::string_view(pair.cluster_uid), std::string_view(pair.controller),
                                      std::string_view(op.record.ns), std::string_view(op.record.name)}) {
    key.append(part).push_back('\0');
  }
  const std::lock_guard lock(mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    op.marks += ops_[found->second].marks;
    ops_[found->second] = std::move(op);
    return;
  }
  if (by_key_.size() >= StateStore::kMaxPending || closed_) {
    stats_.dropped += 1;
    return;
  }
  by_key_.emplace(std::move(key), ops_.size());
  ops_.push_back(std::move(op));
  stats_.pending = static_cast<int64_t>(ops_.size());
  if (ops_.size() == 1) filled_.notify_one();
}

void WriteQueue::push(WriteOp op) {
  const std::lock_guard lock(mutex_);
  // What follows is stored after this, so it must not take the place of what came before.
  by_key_.clear();
  urgent_ = urgent_ || op.kind == WriteOp::Kind::kLoad || op.kind == WriteOp::Kind::kFlush;
  ops_.push_back(std::move(op));
  stats_.pending = static_cast<int64_t>(ops_.size());
  filled_.notify_one();
}

void WriteQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  filled_.notify_one();
}

std::vector<WriteOp> WriteQueue::swap_locked() {
  std::vector<WriteOp> out;
  out.swap(ops_);
  by_key_.clear();
  urgent_ = false;
  stats_.pending = 0;
  return out;
}

std::vector<WriteOp> WriteQueue::take(std::chrono::milliseconds window) {
  std::unique_lock lock(mutex_);
  filled_.wait(lock, [this] { return closed_ || !ops_.empty(); });
  filled_.wait_for(lock, window, [this] { return closed_ || urgent_; });
  return swap_locked();
}

std::vector<WriteOp> WriteQueue::take_now() {
  const std::lock_guard lock(mutex_);
  return swap_locked();
}

}  // namespace gs::store
