#include "apiserver/persistence/revision_file.h"

#include <sqlite3.h>

#include <algorithm>

#include "store/digest.h"

namespace gs::apiserver {
namespace {

constexpr const char* kCreate = R"(
CREATE TABLE revisions(version INTEGER PRIMARY KEY, type INTEGER NOT NULL, resource INTEGER NOT NULL, namespace TEXT NOT NULL,
  name TEXT NOT NULL, json BLOB NOT NULL, applied BLOB, sum INTEGER NOT NULL);
CREATE TABLE resources(id INTEGER PRIMARY KEY, grp TEXT NOT NULL, name TEXT NOT NULL, UNIQUE(grp, name));
CREATE TABLE drops(version INTEGER PRIMARY KEY, resource INTEGER NOT NULL);
CREATE TABLE state(version INTEGER NOT NULL, compacted INTEGER NOT NULL);
INSERT INTO state VALUES(0, 0);
)";
// Larger than SQLite's own 4 MB: each page is then written to the file itself less often.
constexpr const char* kCheckpoint = "PRAGMA wal_autocheckpoint=4000";
// All rows in the order of their versions, drops among them.
constexpr const char* kLoad =
    "SELECT version, type, grp, resources.name, namespace, revisions.name, json, applied, sum FROM revisions JOIN resources ON resources.id = resource "
    "UNION ALL SELECT version, 2, grp, resources.name, '', '', NULL, NULL, 0 FROM drops JOIN resources ON resources.id = resource ORDER BY 1";

int64_t as_row(uint64_t version) { return static_cast<int64_t>(version); }

int64_t sum_of(std::string_view ns, std::string_view name, std::string_view json, std::string_view applied, uint64_t version) {
  store::Digester names;
  names.text(ns).text(name).text(applied).number(version);
  return static_cast<int64_t>(store::siphash(json, names.finish().low, 0x47534F42).low);
}

std::string encode(const Applied& applied) {
  json::Value out;
  for (const auto& [manager, fields] : applied) out[manager] = fields;
  return out.dump();
}

Result<AppliedPtr> decode(std::string_view text) {
  GS_TRY(const json::Value value, json::parse(text));
  auto out = std::make_shared<Applied>();
  if (value.object() == nullptr) return fail(Code::kInvalid, "who applied what is no object");
  for (const auto& [manager, fields] : *value.object()) (*out)[manager] = fields;
  return AppliedPtr(std::move(out));
}

Result<Revision> read(const store::SqliteDatabase::Statement& row) {
  Revision out;
  out.version = static_cast<uint64_t>(row.number(0));
  out.type = static_cast<Revision::Type>(row.number(1));
  out.resource = std::make_shared<const ResourceName>(row.text(2), row.text(3));
  if (out.type == Revision::Type::kDrop) return out;
  const std::string_view ns = row.bytes(4), name = row.bytes(5), json = row.bytes(6), applied = row.bytes(7);
  if (sum_of(ns, name, json, applied, out.version) != row.number(8)) {
    return fail(Code::kInvalid, "version {} ({} {}/{}) does not match its checksum", out.version, row.text(3), ns, name);
  }
  AppliedPtr by;
  if (!applied.empty()) {
    GS_TRY(by, decode(applied));
  }
  out.object = std::make_shared<const Stored>(ns, name, out.version, json, std::move(by));
  return out;
}

}  // namespace

size_t RevisionFile::Batch::bytes() const {
  size_t sum = 0;
  for (const Revision& r : revisions) sum += sizeof(Revision) + (r.object ? r.object->bytes() : 0);
  return sum;
}

Status RevisionFile::done(int step, int wanted) const {
  if (step != wanted) return fail(db_.error());
  return ok();
}

