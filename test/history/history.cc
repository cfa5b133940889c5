#include "test/history/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace gs::history {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct Change {
  std::string key;
  std::string value;
  bool deleted = false;
  int64_t known_at = kNever;          // when somebody first knew of it
  const Operation* writer = nullptr;  // null: of a deletion
};

class Checker {
 public:
  explicit Checker(const History& history) : history_(history) {}

  std::string run() {
    index_writers();
    collect();
    if (problem_.empty()) check_chains();
    if (problem_.empty()) check_times();
    for (const Watch& watch : history_.watches) {
      if (problem_.empty()) check_watch(watch);
    }
    return problem_;
  }

 private:
  using Changes = std::map<uint64_t, Change>;

  template <class... Args>
  void wrong(fmt::format_string<Args...> format, Args&&... args) {
    if (problem_.empty()) problem_ = fmt::format(format, std::forward<Args>(args)...);
  }

  void index_writers() {
    for (const Operation& op : history_.operations) {
      if (op.kind == Kind::kCreate || op.kind == Kind::kUpdate) writers_[op.value] = &op;
      if (op.kind == Kind::kDelete && op.outcome != Outcome::kRefused) deletes_[op.key].push_back(&op);
    }
  }

  // A change of which somebody knew.
  void know(const std::string& key, const Seen& seen, bool deleted, int64_t at) {
    Change& change = changes_[seen.version];
    if (change.key.empty()) {
      change.key = key;
      change.value = seen.value;
      change.deleted = deleted;
      by_key_[key][seen.version] = &change;
      if (!deleted) find_writer(change, seen.version);
    }
    if (change.key != key || change.deleted != deleted || (!deleted && change.value != seen.value)) {
      wrong("version {} is both {} of {} and {} of {}", seen.version, change.value, change.key, seen.value, key);
    }
    change.known_at = std::min(change.known_at, at);
    if (change.writer != nullptr && at < change.writer->began) wrong("{} was seen before it was written", seen.value);
  }

  void find_writer(Change& change, uint64_t version) {
    const auto writer = writers_.find(change.value);
    if (writer == writers_.end() || writer->second->key != change.key) return wrong("nobody wrote {} to {}", change.value, change.key);
    change.writer = writer->second;
    if (change.writer->outcome == Outcome::kRefused) wrong("{} was refused and is seen in version {}", change.value, version);
    if (change.writer->outcome == Outcome::kDone && change.writer->seen.version != version) {
      wrong("{} was acknowledged as version {} and is seen as {}", change.value, change.writer->seen.version, version);
    }
  }

  void collect() {
    for (const Operation& op : history_.operations) {
      if (op.outcome != Outcome::kDone) continue;
      if (op.kind == Kind::kCreate || op.kind == Kind::kUpdate) know(op.key, Seen{op.seen.version, op.value}, false, op.ended);
      if (op.kind == Kind::kGet && op.seen.version != 0) know(op.key, op.seen, false, op.ended);
      for (const auto& [key, seen] : op.items) know(key, seen, false, op.ended);
    }
    for (const Watch& watch : history_.watches) {
      for (const Delivery& d : watch.deliveries) {
        if (d.type != Delivery::Type::kBookmark) know(d.key, d.seen, d.type == Delivery::Type::kDeleted, d.at);
      }
    }
  }

  // Whether a deletion that no watch told of may lie behind a version of an object.
  bool may_be_deleted(const std::string& key, uint64_t version, int64_t by) const {
    const auto found = deletes_.find(key);
    if (found == deletes_.end()) return false;
    return std::any_of(found->second.begin(), found->second.end(), [&](const Operation* op) { return op->precondition == version && op->began < by; });
  }

  void check_chains() {
    for (const auto& [key, changes] : by_key_) {
      uint64_t last = 0;
      bool alive = false;
      for (const auto& [version, change] : changes) {
        if (change->deleted && !alive) return wrong("{} is deleted in version {} and was not there", key, version);
        if (!change->deleted && change->writer->kind == Kind::kCreate && alive && !may_be_deleted(key, last, kNever)) {
          return wrong("{} is created in version {} and was there, as version {}", key, version, last);
        }
        if (!change->deleted && change->writer->kind == Kind::kUpdate && (!alive || last != change->writer->precondition)) {
          return wrong("{} is updated in version {} from version {}, but it was {}", key, version, change->writer->precondition, alive ? last : 0);
        }
        last = version;
        alive = !change->deleted;
      }
    }
  }

  // What anybody knew of, by the moments at which it became known.
  struct Known {
    int64_t at;
    uint64_t version;
    const std::string* key;  // null: of no object (a list's version, a bookmark)
  };

