// Marks: a table of counters over a file that is mapped into memory, beside the database. A mark on
// a key's slot says that what the database holds of that key does not count. Setting one is a store
// into shared memory, so it costs nothing and is there after the process was killed; a machine that
// went down is found by its boot id (sqlite_file.h), and then nothing stored counts.
// Keys share slots: a collision costs a repeat. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "store/records.h"

namespace gs::store {

class Marks {
 public:
  static constexpr size_t kSlots = 32 * 1024;

  // Over memory only.
  Marks();
  ~Marks();
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;

  // Maps FILE, made with mode 0600 where it is not there. Takes a lock on it that lasts as long as this
  // object: kAlreadyExists where another process has it. A file of another size counts as `damaged`: all marked.
  static Result<std::unique_ptr<Marks>> open(const std::string& path);

  static uint32_t slot_of(const PairName& pair, std::string_view ns, std::string_view name);
  void set(uint32_t slot);
  // Takes `count` marks back.
  void release(uint32_t slot, uint32_t count);
  bool marked(uint32_t slot) const { return slots_[slot].load(std::memory_order_seq_cst) != 0; }
  size_t count() const;  // of slots with a mark
  // After a start, once the database knows them.
  void clear();
  // On the disk; before a file is closed as clean.
  bool sync();
  bool damaged() const { return damaged_; }

 private:
  using Slot = std::atomic<uint16_t>;
  static_assert(Slot::is_always_lock_free && sizeof(Slot) == 2);
  explicit Marks(int fd);
  Slot* slots_ = nullptr;
  std::unique_ptr<Slot[]> own_;
  int fd_ = -1;
  bool damaged_ = false;
};

}  // namespace gs::store
