// SqliteStore: a StateStore over one SQLite file, written by one thread of its own. Nothing that
// happens to the disk stops or delays a loop: at the first error of writing the file is removed (so
// that nothing stale can count), which is said in the log, and tried anew later.
#pragma once

#include <thread>

#include "store/sqlite_file.h"
#include "store/write_queue.h"

namespace gs::store {

struct SqliteStoreOptions {
  std::string path;
  std::string boot_id = machine_boot_id();
  std::string vfs;  // for tests
  // How long writes are gathered into one transaction, and how soon a file that failed is tried again.
  std::chrono::milliseconds window{20};
  std::chrono::milliseconds retry{30'000};
  std::function<WallTime()> wall_now;  // of the caller's clock; called on the thread

  // Linux's /proc/sys/kernel/random/boot_id; empty where there is none.
  static std::string machine_boot_id();
};

class SqliteStore final : public StateStore {
 public:
  // Never fails: a file that cannot be used is an unavailable store, and the log says why.
  explicit SqliteStore(SqliteStoreOptions options);
  // Stores what is pending and closes the file as clean.
  ~SqliteStore() override;

  void begin_term(std::string now, std::string before) override;
  void mark(const PairName& pair, std::string_view ns, std::string_view name) override;
  void put(const std::shared_ptr<const PairName>& pair, KeyRecord record, uint32_t marks) override;
  void erase(const std::shared_ptr<const PairName>& pair, std::string ns, std::string name, uint32_t marks) override;
  void put_pair(const std::shared_ptr<const PairName>& pair, PairRecord record) override;
  void erase_pair(const std::shared_ptr<const PairName>& pair) override;
  void load(const std::shared_ptr<const PairName>& pair, std::string after_ns, std::string after_name, Loop& loop, Loaded done) override;
  void flush(Loop& loop, std::function<void()> done) override;
  void detach() override;
  const StoreStats& stats() const override { return stats_; }

 private:
  static constexpr std::chrono::seconds kCountPeriod{30};
  void run();
  void open_file();
  void store(std::vector<WriteOp>& ops);
  Status apply(const WriteOp& op);
  Status begin_term_now(const WriteOp& op);
  Status commit();
  void release(bool stored);
  void answer(WriteOp& op);
  Result<LoadedBatch> load_now(const WriteOp& op);
  void give_up(const Error& why);

  SqliteStoreOptions options_;
  StoreStats stats_;
  WriteQueue queue_;
  std::mutex answering_;  // held while a loop is called
  bool detached_ = false;
  std::unique_ptr<Marks> marks_;  // null: nothing is ever stored
  // Of the thread.
  std::unique_ptr<SqliteFile> file_;
  std::string term_;
  bool in_transaction_ = false;
  std::vector<std::pair<uint32_t, uint32_t>> to_release_;  // slots and marks of the open transaction
  std::chrono::steady_clock::time_point try_at_{};
  std::chrono::steady_clock::time_point count_at_{};
  bool stale_ = false;  // a file is there that could not be removed
  std::thread thread_;
};

}  // namespace gs::store
