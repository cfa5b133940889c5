#include "store/sqlite_file.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace gs::store {
namespace {

constexpr const char* kCreate = R"(
CREATE TABLE pairs(id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, cluster_uid TEXT NOT NULL, controller TEXT NOT NULL,
  controller_uid TEXT NOT NULL DEFAULT '', generation INTEGER NOT NULL DEFAULT 0, configs TEXT NOT NULL DEFAULT '',
  revision TEXT NOT NULL DEFAULT '', used_at INTEGER NOT NULL DEFAULT 0, UNIQUE(cluster, cluster_uid, controller));
CREATE TABLE keys(pair INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL, version TEXT NOT NULL,
  settled INTEGER NOT NULL, failures INTEGER NOT NULL, saved_at INTEGER NOT NULL, requeue_at INTEGER, resync_at INTEGER,
  basis BLOB NOT NULL, revision BLOB NOT NULL, children BLOB NOT NULL, reads BLOB NOT NULL, read_set BLOB NOT NULL,
  sum BLOB NOT NULL, PRIMARY KEY(pair, namespace, name)) WITHOUT ROWID;
CREATE TABLE run(boot TEXT NOT NULL, clean INTEGER NOT NULL, term TEXT NOT NULL DEFAULT '');
INSERT INTO run(boot, clean) VALUES('', 1);
)";
// Of schema 1: it knew no terms.
constexpr const char* kFromSchema1 = "BEGIN IMMEDIATE; ALTER TABLE run ADD COLUMN term TEXT NOT NULL DEFAULT ''; PRAGMA user_version=2; COMMIT";
constexpr const char* kPut = "INSERT OR REPLACE INTO keys VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr const char* kColumns =
    "namespace, name, uid, version, settled, failures, saved_at, requeue_at, resync_at, basis, revision, children, reads, read_set, sum";

int64_t nanos(WallTime t) { return t.time_since_epoch().count(); }
WallTime wall(int64_t nanoseconds) { return WallTime(Duration(nanoseconds)); }

using Row = SqliteDatabase::Statement;

void bind_time(Row& row, const std::optional<WallTime>& time) {
  if (time) {
    row.bind(nanos(*time));
  } else {
    row.bind_null();
  }
}
std::optional<WallTime> time_of(const Row& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return wall(row.number(column));
}
// A damaged length gives an empty digest; the record's checksum then tells.
Digest digest_of(const Row& row, int column) {
  const std::string_view bytes = row.bytes(column);
  return bytes.size() == 16 ? Digest::from_bytes(bytes) : Digest();
}

// The columns of kColumns, from `first` on; kInvalid where the checksum does not match.
Result<KeyRecord> read_key(const PairName& pair, const Row& row, int first) {
  KeyRecord record;
  record.ns = row.text(first);
  record.name = row.text(first + 1);
  record.uid = row.text(first + 2);
  record.version = row.text(first + 3);
  record.settled = row.number(first + 4) != 0;
  record.failures = static_cast<uint32_t>(row.number(first + 5));
  record.saved_at = wall(row.number(first + 6));
  record.requeue_at = time_of(row, first + 7);
  record.resync_at = time_of(row, first + 8);
  record.basis = digest_of(row, first + 9);
  record.revision = digest_of(row, first + 10);
  record.children = digest_of(row, first + 11);
  record.reads = digest_of(row, first + 12);
  const std::string reads = row.text(first + 13);
  if (row.text(first + 14) != checksum(pair, record, reads).bytes()) return fail(Code::kInvalid, "the record of a key is damaged");
  GS_TRY(record.read_set, decode_reads(reads, record.ns));
  return record;
}

bool put_aside(const std::string& path, const char* why) {
  unlink((path + "-wal").c_str());
  unlink((path + "-shm").c_str());
  return std::rename(path.c_str(), (path + why).c_str()) == 0;
}

}  // namespace

bool SqliteFile::remove(const std::string& path) {
  bool gone = true;
  for (const char* end : {"", "-wal", "-shm"}) gone = (unlink((path + end).c_str()) == 0 || errno == ENOENT) && gone;
  return gone;
}

