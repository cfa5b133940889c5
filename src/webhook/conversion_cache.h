// Conversions that were made before. A conversion webhook is asked for the same object again and again (each read of another
// version, each list), and a dead one stops garbage collection in the whole cluster: what is here needs no delegate.
// Least recently used goes first, over a bound of bytes. One for each loop, shared by its targets.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "webhook/digest.h"

namespace gs::webhook {

// SHA-256 of what decides a conversion: the scope, the delegate's revision, the wanted version, and the object without its
// resourceVersion and managedFields, which say nothing of the content.
using ConversionKey = Digest;
ConversionKey conversion_key(std::string_view scope, std::string_view revision, std::string_view desired_api_version,
                             std::string_view object);

class ConversionCache {
 public:
  explicit ConversionCache(size_t max_bytes = 32 * 1024 * 1024) : max_bytes_(max_bytes) {}

  // What put() was given, or null; valid until the next put().
  const std::string* find(const ConversionKey& key);
  void put(const ConversionKey& key, std::string converted);

  size_t bytes() const { return bytes_; }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    ConversionKey key;
    std::string converted;
  };
  static size_t cost(const Entry& entry) { return entry.converted.size() + 160; }
  size_t max_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> order_;  // the last used first
  std::unordered_map<ConversionKey, std::list<Entry>::iterator, DigestHash> entries_;
};

}  // namespace gs::webhook
