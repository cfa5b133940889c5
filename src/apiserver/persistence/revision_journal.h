// RevisionJournal: makes a store durable in a RevisionFile, in group commits: all that one turn of the loop
// wrote, and all that came while the disk was busy, is one transaction. The disk's calls run on a thread of
// their own (in a simulation inline, with a virtual delay); the loop never waits for them.
//
// A disk that fails: nothing more is acknowledged and writes are refused, in words, while what is pending
// is kept and tried again every second on the file opened anew. Once that is stored, all is as before.
#pragma once

#include <memory>

#include "apiserver/persistence/revision_file.h"

namespace gs::apiserver {

struct JournalStats {
  uint64_t commits = 0;
  uint64_t revisions = 0;
  uint64_t errors = 0;
};

// Runs `work` somewhere it may block, one after the other, then `done` on the loop.
class BlockingRunner {
 public:
  virtual ~BlockingRunner() = default;
  virtual void run(std::function<void()> work, std::function<void()> done) = 0;
};
// A thread for one file. Its destruction waits for the work it has.
std::unique_ptr<BlockingRunner> make_thread_runner(Loop& loop);
// Loop::run_blocking(): of a simulation.
std::unique_ptr<BlockingRunner> make_loop_runner(Loop& loop);

struct JournalOptions {
  RevisionFile::Options file;
  size_t max_pending_bytes = 16 * 1024 * 1024;  // beyond it writes wait
  Duration retry = std::chrono::seconds(1);
  bool simulated = false;
};

class RevisionJournal final : public Journal, private TurnEndHook {
 public:
  // Opens the file, fills the store, which must be empty, and is its journal from now on. Blocks. Errors: of
  // RevisionFile::open() and load().
  static Result<std::unique_ptr<RevisionJournal>> open(Loop& loop, Store& store, JournalOptions options);
  // Waits for the transaction under way; what is pending behind it was acknowledged to nobody, and is lost.
  ~RevisionJournal() override;

  void append(Revision revision) override;
  void forget(uint64_t compacted, const std::vector<uint64_t>& garbage) override;
  bool has_room() const override { return pending_bytes_ < options_.max_pending_bytes; }
  // Everything is on the disk, or the disk fails, or the deadline comes.
  Task<Status> flush(MonoTime deadline);
  const JournalStats& stats() const { return stats_; }

 private:
  // What the thread works on; it may outlive the journal by one piece of work.
  struct Work {
    std::unique_ptr<RevisionFile> file;
    RevisionFile::Options options;
    RevisionFile::Batch batch;
    uint64_t version = 0;  // that the file came to
    Status result;
  };
  RevisionJournal(Loop& loop, Store& store, JournalOptions options);
  void turn_ended() override { submit(); }
  void submit();
  void run();
  void finished();
  static Status write(Work& work);

  Loop& loop_;
  Store& store_;
  JournalOptions options_;
  JournalStats stats_;
  RevisionFile::Batch pending_;
  size_t pending_bytes_ = 0;  // with those under way
  size_t busy_bytes_ = 0;
  bool busy_ = false;
  std::shared_ptr<Work> work_;
  CallbackTimer retry_;
  WaitQueue idle_;
  std::shared_ptr<RevisionJournal*> self_;  // null within once this is gone
  std::unique_ptr<BlockingRunner> runner_;
};

}  // namespace gs::apiserver
