// SqliteDatabase: a connection to one SQLite file of ours, its statements prepared once. Every call blocks;
// used by one thread at a time. What each file holds is said where it is used.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace gs::store {

class SqliteDatabase {
 public:
  class Statement;

  // `what`: how errors name the file ("state file").
  explicit SqliteDatabase(std::string what) : what_(std::move(what)) {}
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  // Makes the file with mode 0600 where there is none, and the mode of one that is there 0600. `vfs`:
  // SQLite's name of it; empty: the default.
  Status connect(const std::string& path, const std::string& vfs);
  Status execute(const char* sql);
  Status begin() { return execute("BEGIN IMMEDIATE"); }
  // Rolled back where it fails.
  Status commit();
  // The first column of the first row.
  Result<int64_t> number(const char* sql);
  // kept by the connection; one use at a time.
  Result<Statement> prepare(const char* sql);
  // Of the last call. kInvalid: what the file holds is wrong. kAlreadyExists: another process uses it.
  // kUnavailable: the disk.
  Error error() const;

 private:
  std::string what_;
  sqlite3* db_ = nullptr;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
};

// A prepared statement for one use; it is reset afterwards.
class SqliteDatabase::Statement {
 public:
  explicit Statement(sqlite3_stmt* s) : statement_(s) {}
  Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)), at_(other.at_) {}
  ~Statement();
  // Bound text must live until the last step.
  Statement& bind(std::string_view text);
  Statement& bind_blob(std::string_view bytes);
  Statement& bind(int64_t number);
  Statement& bind_null() {
    ++at_;
    return *this;
  }
  // SQLITE_ROW, SQLITE_DONE or an error.
  int step();
  // For one more use.
  void again();

  // Text or a blob; valid until the next step.
  std::string_view bytes(int column) const;
  std::string text(int column) const { return std::string(bytes(column)); }
  int64_t number(int column) const;
  bool is_null(int column) const;

 private:
  sqlite3_stmt* statement_;
  int at_ = 0;
};

}  // namespace gs::store
