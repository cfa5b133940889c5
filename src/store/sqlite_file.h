// SqliteFile: the database of one state file. Every call blocks; used by one thread (sqlite_store.cc)
// that nobody waits for.
//
//   pairs(id, cluster, cluster_uid, controller, controller_uid, generation, configs, revision, used_at)
//   keys(pair, namespace, name, ...one column a field of KeyRecord..., sum)
//   run(boot, clean, term)   one row: on which boot of the machine it was opened last, whether it was closed, and
//                            the term (state_store.h) in which the records are stored
//
// `PRAGMA user_version` is the schema's number, `application_id` says that the file is ours.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "store/marks.h"
#include "store/records.h"
#include "store/sqlite_database.h"

namespace gs::store {

class SqliteFile {
 public:
  static constexpr int kSchema = 2;
  static constexpr int kApplicationId = 0x47535354;  // "GSST"
  // Pairs that no plane has used for this long are forgotten.
  static constexpr Duration kForgetAfter = std::chrono::hours(24 * 30);

  struct Options {
    std::string path;
    std::string boot_id;  // empty: not known; then only a closed file counts
    std::string vfs;      // SQLite's name of it; empty: the default
    WallTime now{};
  };
  struct Opened {
    std::unique_ptr<SqliteFile> file;
    // Why nothing stored counts, for the log; empty: what is there counts.
    std::string reason;
    size_t keys = 0;
    size_t unsettled_by_marks = 0;
  };

  // Opens or makes the file with mode 0600 and checks all of it. One that is damaged or of a newer
  // schema is put aside (FILE.damaged, FILE.newer) and a new one is made; so is what cannot count
  // because the machine went down. Marks are written into the records and cleared.
  // kForbidden: a database of somebody else, which is left alone. kUnavailable: the disk.
  static Result<Opened> open(const Options& options, Marks& marks);

  Status begin() { return db_.begin(); }
  Status commit();
  // False: what there was is not of the term `before`, and is gone.
  Result<bool> begin_term(const std::string& now, const std::string& before);
  Status put(const PairName& pair, const KeyRecord& record);
  Status erase(const PairName& pair, const std::string& ns, const std::string& name);
  Status put_pair(const PairName& pair, const PairRecord& record, WallTime now);
  Status erase_pair(const PairName& pair);
  // Records after (ns, name), at most `limit`, as stored. kInvalid: one is damaged.
  Result<std::vector<KeyRecord>> load(const PairName& pair, const std::string& after_ns, const std::string& after_name, size_t limit);
  Result<size_t> count();
  // Everything is on the disk, and the next open() will believe it whatever happens to the machine.
  Status close_clean();

  // FILE, FILE-wal and FILE-shm; true where none is left.
  static bool remove(const std::string& path);

 private:
  using Statement = SqliteDatabase::Statement;
  SqliteFile() = default;
  static Result<std::unique_ptr<SqliteFile>> open_once(const Options& options, Marks& marks, Opened& out);
  Status connect(const Options& options);
  Status prepare_schema();
  Status check();
  Status verify_keys(const Marks& marks, bool distrust, Opened& out);
  Status begin_run(const Options& options, Marks& marks, Opened& out);
  Status error() const { return fail(db_.error()); }
  Result<int64_t> id_of(const PairName& pair);
  Status put_as(int64_t id, const PairName& pair, const KeyRecord& record);

  SqliteDatabase db_{"state file"};
  std::map<PairName, int64_t> ids_;
};

}  // namespace gs::store
