// What a restart finds of a store, and what a failing disk does to it. Files are real, the loop is simulated;
// a crash is the end of the server at any moment, with what it had not handed to the disk.
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "apiserver/api_server.h"
#include "gtest/gtest.h"
#include "runtime/sim_loop.h"
#include "runtime/uv_loop.h"
#include "store/faulty_vfs.h"

namespace gs::apiserver {
namespace {

using namespace std::chrono_literals;

class PersistenceTest : public testing::Test {
 protected:
  PersistenceTest() {
    char name[] = "/tmp/gulfstream-persistence-XXXXXX";
    directory = mkdtemp(name);
  }
  ~PersistenceTest() override {
    server.reset();
    std::filesystem::remove_all(directory);
  }
  std::string path() const { return directory + "/objects.db"; }
  ApiServerOptions options() const {
    ApiServerOptions out;
    out.history = limits;
    out.persistence.emplace();
    out.persistence->file.path = path();
    out.persistence->file.vfs = vfs;
    out.persistence->simulated = true;
    return out;
  }
  Result<std::unique_ptr<ApiServer>> open() { return ApiServer::open(loop, options()); }
  // The process dies here and another one starts.
  void restart() {
    server.reset();
    auto opened = open();
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    server = *std::move(opened);
  }
  void settle() {
    const bool durable = world.run_until([&] { return store().durable_version() == store().version(); }, world.now() + 10s);
    EXPECT_TRUE(durable);
  }
  Store& store() { return server->store(); }
  const ResourceType& maps() { return *server->table().find("", "configmaps"); }

