#include "store/sqlite_store.h"

#include <fstream>

#include "base/log.h"

namespace gs::store {

std::string SqliteStoreOptions::machine_boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string out;
  std::getline(in, out);
  return out;
}

SqliteStore::SqliteStore(SqliteStoreOptions options) : options_(std::move(options)), queue_(stats_) {
  // Before anything is reconciled, since mark() needs it at once.
  auto marks = Marks::open(options_.path + "-marks");
  if (!marks) {
    stats_.errors += 1;
    log::error("state is not kept: everything is reconciled, now and after the next start", {{"file", options_.path}, {"err", marks.error()}});
    return;
  }
  marks_ = *std::move(marks);
  thread_ = std::thread([this] { run(); });
}

SqliteStore::~SqliteStore() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

void SqliteStore::begin_term(std::string now, std::string before) {
  if (marks_) queue_.push(WriteOp::begin_term(std::move(now), std::move(before)));
}

void SqliteStore::mark(const PairName& pair, std::string_view ns, std::string_view name) {
  if (marks_) marks_->set(Marks::slot_of(pair, ns, name));
}

void SqliteStore::put(const std::shared_ptr<const PairName>& pair, KeyRecord record, uint32_t marks) {
  if (marks_) queue_.push_key(WriteOp::put(pair, std::move(record), marks));
}

void SqliteStore::erase(const std::shared_ptr<const PairName>& pair, std::string ns, std::string name, uint32_t marks) {
  if (marks_) queue_.push_key(WriteOp::erase(pair, std::move(ns), std::move(name), marks));
}

void SqliteStore::put_pair(const std::shared_ptr<const PairName>& pair, PairRecord record) {
  if (marks_) queue_.push(WriteOp::put_pair(pair, std::move(record)));
}

void SqliteStore::erase_pair(const std::shared_ptr<const PairName>& pair) {
  if (marks_) queue_.push(WriteOp::erase_pair(pair));
}

void SqliteStore::load(const std::shared_ptr<const PairName>& pair, std::string after_ns, std::string after_name, Loop& loop, Loaded done) {
  if (marks_) return queue_.push(WriteOp::load(pair, std::move(after_ns), std::move(after_name), loop, std::move(done)));
  loop.post([done = std::move(done)] { done(fail(Code::kUnavailable, "state is not kept")); });
}

void SqliteStore::flush(Loop& loop, std::function<void()> done) {
  if (marks_) return queue_.push(WriteOp::flush(loop, std::move(done)));
  loop.post(std::move(done));
}

void SqliteStore::detach() {
  const std::lock_guard lock(answering_);
  detached_ = true;
}

// From here on: the thread.

void SqliteStore::run() {
  open_file();
  while (true) {
    std::vector<WriteOp> ops = queue_.take(options_.window);
    if (ops.empty()) break;
    if (!file_ && std::chrono::steady_clock::now() >= try_at_) open_file();
    store(ops);
  }
  if (file_ && !(marks_->sync() && file_->close_clean())) log::warning("state file could not be closed cleanly", {{"file", options_.path}});
}

void SqliteStore::open_file() {
  // A file that failed and could not be removed holds records of before; it must not be believed.
  if (stale_ && !SqliteFile::remove(options_.path)) {
    try_at_ = std::chrono::steady_clock::now() + options_.retry;
    return;
  }
  stale_ = false;
  SqliteFile::Options options;
  options.path = options_.path;
  options.boot_id = options_.boot_id;
  options.vfs = options_.vfs;
  options.now = options_.wall_now ? options_.wall_now() : WallTime(std::chrono::system_clock::now());
  auto opened = SqliteFile::open(options, *marks_);
  if (!opened) {
    if (opened.error().code == Code::kForbidden) {
      stats_.errors += 1;
      try_at_ = std::chrono::steady_clock::time_point::max();
      log::error("state is not kept: everything is reconciled, now and after the next start", {{"file", options_.path}, {"err", opened.error()}});
      return;
    }
    return give_up(opened.error());
  }
  file_ = std::move(opened->file);
  // One that is made anew in the middle of a term.
  if (!term_.empty()) {
    if (const auto continued = file_->begin_term(term_, term_); !continued) return give_up(continued.error());
  }
  stats_.available = true;
  stats_.rows = static_cast<int64_t>(opened->keys);
  if (opened->reason.empty()) {
    log::info("state file is read", {{"file", options_.path}, {"keys", opened->keys}, {"inFlightWhenItEnded", opened->unsettled_by_marks}});
  } else {
    log::warning("state cannot be used: everything is reconciled", {{"file", options_.path}, {"reason", opened->reason}});
  }
}