Status RevisionFile::prepare_schema(bool full_sync) {
  // Whoever has it open keeps it: no other process reads or writes it meanwhile, and SQLite needs no shared memory.
  GS_TRY_STATUS(db_.execute("PRAGMA locking_mode=EXCLUSIVE"));
  GS_TRY(const int64_t tables, db_.number("SELECT count(*) FROM sqlite_master"));
  GS_TRY(const int64_t application, db_.number("PRAGMA application_id"));
  GS_TRY(const int64_t schema, db_.number("PRAGMA user_version"));
  if (tables > 0 && application != kApplicationId) return fail(Code::kForbidden, "it is an SQLite database, but not one of gulfstream apiserver; it is left alone");
  if (schema > kSchema) return fail(Code::kUnsupported, "it was written by a newer version (schema {}; this version knows {})", schema, kSchema);
  GS_TRY_STATUS(db_.execute("PRAGMA journal_mode=WAL"));
  GS_TRY_STATUS(db_.execute(full_sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
  GS_TRY_STATUS(db_.execute(kCheckpoint));
  GS_TRY_STATUS(db_.execute("PRAGMA journal_size_limit=67108864"));  // what one large transaction made of the -wal
  GS_TRY_STATUS(db_.execute("PRAGMA temp_store=MEMORY"));
  GS_TRY_STATUS(db_.begin());  // takes the lock, for good
  if (tables == 0) {
    const std::string marks = "PRAGMA application_id=" + std::to_string(kApplicationId) + "; PRAGMA user_version=" + std::to_string(kSchema);
    GS_TRY_STATUS(db_.execute(kCreate));
    GS_TRY_STATUS(db_.execute(marks.c_str()));
  }
  return db_.commit();
}

Result<std::unique_ptr<RevisionFile>> RevisionFile::open(const Options& options) {
  std::unique_ptr<RevisionFile> file(new RevisionFile(options.path));
  const auto opened = [&]() -> Status {
    GS_TRY_STATUS(file->db_.connect(options.path, options.vfs));
    GS_TRY_STATUS(file->prepare_schema(options.full_sync));
    GS_TRY(const int64_t last, file->db_.number("SELECT max(coalesce((SELECT max(version) FROM revisions), 0), (SELECT version FROM state))"));
    GS_TRY(const int64_t compacted, file->db_.number("SELECT compacted FROM state"));
    file->version_ = static_cast<uint64_t>(last);
    file->compacted_ = static_cast<uint64_t>(compacted);
    return ok();
  }();
  if (opened) return file;
  Error error = opened.error();
  if (error.code == Code::kAlreadyExists) error.message = "another process uses it";
  if (error.code == Code::kInvalid) error.message += "; restore it from a backup, or move it away to begin anew";
  return fail(std::move(error).with_context(options.path));
}

Status RevisionFile::load(const std::function<void(Revision)>& each) {
  GS_TRY(auto rows, db_.prepare(kLoad));
  int step = SQLITE_ROW;
  while ((step = rows.step()) == SQLITE_ROW) {
    Result<Revision> revision = read(rows);
    if (!revision) return fail(std::move(revision).error().with_context(path_));
    each(*std::move(revision));
  }
  return done(step, SQLITE_DONE);
}

Status RevisionFile::write(const Batch& batch) {
  GS_TRY_STATUS(db_.begin());
  const Status written = write_all(batch);
  if (!written) {
    ids_.clear();
    (void)db_.execute("ROLLBACK");  // some errors have done so already
    return written;
  }
  if (const Status committed = db_.commit(); !committed) {
    ids_.clear();
    return committed;
  }
  version_ = std::max(version_, batch.version);
  compacted_ = std::max(compacted_, batch.compacted);
  return ok();
}

Status RevisionFile::write_all(const Batch& batch) {
  bool state = batch.compacted > compacted_;
  for (const Revision& revision : batch.revisions) {
    if (revision.version <= version_) continue;
    switch (revision.type) {
      case Revision::Type::kPut:
      case Revision::Type::kDelete: GS_TRY_STATUS(insert(revision)); break;
      case Revision::Type::kDrop: GS_TRY_STATUS(drop(revision)); break;
      case Revision::Type::kRemember: GS_TRY_STATUS(remember(revision)); break;
    }
    // Its own row may go later, or there is none: the version stays.
    state |= revision.type != Revision::Type::kPut;
  }
  GS_TRY_STATUS(collect(batch.garbage));
  if (!state) return ok();
  GS_TRY(auto row, db_.prepare("UPDATE state SET version = max(version, ?), compacted = max(compacted, ?)"));
  return done(row.bind(as_row(batch.version)).bind(as_row(batch.compacted)).step(), SQLITE_DONE);
}

Status RevisionFile::insert(const Revision& revision) {
  const Stored& object = *revision.object;
  const std::string applied = object.applied ? encode(*object.applied) : "";
  GS_TRY(const int64_t resource, id_of(*revision.resource));
  GS_TRY(auto row, db_.prepare("INSERT INTO revisions VALUES(?,?,?,?,?,?,?,?)"));
  row.bind(as_row(revision.version)).bind(int64_t{static_cast<uint8_t>(revision.type)}).bind(resource).bind(object.ns).bind(object.name).bind_blob(object.json);
  if (applied.empty()) {
    row.bind_null();
  } else {
    row.bind_blob(applied);
  }
  return done(row.bind(sum_of(object.ns, object.name, object.json, applied, revision.version)).step(), SQLITE_DONE);
}

Status RevisionFile::remember(const Revision& revision) {
  const Stored& object = *revision.object;
  const std::string applied = object.applied ? encode(*object.applied) : "";
  GS_TRY(auto row, db_.prepare("UPDATE revisions SET applied = ?, sum = ? WHERE version = ?"));
  row.bind_blob(applied).bind(sum_of(object.ns, object.name, object.json, applied, object.version)).bind(as_row(object.version));
  return done(row.step(), SQLITE_DONE);
}

// Reads the whole table, which only the removal of a definition does.
Status RevisionFile::drop(const Revision& revision) {
  GS_TRY(const int64_t resource, id_of(*revision.resource));
  {
    GS_TRY(auto rows, db_.prepare("DELETE FROM revisions WHERE resource = ?"));
    GS_TRY_STATUS(done(rows.bind(resource).step(), SQLITE_DONE));
  }
  GS_TRY(auto row, db_.prepare("INSERT INTO drops VALUES(?,?)"));
  return done(row.bind(as_row(revision.version)).bind(resource).step(), SQLITE_DONE);
}

Status RevisionFile::collect(const std::vector<uint64_t>& garbage) {
  if (garbage.empty()) return ok();
  GS_TRY(auto row, db_.prepare("DELETE FROM revisions WHERE version = ?"));
  for (const uint64_t version : garbage) {
    GS_TRY_STATUS(done(row.bind(as_row(version)).step(), SQLITE_DONE));
    row.again();
  }
  return ok();
}

Result<int64_t> RevisionFile::id_of(const ResourceName& resource) {
  if (const auto known = ids_.find(resource); known != ids_.end()) return known->second;
  {
    GS_TRY(auto insert, db_.prepare("INSERT OR IGNORE INTO resources(grp, name) VALUES(?,?)"));
    GS_TRY_STATUS(done(insert.bind(resource.first).bind(resource.second).step(), SQLITE_DONE));
  }
  GS_TRY(auto select, db_.prepare("SELECT id FROM resources WHERE grp = ? AND name = ?"));
  GS_TRY_STATUS(done(select.bind(resource.first).bind(resource.second).step(), SQLITE_ROW));
  return ids_[resource] = select.number(0);
}

}  // namespace gs::apiserver
