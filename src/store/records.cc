#include "store/records.h"

namespace gs::store {
namespace {

// Unsigned LEB128.
void put_number(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out.append(text);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  bool failed() const { return failed_; }
  uint64_t number() {
    uint64_t out = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      out |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return out;
    }
    failed_ = true;
    return 0;
  }
  std::string text() {
    const uint64_t size = number();
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

constexpr uint64_t kList = 1;
constexpr uint64_t kSameResource = 2;  // as the read before
constexpr uint64_t kKeyNamespace = 4;  // the key's own
constexpr uint64_t kFlags = 7;

}  // namespace

std::string encode_reads(const std::vector<ReadRecord>& reads, const std::string& key_ns) {
  std::string out;
  const ReadRecord* before = nullptr;
  for (const ReadRecord& read : reads) {
    const bool same = before != nullptr && before->group == read.group && before->version == read.version && before->resource == read.resource;
    put_number(out, (read.list ? kList : 0) | (same ? kSameResource : 0) | (read.ns == key_ns ? kKeyNamespace : 0));
    if (!same) {
      put_text(out, read.group);
      put_text(out, read.version);
      put_text(out, read.resource);
    }
    if (read.ns != key_ns) put_text(out, read.ns);
    put_text(out, read.name);
    before = &read;
  }
  return out;
}

Result<std::vector<ReadRecord>> decode_reads(std::string_view bytes, const std::string& key_ns) {
  std::vector<ReadRecord> out;
  Reader reader(bytes);
  while (!reader.done()) {
    const uint64_t flags = reader.number();
    if (flags > kFlags || ((flags & kSameResource) != 0 && out.empty())) return fail(Code::kInvalid, "a read set is damaged");
    ReadRecord read;
    read.list = (flags & kList) != 0;
    if ((flags & kSameResource) != 0) {
      read.group = out.back().group;
      read.version = out.back().version;
      read.resource = out.back().resource;
    } else {
      read.group = reader.text();
      read.version = reader.text();
      read.resource = reader.text();
    }
    read.ns = (flags & kKeyNamespace) != 0 ? key_ns : reader.text();
    read.name = reader.text();
    if (reader.failed()) return fail(Code::kInvalid, "a read set is damaged");
    out.push_back(std::move(read));
  }
  return out;
}

Digest checksum(const PairName& pair, const KeyRecord& record, std::string_view encoded_reads) {
  const auto time = [](const std::optional<WallTime>& t) { return t ? static_cast<uint64_t>(t->time_since_epoch().count()) : 0; };
  Digester d;
  d.text(pair.cluster).text(pair.cluster_uid).text(pair.controller);
  d.text(record.ns).text(record.name).text(record.uid).text(record.version);
  d.number(record.settled).number(record.failures).number(static_cast<uint64_t>(record.saved_at.time_since_epoch().count()));
  d.number(record.requeue_at.has_value()).number(time(record.requeue_at));
  d.number(record.resync_at.has_value()).number(time(record.resync_at));
  d.digest(record.basis).digest(record.revision).digest(record.children).digest(record.reads).text(encoded_reads);
  return d.finish();
}

}  // namespace gs::store