Status SqliteFile::connect(const Options& options) {
  GS_TRY_STATUS(db_.connect(options.path, options.vfs));
  return db_.execute("PRAGMA busy_timeout=5000");
}

// Ours, of a schema that we know; made where the file is empty.
Status SqliteFile::prepare_schema() {
  GS_TRY(const int64_t tables, db_.number("SELECT count(*) FROM sqlite_master"));
  GS_TRY(const int64_t application, db_.number("PRAGMA application_id"));
  GS_TRY(const int64_t schema, db_.number("PRAGMA user_version"));
  if (tables > 0 && application != kApplicationId) {
    return fail(Code::kForbidden, "it is an SQLite database, but not a state file of Gulfstream; it is left alone");
  }
  if (schema > kSchema) return fail(Code::kUnsupported, "it has schema {}; this version knows {}", schema, kSchema);
  GS_TRY_STATUS(db_.execute("PRAGMA journal_mode=WAL"));
  GS_TRY_STATUS(db_.execute("PRAGMA temp_store=MEMORY"));
  if (tables > 0) return schema == 1 ? db_.execute(kFromSchema1) : ok();
  const std::string marks = "PRAGMA application_id=" + std::to_string(kApplicationId) + "; PRAGMA user_version=" + std::to_string(kSchema);
  GS_TRY_STATUS(db_.execute("BEGIN IMMEDIATE"));
  GS_TRY_STATUS(db_.execute(kCreate));
  GS_TRY_STATUS(db_.execute(marks.c_str()));
  return db_.execute("COMMIT");
}

Status SqliteFile::check() {
  GS_TRY(Statement statement, db_.prepare("PRAGMA integrity_check(1)"));
  if (statement.step() != SQLITE_ROW) return error();
  if (const std::string answer = statement.text(0); answer != "ok") return fail(Code::kInvalid, "{}", answer);
  return ok();
}

// Every record matches its checksum. Those that a mark stands on, or all, lose `settled`.
Status SqliteFile::verify_keys(const Marks& marks, bool distrust, Opened& out) {
  std::vector<std::pair<PairName, KeyRecord>> unsettle;
  {
    const std::string sql = std::string("SELECT cluster, cluster_uid, controller, ") +
                            "namespace, name, uid, version, settled, failures, saved_at, requeue_at, resync_at, basis, keys.revision, "
                            "children, reads, read_set, sum FROM keys LEFT JOIN pairs ON pairs.id = keys.pair";
    GS_TRY(Statement row, db_.prepare(sql.c_str()));
    int step = SQLITE_ROW;
    while ((step = row.step()) == SQLITE_ROW) {
      const PairName pair{row.text(0), row.text(1), row.text(2)};
      GS_TRY(KeyRecord record, read_key(pair, row, 3));
      ++out.keys;
      const bool marked = marks.marked(Marks::slot_of(pair, record.ns, record.name));
      if (!record.settled || !(marked || distrust)) continue;
      record.settled = false;
      out.unsettled_by_marks += marked;
      unsettle.emplace_back(pair, std::move(record));
    }
    if (step != SQLITE_DONE) return error();
  }
  for (const auto& [pair, record] : unsettle) GS_TRY_STATUS(put(pair, record));
  return ok();
}

