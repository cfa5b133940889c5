// What is kept over a restart: digests, versions and names, never the content of an object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "store/digest.h"

namespace gs::store {

// A Controller in a cluster, by names that mean the same in the next process.
struct PairName {
  std::string cluster;     // "tenant/name", or "name"
  std::string cluster_uid;  // of the Cluster object
  std::string controller;
  auto operator<=>(const PairName&) const = default;
};

// For people who look into the file; decisions are made by the digests in the keys' records.
struct PairRecord {
  std::string controller_uid;
  int64_t generation = 0;
  std::string configs;   // "v1 ConfigMap kube-system/settings uid version, ..."
  std::string revision;  // of the delegate's logic
  bool operator==(const PairRecord&) const = default;
};

// One read of a key's last reconcile: an object by name, or a list by label selector.
struct ReadRecord {
  std::string group;
  std::string version;
  std::string resource;
  std::string ns;
  std::string name;  // or the selector
  bool list = false;
  bool operator==(const ReadRecord&) const = default;
};

// What the last reconcile of a key rests on, as that reconcile saw it.
struct KeyRecord {
  std::string ns;
  std::string name;
  // Of the primary as it was sent; empty: there was none.
  std::string uid;
  std::string version;
  // The result was ok, and everything it rests on can be compared. Otherwise the key is reconciled.
  bool settled = false;
  uint32_t failures = 0;
  WallTime saved_at{};
  std::optional<WallTime> requeue_at;
  std::optional<WallTime> resync_at;
  Digest basis;     // the Controller's uid and generation, the configs' versions
  Digest revision;  // of the delegate that answered
  Digest children;  // the set of (resource, uid, version) of what the primary owns
  Digest reads;     // the states of all of read_set, in its order
  std::vector<ReadRecord> read_set;
  bool operator==(const KeyRecord&) const = default;
};

// The read set in a compact form, and back. kInvalid where the bytes are not what encode_reads made.
std::string encode_reads(const std::vector<ReadRecord>& reads, const std::string& key_ns);
Result<std::vector<ReadRecord>> decode_reads(std::string_view bytes, const std::string& key_ns);

// Over all fields and the pair's name: a record whose bytes changed on the disk does not match it.
Digest checksum(const PairName& pair, const KeyRecord& record, std::string_view encoded_reads);

}  // namespace gs::store
