#include "store/sqlite_database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gs::store {

SqliteDatabase::~SqliteDatabase() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

Status SqliteDatabase::connect(const std::string& path, const std::string& vfs) {
  // SQLite gives -wal and -shm the mode of the file itself, so it is right before SQLite sees it.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || fchmod(fd, 0600) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(Code::kUnavailable, "{}: {}", path, std::strerror(error));
  }
  close(fd);
  if (sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs.empty() ? nullptr : vfs.c_str()) != SQLITE_OK) {
    return fail(error());
  }
  sqlite3_extended_result_codes(db_, 0);
  return ok();
}

Error SqliteDatabase::error() const {
  const int code = sqlite3_errcode(db_);
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR || code == SQLITE_MISMATCH || code == SQLITE_FORMAT;
  const bool taken = code == SQLITE_BUSY || code == SQLITE_LOCKED;
  return Error(damaged ? Code::kInvalid : taken ? Code::kAlreadyExists : Code::kUnavailable, what_ + ": " + sqlite3_errmsg(db_));
}

Status SqliteDatabase::execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return fail(error());
  return ok();
}

Status SqliteDatabase::commit() {
  Status done = execute("COMMIT");
  if (!done) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  return done;
}

Result<int64_t> SqliteDatabase::number(const char* sql) {
  GS_TRY(Statement statement, prepare(sql));
  if (statement.step() != SQLITE_ROW) return fail(error());
  return statement.number(0);
}

Result<SqliteDatabase::Statement> SqliteDatabase::prepare(const char* sql) {
  auto found = statements_.find(std::string_view(sql));
  if (found == statements_.end()) found = statements_.emplace(sql, nullptr).first;
  if (found->second == nullptr && sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &found->second, nullptr) != SQLITE_OK) {
    return fail(error());
  }
  return Statement(found->second);
}

SqliteDatabase::Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

SqliteDatabase::Statement& SqliteDatabase::Statement::bind(std::string_view text) {
  sqlite3_bind_text64(statement_, ++at_, text.data() == nullptr ? "" : text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

SqliteDatabase::Statement& SqliteDatabase::Statement::bind_blob(std::string_view bytes) {
  sqlite3_bind_blob64(statement_, ++at_, bytes.data() == nullptr ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
  return *this;
}

SqliteDatabase::Statement& SqliteDatabase::Statement::bind(int64_t number) {
  sqlite3_bind_int64(statement_, ++at_, number);
  return *this;
}

int SqliteDatabase::Statement::step() { return sqlite3_step(statement_); }

void SqliteDatabase::Statement::again() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  at_ = 0;
}

std::string_view SqliteDatabase::Statement::bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

int64_t SqliteDatabase::Statement::number(int column) const { return sqlite3_column_int64(statement_, column); }
bool SqliteDatabase::Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

}  // namespace gs::store