// On the disk before anything else is done: from now on the file counts only for this boot.
Status SqliteFile::begin_run(const Options& options, Marks& marks, Opened& out) {
  bool distrust = marks.damaged();
  if (distrust) out.reason = "its marks are missing or damaged";
  {
    GS_TRY(Statement row, db_.prepare("SELECT boot, clean FROM run"));
    if (row.step() != SQLITE_ROW) return fail(Code::kInvalid, "the table run is empty");
    const bool same_boot = !options.boot_id.empty() && row.text(0) == options.boot_id;
    if (row.number(1) == 0 && !same_boot) {
      distrust = true;
      out.reason = "the machine went down without the plane having been stopped";
    }
  }
  GS_TRY_STATUS(db_.execute("PRAGMA synchronous=FULL"));
  GS_TRY_STATUS(begin());
  GS_TRY_STATUS(verify_keys(marks, distrust, out));
  if (out.keys == 0) out.reason.clear();  // nothing was there to be distrusted
  {
    GS_TRY(Statement fresh, db_.prepare("UPDATE pairs SET used_at = ? WHERE used_at = 0"));
    if (fresh.bind(nanos(options.now)).step() != SQLITE_DONE) return error();
    GS_TRY(Statement old, db_.prepare("DELETE FROM keys WHERE pair IN (SELECT id FROM pairs WHERE used_at < ?)"));
    if (old.bind(nanos(options.now - kForgetAfter)).step() != SQLITE_DONE) return error();
    GS_TRY(Statement pairs, db_.prepare("DELETE FROM pairs WHERE used_at < ? AND id NOT IN (SELECT pair FROM keys)"));
    if (pairs.bind(nanos(options.now - kForgetAfter)).step() != SQLITE_DONE) return error();
    GS_TRY(Statement run, db_.prepare("UPDATE run SET boot = ?, clean = 0"));
    if (run.bind(options.boot_id).step() != SQLITE_DONE) return error();
  }
  GS_TRY_STATUS(commit());
  GS_TRY_STATUS(db_.execute("PRAGMA synchronous=NORMAL"));
  ids_.clear();
  marks.clear();
  return ok();
}

Result<std::unique_ptr<SqliteFile>> SqliteFile::open_once(const Options& options, Marks& marks, Opened& out) {
  std::unique_ptr<SqliteFile> file(new SqliteFile());
  GS_TRY_STATUS(file->connect(options));
  GS_TRY_STATUS(file->prepare_schema());
  GS_TRY_STATUS(file->check());
  GS_TRY_STATUS(file->begin_run(options, marks, out));
  return file;
}

Result<SqliteFile::Opened> SqliteFile::open(const Options& options, Marks& marks) {
  Opened out;
  const bool there = access(options.path.c_str(), F_OK) == 0;
  auto file = open_once(options, marks, out);
  if (!file && (file.error().code == Code::kInvalid || file.error().code == Code::kUnsupported)) {
    const bool newer = file.error().code == Code::kUnsupported;
    out = Opened();
    out.reason = (newer ? "" : "it is damaged: ") + file.error().message;
    if (!put_aside(options.path, newer ? ".newer" : ".damaged")) {
      return fail(Code::kUnavailable, "{}; and it cannot be put aside: {}", out.reason, std::strerror(errno));
    }
    const std::string reason = out.reason;
    file = open_once(options, marks, out);
    out.reason = reason;
  }
  if (!file) return fail(std::move(file).error());
  if (!there) out.reason = "there was no file";
  out.file = *std::move(file);
  return out;
}

Status SqliteFile::commit() {
  Status done = db_.commit();
  if (!done) ids_.clear();
  return done;
}

Result<int64_t> SqliteFile::id_of(const PairName& pair) {
  if (const auto known = ids_.find(pair); known != ids_.end()) return known->second;
  {
    GS_TRY(Statement insert, db_.prepare("INSERT OR IGNORE INTO pairs(cluster, cluster_uid, controller) VALUES(?,?,?)"));
    if (insert.bind(pair.cluster).bind(pair.cluster_uid).bind(pair.controller).step() != SQLITE_DONE) return fail(db_.error());
  }
  GS_TRY(Statement select, db_.prepare("SELECT id FROM pairs WHERE cluster = ? AND cluster_uid = ? AND controller = ?"));
  if (select.bind(pair.cluster).bind(pair.cluster_uid).bind(pair.controller).step() != SQLITE_ROW) return fail(db_.error());
  return ids_[pair] = select.number(0);
}

Result<bool> SqliteFile::begin_term(const std::string& now, const std::string& before) {
  GS_TRY(const int64_t keys, db_.number("SELECT count(*) FROM keys"));
  bool continued = keys == 0;
  if (!continued) {
    GS_TRY(Statement run, db_.prepare("SELECT term FROM run"));
    if (run.step() != SQLITE_ROW) return fail(Code::kInvalid, "the table run is empty");
    continued = run.text(0) == before;
  }
  if (!continued) GS_TRY_STATUS(db_.execute("DELETE FROM keys"));
  GS_TRY(Statement run, db_.prepare("UPDATE run SET term = ?"));
  if (run.bind(now).step() != SQLITE_DONE) return fail(db_.error());
  return continued;
}

