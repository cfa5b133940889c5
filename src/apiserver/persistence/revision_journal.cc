#include "apiserver/persistence/revision_journal.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace gs::apiserver {
namespace {

class LoopRunner final : public BlockingRunner {
 public:
  explicit LoopRunner(Loop& loop) : loop_(loop) {}
  void run(std::function<void()> work, std::function<void()> done) override { loop_.run_blocking(std::move(work), std::move(done)); }

 private:
  Loop& loop_;
};

class ThreadRunner final : public BlockingRunner {
 public:
  explicit ThreadRunner(Loop& loop) : loop_(loop), thread_([this] { serve(); }) {}
  ~ThreadRunner() override {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    filled_.notify_one();
    thread_.join();
  }
  void run(std::function<void()> work, std::function<void()> done) override {
    {
      const std::lock_guard lock(mutex_);
      jobs_.emplace_back(std::move(work), std::move(done));
    }
    filled_.notify_one();
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      filled_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      auto [work, done] = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      work();
      loop_.post(std::move(done));
      lock.lock();
    }
  }

  Loop& loop_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::pair<std::function<void()>, std::function<void()>>> jobs_;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<BlockingRunner> make_thread_runner(Loop& loop) { return std::make_unique<ThreadRunner>(loop); }
std::unique_ptr<BlockingRunner> make_loop_runner(Loop& loop) { return std::make_unique<LoopRunner>(loop); }

RevisionJournal::RevisionJournal(Loop& loop, Store& store, JournalOptions options)
    : loop_(loop),
      store_(store),
      options_(std::move(options)),
      work_(std::make_shared<Work>()),
      retry_(loop, [this] { run(); }),
      idle_(loop),
      self_(std::make_shared<RevisionJournal*>(this)),
      runner_(options_.simulated ? make_loop_runner(loop) : make_thread_runner(loop)) {
  work_->options = options_.file;
}

RevisionJournal::~RevisionJournal() {
  *self_ = nullptr;
  runner_.reset();
}

Result<std::unique_ptr<RevisionJournal>> RevisionJournal::open(Loop& loop, Store& store, JournalOptions options) {
  GS_CHECK(store.size() == 0);
  GS_TRY(std::unique_ptr<RevisionFile> file, RevisionFile::open(options.file));
  const uint64_t compacted = file->compacted();
  GS_TRY_STATUS(file->load([&](Revision revision) { store.restore(std::move(revision), compacted); }));
  std::unique_ptr<RevisionJournal> out(new RevisionJournal(loop, store, std::move(options)));
  const uint64_t version = file->version();
  out->work_->version = version;
  out->work_->file = std::move(file);
  store.begin(*out, version, compacted);
  return out;
}

void RevisionJournal::append(Revision revision) {
  pending_bytes_ += sizeof(Revision) + (revision.object ? revision.object->bytes() : 0);
  pending_.version = revision.version;
  pending_.revisions.push_back(std::move(revision));
  loop_.at_turn_end(*this);
}

void RevisionJournal::forget(uint64_t compacted, const std::vector<uint64_t>& garbage) {
  pending_.compacted = compacted;
  pending_.garbage.insert(pending_.garbage.end(), garbage.begin(), garbage.end());
  loop_.at_turn_end(*this);
}

void RevisionJournal::submit() {
  if (busy_ || (pending_.revisions.empty() && pending_.garbage.empty())) return;
  busy_ = true;
  pending_.version = std::max(pending_.version, store_.durable_version());
  busy_bytes_ = pending_bytes_;
  work_->batch = std::exchange(pending_, {});
  run();
}

// The work holds what it works on, not the journal, which may go meanwhile.
void RevisionJournal::run() {
  runner_->run([work = work_] { work->result = write(*work); },
               [self = self_] {
                 if (*self != nullptr) (*self)->finished();
               });
}

Status RevisionJournal::write(Work& work) {
  if (!work.file) {
    // It says itself what it has: a failed commit may have come through.
    GS_TRY(auto file, RevisionFile::open(work.options));
    if (file->version() < work.version) {
      return fail(Code::kInvalid, "{}: it was replaced while it was in use: it has version {}, not {}", work.options.path, file->version(), work.version);
    }
    work.file = std::move(file);
  }
  Status written = work.file->write(work.batch);
  if (!written) {
    work.file.reset();
    return written;
  }
  work.version = work.file->version();
  return written;
}

void RevisionJournal::finished() {
  if (!work_->result) {
    ++stats_.errors;
    const Error why = Error(work_->result.error()).with_context("the disk fails");
    if (store_.health()) log::error("objects cannot be stored: writes are refused until they can", {{"file", options_.file.path}, {"err", work_->result.error()}});
    store_.set_health(fail(why));
    idle_.wake_all();
    retry_.arm_after(options_.retry);
    return;
  }
  if (!store_.health()) {
    log::info("objects can be stored again", {{"file", options_.file.path}});
    store_.set_health(ok());
  }
  ++stats_.commits;
  stats_.revisions += work_->batch.revisions.size();
  pending_bytes_ -= busy_bytes_;
  busy_ = false;
  store_.made_durable(work_->batch.version);
  work_->batch = {};
  submit();
  if (!busy_) idle_.wake_all();
}

Task<Status> RevisionJournal::flush(MonoTime deadline) {
  while (busy_ || !pending_.revisions.empty()) {
    if (!store_.health()) co_return store_.health();
    const bool woken = co_await idle_.wait(deadline);
    if (!woken) co_return fail(Code::kDeadlineExceeded, "the disk takes too long");
  }
  co_return ok();
}

}  // namespace gs::apiserver
