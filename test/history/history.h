// A history: what clients of one API server asked for and saw, over its crashes and restarts, and a checker
// that says what in it a linearizable server with one global order could not have done. Resource versions
// are that order, so checking is one pass and no search.
//
// What is checked
// - an acknowledged write has a place in the order, behind all that anybody knew of when it began, and is
//   never seen otherwise than it was written; a refused write is never seen
// - a write with a precondition follows that version of its object immediately, a create an absence
// - reads see at least what anybody knew of when they began, and nothing from after their end; a list is
//   exactly the state at its version
// - a watch delivers each change of its range once, in order, as what it was
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gs::history {

struct Seen {
  uint64_t version = 0;
  std::string value;
  bool operator==(const Seen&) const = default;
};

struct Operation {
  enum class Kind { kCreate, kUpdate, kDelete, kGet, kList };
  // kUnknown: the connection broke, the answer was 5xx; it may have happened, or may happen later.
  enum class Outcome { kDone, kRefused, kUnknown };
  Kind kind = Kind::kGet;
  Outcome outcome = Outcome::kUnknown;
  std::string key;
  std::string value;             // of a create or update: written by no other operation
  uint64_t precondition = 0;     // of an update or delete: always there
  int64_t began = 0, ended = 0;  // moments of one clock of all clients
  Seen seen;                     // of a get that is done: version 0 where it found nothing. Of a write: its version
  uint64_t version = 0;          // of a list
  std::map<std::string, Seen> items;
};

struct Delivery {
  enum class Type { kAdded, kModified, kDeleted, kBookmark };
  Type type = Type::kAdded;
  std::string key;
  Seen seen;
  int64_t at = 0;
};

// A watch, with those that went on where its connection broke.
struct Watch {
  uint64_t from = 0;
  std::vector<Delivery> deliveries;
};

struct History {
  std::vector<Operation> operations;
  std::vector<Watch> watches;
};

// What is wrong, or nothing.
std::string check(const History& history);

}  // namespace gs::history