Status SqliteFile::put(const PairName& pair, const KeyRecord& record) {
  GS_TRY(const int64_t id, id_of(pair));
  return put_as(id, pair, record);
}

Status SqliteFile::put_as(int64_t id, const PairName& pair, const KeyRecord& record) {
  const std::string reads = encode_reads(record.read_set, record.ns);
  const std::string basis = record.basis.bytes(), revision = record.revision.bytes();
  const std::string children = record.children.bytes(), seen = record.reads.bytes(), sum = checksum(pair, record, reads).bytes();
  GS_TRY(Statement s, db_.prepare(kPut));
  s.bind(id).bind(record.ns).bind(record.name).bind(record.uid).bind(record.version);
  s.bind(int64_t{record.settled}).bind(int64_t{record.failures}).bind(nanos(record.saved_at));
  bind_time(s, record.requeue_at);
  bind_time(s, record.resync_at);
  s.bind_blob(basis).bind_blob(revision).bind_blob(children).bind_blob(seen).bind_blob(reads).bind_blob(sum);
  if (s.step() != SQLITE_DONE) return error();
  return ok();
}

Status SqliteFile::erase(const PairName& pair, const std::string& ns, const std::string& name) {
  GS_TRY(const int64_t id, id_of(pair));
  GS_TRY(Statement s, db_.prepare("DELETE FROM keys WHERE pair = ? AND namespace = ? AND name = ?"));
  if (s.bind(id).bind(ns).bind(name).step() != SQLITE_DONE) return error();
  return ok();
}

Status SqliteFile::put_pair(const PairName& pair, const PairRecord& record, WallTime now) {
  GS_TRY(const int64_t id, id_of(pair));
  GS_TRY(Statement s, db_.prepare("UPDATE pairs SET controller_uid = ?, generation = ?, configs = ?, revision = ?, used_at = ? WHERE id = ?"));
  s.bind(record.controller_uid).bind(record.generation).bind(record.configs).bind(record.revision).bind(nanos(now)).bind(id);
  if (s.step() != SQLITE_DONE) return error();
  return ok();
}

Status SqliteFile::erase_pair(const PairName& pair) {
  GS_TRY(const int64_t id, id_of(pair));
  ids_.erase(pair);
  {
    GS_TRY(Statement keys, db_.prepare("DELETE FROM keys WHERE pair = ?"));
    if (keys.bind(id).step() != SQLITE_DONE) return error();
  }
  GS_TRY(Statement row, db_.prepare("DELETE FROM pairs WHERE id = ?"));
  if (row.bind(id).step() != SQLITE_DONE) return error();
  return ok();
}

Result<std::vector<KeyRecord>> SqliteFile::load(const PairName& pair, const std::string& after_ns, const std::string& after_name, size_t limit) {
  GS_TRY(const int64_t id, id_of(pair));
  const std::string sql = std::string("SELECT ") + kColumns + " FROM keys WHERE pair = ? AND (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?";
  GS_TRY(Statement row, db_.prepare(sql.c_str()));
  row.bind(id).bind(after_ns).bind(after_name).bind(static_cast<int64_t>(limit));
  std::vector<KeyRecord> out;
  int step = SQLITE_ROW;
  while ((step = row.step()) == SQLITE_ROW) {
    GS_TRY(KeyRecord record, read_key(pair, row, 0));
    out.push_back(std::move(record));
  }
  if (step != SQLITE_DONE) return fail(db_.error());
  return out;
}

Result<size_t> SqliteFile::count() {
  GS_TRY(const int64_t rows, db_.number("SELECT count(*) FROM keys"));
  return static_cast<size_t>(rows);
}

Status SqliteFile::close_clean() {
  GS_TRY_STATUS(db_.execute("PRAGMA synchronous=FULL"));
  GS_TRY_STATUS(db_.execute("UPDATE run SET clean = 1"));
  return db_.execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace gs::store