  void check_times() {
    std::vector<Known> known;
    for (const auto& [version, change] : changes_) known.push_back({change.known_at, version, &change.key});
    std::vector<const Operation*> order;
    for (const Operation& op : history_.operations) {
      order.push_back(&op);
      if (op.kind == Kind::kList && op.outcome == Outcome::kDone) known.push_back({op.ended, op.version, nullptr});
    }
    for (const Watch& watch : history_.watches) {
      for (const Delivery& d : watch.deliveries) {
        if (d.type == Delivery::Type::kBookmark) known.push_back({d.at, d.seen.version, nullptr});
      }
    }
    std::sort(known.begin(), known.end(), [](const Known& a, const Known& b) { return a.at < b.at; });
    std::sort(order.begin(), order.end(), [](const Operation* a, const Operation* b) { return a->began < b->began; });
    size_t next = 0;
    uint64_t newest = 0;
    std::map<std::string, uint64_t> newest_of;
    for (const Operation* op : order) {
      for (; next < known.size() && known[next].at < op->began; ++next) {
        newest = std::max(newest, known[next].version);
        if (known[next].key != nullptr) newest_of[*known[next].key] = std::max(newest_of[*known[next].key], known[next].version);
      }
      if (op->outcome == Outcome::kDone) check_operation(*op, newest, newest_of);
    }
  }

  void check_operation(const Operation& op, uint64_t newest, const std::map<std::string, uint64_t>& newest_of) {
    switch (op.kind) {
      case Kind::kCreate:
      case Kind::kUpdate:
        if (op.seen.version <= newest) wrong("{} was written as version {}, after version {} was known", op.value, op.seen.version, newest);
        return;
      case Kind::kDelete: return;
      case Kind::kGet: {
        const auto least = newest_of.find(op.key);
        return check_seen(op, op.key, op.seen, least == newest_of.end() ? 0 : least->second);
      }
      case Kind::kList: return check_list(op, newest);
    }
  }

  // `least`: the newest version of the object that was known when the read began.
  void check_seen(const Operation& op, const std::string& key, const Seen& seen, uint64_t least) {
    if (seen.version != 0) {
      if (seen.version < least) wrong("a read of {} saw version {} after version {} was known", key, seen.version, least);
      return;
    }
    const auto changes = by_key_.find(key);
    if (changes == by_key_.end() || least == 0) return;
    // Absent: at `least`, or somewhere behind it.
    for (auto at = changes->second.find(least); at != changes->second.end(); ++at) {
      if (at->second->deleted || may_be_deleted(key, at->first, op.ended)) return;
    }
    wrong("a read of {} saw nothing after version {} was known", key, least);
  }

  void check_list(const Operation& op, uint64_t newest) {
    if (op.version < newest) return wrong("a list has version {} after version {} was known", op.version, newest);
    for (const auto& [key, seen] : op.items) {
      if (seen.version > op.version) return wrong("a list of version {} has version {} of {}", op.version, seen.version, key);
    }
    for (const auto& [key, changes] : by_key_) {
      auto after = changes.upper_bound(op.version);
      const auto item = op.items.find(key);
      if (after == changes.begin()) continue;  // nothing yet; an item would be a change itself
      const auto& [version, change] = *--after;
      const bool listed = item != op.items.end();
      if (listed && (change->deleted || item->second.version != version)) {
        return wrong("a list of version {} has version {} of {}, not {}", op.version, item->second.version, key, version);
      }
      if (!listed && !change->deleted && !may_be_deleted(key, version, op.ended)) return wrong("a list of version {} lacks {}, of version {}", op.version, key, version);
    }
  }

  // Alive just before a version, as a watch from `from` knows it? A deletion before its begin may be unseen.
  bool was_there(const std::string& key, uint64_t version, uint64_t from, bool told_added) const {
    const auto& changes = by_key_.at(key);
    const auto at = changes.find(version);
    if (at == changes.begin() || std::prev(at)->second->deleted) return false;
    const uint64_t before = std::prev(at)->first;
    return !told_added || before > from || !may_be_deleted(key, before, kNever);
  }

  void check_watch(const Watch& watch) {
    uint64_t last = watch.from;
    auto expected = changes_.upper_bound(watch.from);
    for (const Delivery& d : watch.deliveries) {
      const bool bookmark = d.type == Delivery::Type::kBookmark;
      if (d.seen.version < last || (d.seen.version == last && !bookmark)) return wrong("a watch delivered version {} after version {}", d.seen.version, last);
      for (; expected != changes_.end() && expected->first < d.seen.version + (bookmark ? 1 : 0); ++expected) {
        return wrong("a watch from version {} left out version {} ({})", watch.from, expected->first, expected->second.key);
      }
      last = d.seen.version;
      if (bookmark) continue;
      ++expected;
      const bool there = was_there(d.key, d.seen.version, watch.from, d.type == Delivery::Type::kAdded);
      if ((d.type == Delivery::Type::kAdded && there) || (d.type == Delivery::Type::kModified && !there)) {
        return wrong("a watch delivered version {} of {} as {}", d.seen.version, d.key, there ? "added" : "modified");
      }
    }
  }

  const History& history_;
  std::string problem_;
  std::map<std::string, const Operation*> writers_;
  std::map<std::string, std::vector<const Operation*>> deletes_;
  Changes changes_;
  std::map<std::string, std::map<uint64_t, Change*>> by_key_;
};

}  // namespace

std::string check(const History& history) { return Checker(history).run(); }

}  // namespace gs::history
