#include "store/sqlite_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runtime/uv_loop.h"
#include "store/faulty_vfs.h"

namespace gs::store {
namespace {

namespace fs = std::filesystem;

class SqliteStoreTest : public testing::Test {
 protected:
  SqliteStoreTest() : pair_(std::make_shared<const PairName>(PairName{"tenant/c", "cluster-uid", "websites"})) {
    static int count = 0;
    // Memory where there is some: these tests open hundreds of files, each with its fsyncs.
    const fs::path root = access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm") : fs::temp_directory_path();
    dir_ = root / ("gs-store-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    fs::create_directories(dir_);
    path_ = dir_ / "state.db";
  }
  ~SqliteStoreTest() override {
    store_.reset();
    chmod(dir_.c_str(), 0700);
    fs::remove_all(dir_);
  }

  SqliteStore& open(const std::string& boot = "boot-1", const std::string& vfs = "") {
    store_.reset();
    SqliteStoreOptions options;
    options.path = path_;
    options.boot_id = boot;
    options.vfs = vfs;
    options.window = std::chrono::milliseconds(1);
    options.retry = std::chrono::milliseconds(1);
    store_ = std::make_unique<SqliteStore>(options);
    return *store_;
  }
  static KeyRecord record(const std::string& name, const std::string& version = "1") {
    KeyRecord out;
    out.ns = "ns";
    out.name = name;
    out.uid = "uid-of-" + name;
    out.version = version;
    out.settled = true;
    out.failures = 3;
    out.saved_at = WallTime(std::chrono::seconds(1000));
    out.requeue_at = WallTime(std::chrono::seconds(2000));
    out.basis = Digester().text("basis").finish();
    out.reads = Digester().text(name).finish();
    out.read_set = {{"apps", "v1", "deployments", "ns", name, false}};
    return out;
  }
  void put(const std::string& name, const std::string& version = "1") {
    store_->mark(*pair_, "ns", name);
    store_->put(pair_, record(name, version), 1);
  }
  void flush() {
    bool done = false;
    store_->flush(loop_, [&] { done = true; });
    loop_.run_until([&] { return done; });
  }
  Result<LoadedBatch> load(const std::string& after_ns = "", const std::string& after_name = "") {
    std::optional<Result<LoadedBatch>> out;
    store_->load(pair_, after_ns, after_name, loop_, [&](Result<LoadedBatch> batch) { out = std::move(batch); });
    loop_.run_until([&] { return out.has_value(); });
    return *std::move(out);
  }
  // "a=1 b=1 c?": names with versions; a question mark where it is not settled.
  std::string loaded() {
    auto batch = load();
    if (!batch) return "error: " + batch.error().message;
    std::string out;
    for (const KeyRecord& r : batch->records) out += (out.empty() ? "" : " ") + r.name + (r.settled ? "=" + r.version : "?");
    return out;
  }
  // As kill -9 leaves it: copies of the files as they are now become the next start's.
  void kill() {
    const fs::path copy = dir_ / "copy";
    fs::create_directories(copy);
    for (const char* end : {"", "-wal", "-marks"}) {
      if (fs::exists(path_ + end)) fs::copy_file(path_ + end, (copy / "state.db").string() + end, fs::copy_options::overwrite_existing);
    }
    store_.reset();
    for (const char* end : {"", "-wal", "-shm", "-marks"}) {
      fs::remove(path_ + end);
      if (fs::exists((copy / "state.db").string() + end)) fs::rename((copy / "state.db").string() + end, path_ + end);
    }
  }
  void flip(const std::string& path, size_t at) {
    std::fstream f(path, std::ios::in | std::ios::out | std::ios::binary);
    f.seekg(static_cast<std::streamoff>(at));
    const char c = static_cast<char>(f.get() ^ 0x41);
    f.seekp(static_cast<std::streamoff>(at));
    f.put(c);
  }

  fs::path dir_;
  std::string path_;
  UvLoop loop_;
  std::shared_ptr<const PairName> pair_;
  FaultyVfs vfs_{"faulty"};  // outlives the store
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(SqliteStoreTest, RecordsComeBackWholeAfterARestart) {
  open();
  EXPECT_EQ(loaded(), "");
  put("a");
  put("b");
  store_->put_pair(pair_, {"uid", 3, "configs", "r1"});
  EXPECT_EQ(loaded(), "a=1 b=1");
  open();
  EXPECT_EQ(loaded(), "a=1 b=1");
  EXPECT_EQ(load()->records[0], record("a"));
  EXPECT_TRUE(store_->stats().available);
  EXPECT_EQ(store_->stats().rows, 2);
}

TEST_F(SqliteStoreTest, TheLastPutWinsAndErasedRecordsAreGone) {
  open();
  put("a", "1");
  put("b", "1");
  put("a", "2");
  store_->mark(*pair_, "ns", "b");
  store_->erase(pair_, "ns", "b", 1);
  EXPECT_EQ(loaded(), "a=2");
  put("c");
  store_->erase_pair(pair_);
  put("d");
  EXPECT_EQ(loaded(), "d=1");
}

TEST_F(SqliteStoreTest, OnlyWhatWasStoredInTheTermBeforeCounts) {
  struct Row {
    const char* what;
    const char* now;
    const char* before;
    const char* loaded;
  };
  const Row rows[] = {
      {"the first", "lease/4", "lease/3", ""},
      {"a restart", "lease/5", "lease/4", "a=1"},
      {"another plane led", "lease/7", "lease/6", ""},
      {"another lease of that name", "other/7", "other/6", ""},
      {"no lease any more", "alone", "alone", ""},
      {"a restart without a lease", "alone", "alone", "a=1"},
  };
  for (const Row& row : rows) {
    open().begin_term(row.now, row.before);
    EXPECT_EQ(loaded(), row.loaded) << row.what;
    put("a");
    flush();
  }
}

TEST_F(SqliteStoreTest, AFileOfBeforeTermsIsReadOnceAndDoesNotCount) {
  open();
  put("a");
  store_.reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "ALTER TABLE run DROP COLUMN term; PRAGMA user_version=1", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  open().begin_term("alone", "alone");
  EXPECT_EQ(loaded(), "");
  put("a");
  open().begin_term("alone", "alone");
  EXPECT_EQ(loaded(), "a=1");
}

TEST_F(SqliteStoreTest, AFileMadeAnewIsOfTheSameTerm) {
  open("boot-1", "faulty").begin_term("lease/5", "lease/4");
  put("a");
  flush();
  vfs_.code = SQLITE_FULL;
  vfs_.good = 0;
  put("b");
  flush();
  vfs_.good = -1;
  usleep(5000);
  put("c");
  flush();
  open().begin_term("lease/6", "lease/5");
  EXPECT_EQ(loaded(), "c=1");
}

TEST_F(SqliteStoreTest, ManyRecordsAreReadInBatches) {
  open();
  for (int i = 0; i < 1300; ++i) put(fmt::format("k{:04}", i));
  size_t seen = 0, batches = 0;
  std::string after_ns, after_name;
  while (true) {
    const auto batch = load(after_ns, after_name);
    ASSERT_TRUE(batch);
    ++batches;
    seen += batch->records.size();
    if (batch->last) break;
    after_ns = batch->records.back().ns;
    after_name = batch->records.back().name;
  }
  EXPECT_EQ(seen, 1300u);
  EXPECT_EQ(batches, 3u);
}

TEST_F(SqliteStoreTest, AMarkedKeyIsUnsettledNowAndAfterADeath) {
  open();
  put("a");
  put("b");
  flush();
  store_->mark(*pair_, "ns", "a");
  EXPECT_EQ(loaded(), "a? b=1");
  kill();
  open();
  EXPECT_EQ(loaded(), "a? b=1") << "the mark survives the process";
  kill();
  open();
  EXPECT_EQ(loaded(), "a? b=1") << "and is part of the record from then on";
  put("a", "2");
  EXPECT_EQ(loaded(), "a=2 b=1");
}

TEST_F(SqliteStoreTest, AMarkStandsUntilTheRecordAfterItIsStored) {
  open();
  put("a");
  flush();
  // Two attempts; only the first one's record is stored when it is killed.
  store_->mark(*pair_, "ns", "a");
  store_->put(pair_, record("a", "2"), 1);
  flush();
  store_->mark(*pair_, "ns", "a");
  kill();
  open();
  EXPECT_EQ(loaded(), "a?");
}

TEST_F(SqliteStoreTest, WhenTheMachineWentDownNothingStoredIsSettled) {
  open("boot-1");
  put("a");
  flush();
  kill();
  open("boot-2");
  EXPECT_EQ(loaded(), "a?");
  put("a");
  flush();
  store_.reset();
  open("boot-3");
  EXPECT_EQ(loaded(), "a=1") << "it was closed before";
  kill();
  open("");
  EXPECT_EQ(loaded(), "a?") << "an unknown boot is another boot";
}

TEST_F(SqliteStoreTest, MissingMarksSettleNothing) {
  open();
  put("a");
  store_.reset();
  fs::remove(path_ + "-marks");
  open();
  EXPECT_EQ(loaded(), "a?");
}

TEST_F(SqliteStoreTest, FilesAreForTheOwnerOnly) {
  std::ofstream(path_).close();
  chmod(path_.c_str(), 0644);
  open();
  put("a");
  flush();
  for (const char* end : {"", "-wal", "-shm", "-marks"}) {
    struct stat info {};
    ASSERT_EQ(stat((path_ + end).c_str(), &info), 0) << end;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << end;
  }
}

TEST_F(SqliteStoreTest, AFileInUseIsLeftAlone) {
  open();
  put("a");
  flush();
  SqliteStoreOptions options;
  options.path = path_;
  {
    SqliteStore second(options);
    second.put(pair_, record("intruder"), 0);
    EXPECT_FALSE(second.stats().available);
    EXPECT_EQ(second.stats().errors, 1u);
  }
  EXPECT_EQ(loaded(), "a=1");
}

TEST_F(SqliteStoreTest, ANewerSchemaIsPutAsideAndADatabaseOfSomebodyElseIsNotTouched) {
  open();
  put("a");
  store_.reset();
  const auto sql = [&](const std::string& text) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
  };
  sql("PRAGMA user_version = 99");
  open();
  EXPECT_EQ(loaded(), "");
  put("b");
  EXPECT_EQ(loaded(), "b=1");
  EXPECT_TRUE(fs::exists(path_ + ".newer"));
  store_.reset();
  sql("PRAGMA application_id = 7");
  open();
  EXPECT_THAT(loaded(), testing::StartsWith("error"));
  put("c");
  flush();
  store_.reset();
  sql("PRAGMA application_id = " + std::to_string(SqliteFile::kApplicationId));
  open();
  EXPECT_EQ(loaded(), "b=1");
}

// Whatever byte is wrong, what is loaded is a part of what was stored.
TEST_F(SqliteStoreTest, DamagedBytesNeverGiveAnotherRecord) {
  open();
  for (int i = 0; i < 100; ++i) put("k" + std::to_string(i));
  flush();
  store_.reset();
  std::ifstream in(path_, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Random random(7);
  int lost = 0;
  for (int round = 0; round < 300; ++round) {
    fs::remove_all(path_ + "-wal");
    fs::remove_all(path_ + "-shm");
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << (round % 10 == 9 ? good.substr(0, random.below(good.size())) : good);
    if (round % 10 != 9) flip(path_, random.below(good.size()));
    open();
    const auto batch = load();
    lost += !batch || batch->records.size() < 100;
    if (!batch) continue;
    for (const KeyRecord& r : batch->records) {
      KeyRecord want = record(r.name);
      want.settled = r.settled;
      ASSERT_EQ(r, want) << "round " << round;
    }
    put("new");
    flush();
    ASSERT_TRUE(store_->stats().available) << "round " << round;
  }
  EXPECT_GT(lost, 100) << "the damage was seen";
}

TEST_F(SqliteStoreTest, ADamagedFileIsPutAside) {
  std::ofstream(path_) << std::string(5000, 'x');
  open();
  put("a");
  EXPECT_EQ(loaded(), "a=1");
  EXPECT_TRUE(fs::exists(path_ + ".damaged"));
}

TEST_F(SqliteStoreTest, AReadOnlyDirectoryMeansNoStateAndNothingElse) {
  path_ = "/proc/self/fd/state.db";  // where not even root may make a file
  open();
  put("a");
  EXPECT_THAT(loaded(), testing::StartsWith("error"));
  EXPECT_FALSE(store_->stats().available);
}

TEST_F(SqliteStoreTest, AMissingDirectoryMeansNoStateAndNothingElse) {
  path_ = dir_ / "missing" / "state.db";
  open();
  put("a");
  flush();
  EXPECT_THAT(loaded(), testing::StartsWith("error"));
  EXPECT_EQ(store_->stats().errors, 1u);
}

// At every place where the disk can fail: no loop waits, and the next start finds nothing stale.
TEST_F(SqliteStoreTest, AFailingDiskNeverLeavesStaleRecordsThatCount) {
  for (const int code : {SQLITE_FULL, SQLITE_IOERR}) {
    for (long good = 0; good < 60; ++good) {
      vfs_.good = -1;
      vfs_.code = code;
      open("boot-1", "faulty");
      put("a", "1");
      put("b", "1");
      flush();
      ASSERT_TRUE(store_->stats().available);
      vfs_.good = good;
      for (int i = 2; i < 6; ++i) {
        put("a", std::to_string(i));
        flush();
      }
      const bool failed = vfs_.good == 0;
      kill();
      vfs_.good = -1;
      open("boot-1", "faulty");
      const std::string now = loaded();
      // b was not touched: its record counts if there is any. a's is the last, or does not count.
      ASSERT_THAT(now, testing::AnyOf("", "b=1", "a? b=1", "a=5 b=1", "a=5")) << "code " << code << ", after " << good;
      if (!failed) {
        ASSERT_EQ(now, "a=5 b=1");
      }
    }
  }
}

TEST_F(SqliteStoreTest, AfterAFailureItIsTriedAgain) {
  open("boot-1", "faulty");
  put("a");
  flush();
  vfs_.code = SQLITE_FULL;
  vfs_.good = 0;
  put("b");
  flush();
  EXPECT_FALSE(store_->stats().available);
  EXPECT_GE(store_->stats().errors, 1u);
  vfs_.good = -1;
  usleep(5000);
  put("c");
  flush();
  put("d");
  EXPECT_EQ(loaded(), "c=1 d=1") << "what came before is gone for good";
}

TEST_F(SqliteStoreTest, AFullQueueDropsRecordsAndKeepsTheirMarks) {
  StoreStats stats;
  WriteQueue queue(stats);
  for (size_t i = 0; i < StateStore::kMaxPending + 10; ++i) queue.push_key(WriteOp::put(pair_, record(std::to_string(i)), 1));
  EXPECT_EQ(stats.dropped, 10u);
  queue.push_key(WriteOp::put(pair_, record("5", "2"), 1));
  EXPECT_EQ(stats.dropped, 10u) << "a key that waits already takes no room";
  const auto ops = queue.take_now();
  EXPECT_EQ(ops.size(), StateStore::kMaxPending);
  EXPECT_EQ(ops[5].record.version, "2");
  EXPECT_EQ(ops[5].marks, 2u);
}

}  // namespace
}  // namespace gs::store
