#include "gateway/journal.h"

#include "gateway/versions.h"

namespace gs::gateway {
namespace {

size_t bytes_of(const Journal::Change& change) {
  return (change.before ? change.before->footprint() : 0) + (change.after ? change.after->footprint() : 0);
}

}  // namespace

// A watch tells changes in the order of their versions. A relist does not (and a deletion that was missed
// has an old one): whoever watches then begins anew with a list.
void Journal::push(Change change) {
  if (!newer(change.after->resource_version(), last_)) return restart();
  last_ = std::string(change.after->resource_version());
  bytes_ += bytes_of(change);
  changes_.push_back(std::move(change));
  while (changes_.size() > kMaxEvents || bytes_ > kMaxBytes) drop_oldest();
  changed_.wake_all();
}

void Journal::drop_oldest() {
  floor_ = std::string(changes_.front().after->resource_version());
  bytes_ -= bytes_of(changes_.front());
  changes_.pop_front();
  ++first_;
}

void Journal::restart() {
  // One place is skipped, so that nobody stands at the new beginning.
  first_ += changes_.size() + 1;
  changes_.clear();
  bytes_ = 0;
  unsettled_ = true;
  changed_.wake_all();
}

// What was told since the beginning is in that list; its versions came in any order.
void Journal::settle(std::string_view version) {
  if (!unsettled_) return;
  unsettled_ = false;
  first_ += changes_.size();
  changes_.clear();
  bytes_ = 0;
  floor_ = std::string(version);
  last_ = floor_;
}

std::optional<uint64_t> Journal::place_of(std::string_view version) const {
  if (unsettled_ || newer(floor_, version) || !kube::compare_versions(floor_, version).comparable) return std::nullopt;
  uint64_t place = end();
  while (place > first_ && newer(at(place - 1).after->resource_version(), version)) --place;
  return place;
}

}  // namespace gs::gateway