void SqliteStore::give_up(const Error& why) {
  stats_.errors += 1;
  stats_.available = false;
  in_transaction_ = false;
  file_.reset();
  stale_ = !SqliteFile::remove(options_.path);
  try_at_ = std::chrono::steady_clock::now() + options_.retry;
  log::error(stale_ ? "state cannot be kept, and its file cannot be removed: remove it before the next start"
                    : "state cannot be kept for now: everything would be reconciled after a restart",
             {{"file", options_.path}, {"err", why}});
  release(!stale_);
}

// Once its transaction is done with, a record's marks are taken back; also where the file is gone, since
// nothing stale is left. They stay where a stale file does.
void SqliteStore::release(bool stored) {
  if (stored) {
    for (const auto& [slot, count] : to_release_) marks_->release(slot, count);
  }
  to_release_.clear();
}

Status SqliteStore::apply(const WriteOp& op) {
  if (!in_transaction_) {
    GS_TRY_STATUS(file_->begin());
    in_transaction_ = true;
  }
  switch (op.kind) {
    case WriteOp::Kind::kTerm: return begin_term_now(op);
    case WriteOp::Kind::kPut: return file_->put(*op.pair, op.record);
    case WriteOp::Kind::kErase: return file_->erase(*op.pair, op.record.ns, op.record.name);
    case WriteOp::Kind::kPutPair: {
      const WallTime now = options_.wall_now ? options_.wall_now() : WallTime(std::chrono::system_clock::now());
      return file_->put_pair(*op.pair, op.pair_record, now);
    }
    case WriteOp::Kind::kErasePair: return file_->erase_pair(*op.pair);
    default: return ok();
  }
}

Status SqliteStore::begin_term_now(const WriteOp& op) {
  GS_TRY(const bool continued, file_->begin_term(op.term, op.term_before));
  if (!continued) log::warning("state cannot be used: everything is reconciled", {{"file", options_.path}, {"reason", "another plane led since it was stored"}});
  return ok();
}

Status SqliteStore::commit() {
  if (!in_transaction_) return ok();
  in_transaction_ = false;
  GS_TRY_STATUS(file_->commit());
  stats_.transactions += 1;
  stats_.written += to_release_.size();
  release(true);
  return ok();
}

void SqliteStore::store(std::vector<WriteOp>& ops) {
  for (WriteOp& op : ops) {
    const bool write = op.kind != WriteOp::Kind::kLoad && op.kind != WriteOp::Kind::kFlush;
    const bool key = op.kind == WriteOp::Kind::kPut || op.kind == WriteOp::Kind::kErase;
    if (op.kind == WriteOp::Kind::kTerm) term_ = op.term;  // also of a file that is made later
    if (file_) {
      const Status status = write ? apply(op) : commit();
      if (!status) give_up(status.error());
    }
    if (key) {
      to_release_.emplace_back(op.slot, op.marks);
      if (!file_) {
        stats_.dropped += 1;
        release(!stale_);
      }
    }
    if (!write) answer(op);
  }
  if (!file_) return;
  if (const Status status = commit(); !status) return give_up(status.error());
  // Counting reads the whole table.
  const auto now = std::chrono::steady_clock::now();
  if (now < count_at_) return;
  count_at_ = now + kCountPeriod;
  if (const auto rows = file_->count()) stats_.rows = static_cast<int64_t>(*rows);
}

void SqliteStore::answer(WriteOp& op) {
  const bool flush = op.kind == WriteOp::Kind::kFlush;
  Result<LoadedBatch> batch = flush ? LoadedBatch() : load_now(op);
  const std::lock_guard lock(answering_);
  if (detached_) return;
  if (flush) return op.loop->post(std::move(op.flushed));
  op.loop->post([done = std::move(op.loaded), batch = std::move(batch)]() mutable { done(std::move(batch)); });
}

Result<LoadedBatch> SqliteStore::load_now(const WriteOp& op) {
  if (!file_) return fail(Code::kUnavailable, "state is not kept");
  auto records = file_->load(*op.pair, op.record.ns, op.record.name, kBatch);
  if (!records) {
    give_up(records.error());
    return fail(std::move(records).error());
  }
  LoadedBatch out;
  out.records = *std::move(records);
  out.last = out.records.size() < kBatch;
  // A mark that came since the record was stored.
  for (KeyRecord& record : out.records) {
    if (marks_->marked(Marks::slot_of(*op.pair, record.ns, record.name))) record.settled = false;
  }
  return out;
}

}  // namespace gs::store
