#include "webhook/conversion_cache.h"

#include "json/scan.h"

namespace gs::webhook {

ConversionKey conversion_key(std::string_view scope, std::string_view revision, std::string_view desired_api_version,
                             std::string_view object) {
  Sha256 hash;
  hash.part(scope);
  hash.part(revision);
  hash.part(desired_api_version);
  json::for_each_member(object, [&](std::string_view key, std::string_view value) {
    hash.part(key);
    if (key != "metadata" || value.front() != '{') return hash.part(value);
    json::for_each_member(value, [&](std::string_view name, std::string_view content) {
      if (name == "resourceVersion" || name == "managedFields") return;
      hash.part(name);
      hash.part(content);
    });
    hash.part("}");  // where metadata ends and the rest goes on
  });
  return hash.finish();
}

const std::string* ConversionCache::find(const ConversionKey& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return &found->second->converted;
}

void ConversionCache::put(const ConversionKey& key, std::string converted) {
  if (const auto found = entries_.find(key); found != entries_.end()) {
    bytes_ -= cost(*found->second);
    order_.erase(found->second);
    entries_.erase(found);
  }
  converted.shrink_to_fit();
  Entry entry{key, std::move(converted)};
  if (cost(entry) > max_bytes_) return;
  bytes_ += cost(entry);
  order_.push_front(std::move(entry));
  entries_.emplace(key, order_.begin());
  while (bytes_ > max_bytes_) {
    bytes_ -= cost(order_.back());
    entries_.erase(order_.back().key);
    order_.pop_back();
  }
}

}  // namespace gs::webhook