  StoredPtr put(const std::string& name, int value) {
    json::Value object;
    object["metadata"]["name"] = name;
    object["metadata"]["namespace"] = "default";
    object["data"]["v"] = std::to_string(value);
    return store().put(maps(), std::move(object), nullptr);
  }
  int value(const std::string& name) {
    const StoredPtr found = store().get(maps(), "default", name);
    return found ? std::atoi(std::string(found->value().text("data.v")).c_str()) : -1;
  }
  int64_t rows() {
    sqlite3* db = nullptr;
    sqlite3_stmt* statement = nullptr;
    sqlite3_open(path().c_str(), &db);
    sqlite3_prepare_v2(db, "SELECT count(*) FROM revisions", -1, &statement, nullptr);
    sqlite3_step(statement);
    const int64_t out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return out;
  }
  void sql(const std::string& text) {
    sqlite3* db = nullptr;
    sqlite3_open(path().c_str(), &db);
    ASSERT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  SimWorld world{11};
  SimLoop& loop = world.add_loop();
  std::string directory;
  std::string vfs;
  HistoryLimits limits;
  std::unique_ptr<ApiServer> server;
};

TEST_F(PersistenceTest, ARestartFindsObjectsVersionsAndTheHistoryThatWatchesResumeFrom) {
  restart();
  const StoredPtr a = put("a", 1);
  put("b", 1);
  const StoredPtr later = put("a", 2);
  auto applied = std::make_shared<Applied>();
  (*applied)["me"]["data"]["v"] = "2";
  store().remember(maps(), later, applied);
  const StoredPtr gone = store().erase(maps(), "default", "b");
  settle();
  const uint64_t version = store().version();
  restart();
  EXPECT_EQ(store().version(), version);
  EXPECT_EQ(value("a"), 2);
  EXPECT_EQ(value("b"), -1);
  const StoredPtr now = store().get(maps(), "default", "a");
  EXPECT_EQ(now->version, later->version);
  EXPECT_EQ(now->json, later->json);
  ASSERT_TRUE(now->applied);
  EXPECT_EQ(now->applied->at("me").text("data.v"), "2");

  Collection& collection = store().collection(maps());
  const auto from = collection.after(a->version);
  ASSERT_TRUE(from.has_value());
  std::vector<std::string> seen;
  for (uint64_t n = *from; n < collection.end(); ++n) {
    const Change& change = collection.change(n);
    seen.push_back(fmt::format("{} {} {} {}", static_cast<int>(change.type), change.object->name, change.version, change.before ? change.before->version : 0));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{fmt::format("0 b {} 0", a->version + 1), fmt::format("1 a {} {}", later->version, a->version),
                                            fmt::format("2 b {} {}", gone->version, a->version + 1)}));
  EXPECT_EQ(store().list_at(maps(), "default", a->version)->size(), 1u) << "the past is told too";
}

TEST_F(PersistenceTest, VersionsNeverGoBackWhenTheNewestObjectsAreErasedAndCompacted) {
  restart();
  put("keep", 7);
  for (int i = 0; i < 20; ++i) put("a", i);
  store().erase(maps(), "default", "a");
  settle();
  store().compact();
  world.run_for(1s);
  const uint64_t version = store().version();
  server.reset();
  EXPECT_EQ(rows(), 5) << "four namespaces and one object are what there is";
  restart();
  EXPECT_EQ(store().version(), version);
  EXPECT_EQ(value("keep"), 7);
  EXPECT_FALSE(store().collection(maps()).after(version - 1).has_value()) << "what was compacted is too old after a restart too";
  EXPECT_FALSE(store().collection(*server->table().find("", "pods")).after(version - 1).has_value()) << "also of a resource that nothing is left of";
  EXPECT_TRUE(store().collection(maps()).after(version).has_value());
  EXPECT_EQ(put("b", 1)->version, version + 1);
}

TEST_F(PersistenceTest, ADroppedResourceIsGoneAndItsWatchesAreTooOld) {
  restart();
  const StoredPtr before = put("a", 1);
  store().drop(maps());
  put("b", 2);
  settle();
  restart();
  EXPECT_EQ(value("a"), -1);
  EXPECT_EQ(value("b"), 2);
  EXPECT_FALSE(store().collection(maps()).after(before->version).has_value());
}

TEST_F(PersistenceTest, HistoryIsBoundedByCountBytesAndAgeOnTheDiskToo) {
  limits.changes = 100;
  restart();
  for (int i = 0; i < 3000; ++i) put(fmt::format("n{}", i % 10), i);
  settle();
  world.run_for(1s);
  server.reset();
  EXPECT_LT(rows(), 100 + 600) << "rows of forgotten changes go in portions of 512";
  limits.changes = 100'000;
  limits.bytes = 20'000;
  restart();
  EXPECT_EQ(value("n9"), 2999);
  const auto kept = [&] { return store().collection(maps()).end() - store().collection(maps()).first(); };
  for (int i = 0; i < 1000; ++i) put("x", i);
  EXPECT_GT(kept(), 20u);
  EXPECT_LT(kept(), 150u);
  settle();
  limits = HistoryLimits();
  restart();
  const uint64_t old = store().version();
  put("x", 1);
  world.run_for(6min);
  put("x", 2);
  EXPECT_EQ(kept(), 1u) << "as old as etcd's compaction";
  EXPECT_FALSE(store().collection(maps()).after(old).has_value());
  settle();
}

TEST_F(PersistenceTest, WhatWasNotDurableMayBeLostAndNothingElseIs) {
  restart();
  for (int i = 0; i < 200; ++i) {
    put("a", i);
    if (i % 3 != 0) world.run_for(loop.random().between(Duration::zero(), 3ms));
    const uint64_t durable = store().durable_version();
    const uint64_t written = store().version();
    restart();
    ASSERT_GE(store().version(), durable);
    ASSERT_LE(store().version(), written);
    // The object's own version tells which write it is.
    const StoredPtr found = store().get(maps(), "default", "a");
    if (found) {
      ASSERT_LE(found->version, written);
    }
  }
}

TEST_F(PersistenceTest, ADiskThatFailsAtAnyOperationLosesNothingThatWasAcknowledged) {
  store::FaultyVfs faulty("faulty-apiserver");
  vfs = faulty.name();
  int failures = 0;
  for (const int code : {SQLITE_FULL, SQLITE_IOERR}) {
    for (long at = 0; at < 40; ++at) {
      std::filesystem::remove_all(directory);
      std::filesystem::create_directory(directory);
      faulty.good = -1;
      restart();
      put("a", 0);
      settle();
      faulty.code = code;
      faulty.good = at;
      std::map<std::string, int> acknowledged{{"a", 0}};
      const uint64_t begun = store().version();
      for (int i = 1; i <= 6; ++i) {
        const std::string name = i % 2 == 0 ? "a" : "b";
        const uint64_t version = put(name, i)->version;
        world.run_for(50ms);
        if (store().durable_version() >= version) acknowledged[name] = i;
      }
      failures += !store().health();
      const uint64_t durable = store().durable_version();
      ASSERT_GE(durable, begun);
      // One half dies with the disk broken, the other sees it mended.
      faulty.good = -1;
      if (at % 2 == 0) {
        settle();
        EXPECT_TRUE(store().health().has_value()) << "once it works again, all is stored";
        acknowledged["a"] = 6;
        acknowledged["b"] = 5;
      }
      restart();
      ASSERT_GE(store().version(), durable) << "code " << code << " operation " << at;
      for (const auto& [name, v] : acknowledged) ASSERT_GE(value(name), v) << "code " << code << " operation " << at << " object " << name;
    }
  }
  EXPECT_GT(failures, 30) << "the faults were hit";
  server.reset();
}

// Another process writes and says what was acknowledged; it is killed at each of its operations on the disk.
TEST_F(PersistenceTest, AProcessKilledInAnyPhaseOfAWriteLosesNothingThatItAcknowledged) {
  store::FaultyVfs faulty("faulty-killing");
  vfs = faulty.name();
  int killed = 0;
  for (long at = 0; at < 60; ++at) {
    std::filesystem::remove_all(directory);
    std::filesystem::create_directory(directory);
    int said[2];
    ASSERT_EQ(pipe(said), 0);
    const pid_t child = fork();
    if (child == 0) {
      faulty.kills = true;
      faulty.good = at;
      restart();
      for (int i = 1; i <= 8; ++i) {
        const uint64_t version = put("a", i)->version;
        world.run_until([&] { return store().durable_version() >= version; }, world.now() + 10s);
        const uint64_t acknowledged[2] = {static_cast<uint64_t>(i), version};
        if (write(said[1], acknowledged, sizeof acknowledged) != sizeof acknowledged) _exit(1);
        if (i % 4 == 0) store().compact();
      }
      _exit(0);
    }
    close(said[1]);
    uint64_t next[2], last[2] = {0, 0};
    while (read(said[0], next, sizeof next) == sizeof next) std::copy(next, next + 2, last);
    close(said[0]);
    int status = 0;
    waitpid(child, &status, 0);
    killed += WIFSIGNALED(status);
    restart();
    EXPECT_GE(store().version(), last[1]) << "operation " << at;
    if (last[0] > 0) {
      EXPECT_GE(value("a"), static_cast<int>(last[0])) << "operation " << at;
    }
    EXPECT_GT(put("a", 9)->version, last[1]);
    server.reset();
  }
  EXPECT_GT(killed, 20);
}

TEST_F(PersistenceTest, AWriteWaitsForTheDiskAndAFailingOneRefusesWritesInWords) {
  store::FaultyVfs faulty("faulty-waiting");
  vfs = faulty.name();
  restart();
  settle();
  const uint64_t version = put("a", 1)->version;
  Task<Status> waiting = store().durable(version);
  Event done(loop);
  TaskScope scope(loop);
  Status result = fail(Code::kInternal, "not yet");
  scope.spawn([](Task<Status> task, Status& out, Event& end) -> Task<void> {
    out = co_await std::move(task);
    end.set();
  }(std::move(waiting), result, done));
  EXPECT_FALSE(done.is_set());
  world.run_for(1s);
  EXPECT_TRUE(done.is_set());
  EXPECT_TRUE(result.has_value());

  faulty.code = SQLITE_FULL;
  faulty.good = 0;
  put("b", 1);
  scope.spawn([](Task<Status> task, Status& out) -> Task<void> { out = co_await std::move(task); }(store().durable(store().version()), result));
  world.run_for(1s);
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().message.find("the disk fails"), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("database or disk is full"), std::string::npos) << result.error().message;
  scope.spawn([](Task<Status> task, Status& out) -> Task<void> { out = co_await std::move(task); }(store().writable(), result));
  EXPECT_FALSE(result.has_value()) << "nothing more is written meanwhile";
  faulty.good = -1;
  world.run_for(5s);
  EXPECT_TRUE(store().health().has_value());
  EXPECT_EQ(store().durable_version(), store().version());
  scope.cancel();
  server.reset();
}

TEST_F(PersistenceTest, AFileThatCannotBeUsedIsLeftAloneAndSaysWhy) {
  const auto reason = [&]() -> std::string {
    auto opened = open();
    return opened ? "" : opened.error().message;
  };
  restart();
  put("a", 1);
  settle();
  struct stat info {};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  EXPECT_NE(reason().find("another process uses it"), std::string::npos) << reason();
  server.reset();
  {
    // From another process too.
    restart();
    const pid_t child = fork();
    if (child == 0) _exit(open().has_value() ? 1 : 0);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    server.reset();
  }
  sql("PRAGMA user_version=99");
  EXPECT_NE(reason().find("written by a newer version (schema 99"), std::string::npos) << reason();
  sql("PRAGMA user_version=1; UPDATE revisions SET json = replace(json, '\"1\"', '\"2\"') WHERE name = 'a'");
  EXPECT_NE(reason().find("default/a) does not match its checksum"), std::string::npos) << reason();
  sql("PRAGMA application_id=5");
  EXPECT_NE(reason().find("is left alone"), std::string::npos) << reason();
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  std::ofstream(path()) << std::string(8192, 'x');
  EXPECT_NE(reason().find("restore it from a backup"), std::string::npos) << reason();
  std::filesystem::remove_all(directory);
  EXPECT_NE(reason().find("No such file or directory"), std::string::npos) << reason();
  std::filesystem::create_directory(directory);
}

// On the real loop, with the thread that the simulation lacks.
TEST(PersistenceThreadTest, WritesOfManyTurnsShareTransactionsAndAllAreThereAfterTheEnd) {
  char name[] = "/tmp/gulfstream-persistence-XXXXXX";
  const std::string directory = mkdtemp(name);
  ApiServerOptions options;
  options.persistence.emplace();
  options.persistence->file.path = directory + "/objects.db";
  UvLoop loop;
  const ResourceTable table;
  const ResourceType& maps = *table.find("", "configmaps");
  constexpr int kWrites = 2000;
  {
    auto server = ApiServer::open(loop, options);
    ASSERT_TRUE(server.has_value()) << server.error().message;
    Store& store = (*server)->store();
    int written = 0;
    std::function<void()> turn = [&] {
      for (int i = 0; i < 20 && written < kWrites; ++i, ++written) {
        json::Value object;
        object["metadata"]["name"] = fmt::format("m{}", written);
        object["metadata"]["namespace"] = "default";
        store.put(maps, std::move(object), nullptr);
      }
      if (written < kWrites) loop.post(turn);
    };
    loop.post(turn);
    loop.run_until([&] { return written == kWrites && store.durable_version() == store.version(); });
    EXPECT_LT((*server)->journal()->stats().commits, kWrites / 10u) << "group commits";
    for (int i = 0; i < 5; ++i) store.erase(maps, "default", fmt::format("m{}", i));
    // Destroyed with writes that nobody waited for.
  }
  {
    auto server = ApiServer::open(loop, options);
    ASSERT_TRUE(server.has_value()) << server.error().message;
    EXPECT_GE((*server)->store().list(maps, "").size(), kWrites - 5u);
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace gs::apiserver
