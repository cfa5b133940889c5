#include "webhook/server.h"

namespace gs::webhook {

Digest TargetTable::digest(std::string_view prefix, ReviewKind kind, std::string_view name) const {
  Sha256 hash;
  hash.part(salt_);
  hash.part(prefix);
  hash.part(kind == ReviewKind::kAdmission ? "admission" : "conversion");
  hash.part(name);
  return hash.finish();
}

void TargetTable::set(std::string_view prefix, ReviewKind kind, std::string_view name, std::shared_ptr<Destination> destination) {
  table_[digest(prefix, kind, name)] = std::move(destination);
}

void TargetTable::erase(std::string_view prefix, ReviewKind kind, std::string_view name) { table_.erase(digest(prefix, kind, name)); }

std::shared_ptr<Destination> TargetTable::find(std::string_view prefix, ReviewKind kind, std::string_view name) {
  const auto found = table_.find(digest(prefix, kind, name));
  return found == table_.end() ? nullptr : found->second;
}

}  // namespace gs::webhook
