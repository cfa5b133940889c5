// A file system for SQLite that begins to fail when told, for tests: writes, syncs and truncations
// give the error of a full disk or of a broken one.
#pragma once

#include <atomic>
#include <string>

namespace gs::store {

class FaultyVfs {
 public:
  // Registered under `name` as long as it lives.
  explicit FaultyVfs(std::string name);
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  const std::string& name() const { return name_; }
  // After this many more good operations every one fails with `code` (SQLITE_FULL, SQLITE_IOERR);
  // negative: none does.
  std::atomic<long> good{-1};
  std::atomic<int> code{0};
  // Instead of failing the process dies, as of kill -9.
  std::atomic<bool> kills{false};
  std::atomic<long> operations{0};
  bool fails();

 private:
  struct Impl;
  std::string name_;
  Impl* impl_;
};

}  // namespace gs::store
