// Immutable values shared by all who have the same: kept by a key of their content for as long as somebody holds
// them. Not thread-safe.
#pragma once

#include <iterator>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

namespace gs {

template <class T>
class Interned {
 public:
  // Null where nobody has it.
  std::shared_ptr<const T> find(const std::string& key) const {
    const auto found = values_.find(key);
    return found != values_.end() ? found->second.lock() : nullptr;
  }
  void put(std::string key, const std::shared_ptr<const T>& value) {
    // Swept whenever it would grow: it stays within twice what is in use.
    if (values_.size() == static_cast<size_t>(values_.max_load_factor() * static_cast<float>(values_.bucket_count()))) sweep();
    values_.insert_or_assign(std::move(key), value);
  }
  // Keys, those that nobody holds any more and that are not swept yet among them.
  size_t size() const { return values_.size(); }

 private:
  void sweep() {
    for (auto it = values_.begin(); it != values_.end();) it = it->second.expired() ? values_.erase(it) : std::next(it);
  }

  std::unordered_map<std::string, std::weak_ptr<const T>> values_;
};

}  // namespace gs
