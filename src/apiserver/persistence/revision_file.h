// RevisionFile: what a server knows, on a disk: one row for each change, by its resource version, as etcd
// keeps it. The objects are the last rows of their keys; older rows are the history, until it is
// compacted. Every call blocks; used by one thread at a time (journal.h).
//
//   revisions(version, type, resource, namespace, name, json, applied, sum)
//   resources(id, grp, name)
//   drops(version, resource)   all of a resource went at once, with its definition
//   state(version, compacted)  one row: versions never go back below the first; what came up to the
//                              second is no longer history, only rows that are objects' present are left
//
// `PRAGMA user_version` is the schema's number, `application_id` says that the file is ours.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apiserver/store.h"
#include "store/sqlite_database.h"

namespace gs::apiserver {

class RevisionFile {
 public:
  static constexpr int kSchema = 1;
  static constexpr int kApplicationId = 0x47534F42;  // "GSOB"

  struct Options {
    std::string path;
    // FULL: what is committed survives the machine's power. Else NORMAL: only the process' end.
    bool full_sync = true;
    std::string vfs;  // SQLite's name of it; empty: the default
  };
  // What one transaction writes.
  struct Batch {
    std::vector<Revision> revisions;
    std::vector<uint64_t> garbage;  // rows that are neither an object's present nor history any more
    uint64_t version = 0;           // of the last revision
    uint64_t compacted = 0;
    size_t bytes() const;
  };

  // Makes the file where there is none. kAlreadyExists: another process uses it. kUnsupported: of a newer
  // schema. kForbidden: a database of somebody else. kInvalid: damaged. kUnavailable: the disk. The file is
  // left as it is in each case.
  static Result<std::unique_ptr<RevisionFile>> open(const Options& options);

  // The version that the file came to, and the last that is no longer history.
  uint64_t version() const { return version_; }
  uint64_t compacted() const { return compacted_; }
  // All rows in the order of their versions. kInvalid: one is damaged.
  Status load(const std::function<void(Revision)>& each);
  // All of it or nothing; revisions that the file has already are left out.
  Status write(const Batch& batch);

 private:
  explicit RevisionFile(std::string path) : path_(std::move(path)), db_(path_) {}
  Status prepare_schema(bool full_sync);
  Status write_all(const Batch& batch);
  Status insert(const Revision& revision);
  Status drop(const Revision& revision);
  Status remember(const Revision& revision);
  Status collect(const std::vector<uint64_t>& garbage);
  Result<int64_t> id_of(const ResourceName& resource);
  Status done(int step, int wanted) const;

  std::string path_;
  store::SqliteDatabase db_;
  uint64_t version_ = 0;
  uint64_t compacted_ = 0;
  std::map<ResourceName, int64_t> ids_;
};

}  // namespace gs::apiserver
