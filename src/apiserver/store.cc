#include "apiserver/store.h"

#include <algorithm>

#include "base/check.h"
#include "json/scan.h"

namespace gs::apiserver {
namespace {

// A disk that takes longer for a write is as good as broken.
constexpr Duration kDiskTime = std::chrono::seconds(30);
// The journal is told of what is forgotten in portions: rows go together, cheaply.
constexpr size_t kGarbagePortion = 512;

StoredPtr make_stored(json::Value object, uint64_t version, AppliedPtr applied, uint64_t shape) {
  object["metadata"]["resourceVersion"] = std::to_string(version);
  object.make_object().erase("kind");
  object.make_object().erase("apiVersion");
  return std::make_shared<Stored>(object.text("metadata.namespace"), object.text("metadata.name"), version, object.dump(), std::move(applied), shape);
}

size_t history_bytes(const Change& change) {
  return sizeof(Change) + (change.before ? change.before->bytes() : 0) + (change.type == ChangeType::kDeleted ? change.object->bytes() : 0);
}

}  // namespace

StoredPtr with_version(const Stored& object, uint64_t version) {
  const auto old = json::raw_at(object.json, "metadata.resourceVersion");
  GS_CHECK(old.has_value());
  const size_t at = static_cast<size_t>(old->data() - object.json.data());
  std::string json;
  json.reserve(object.json.size() + 8);
  json.append(object.json.substr(0, at)).append("\"").append(std::to_string(version)).append("\"").append(object.json.substr(at + old->size()));
  return std::make_shared<Stored>(object.ns, object.name, version, json, nullptr, object.shape);
}

Stored::Stored(std::string_view in, std::string_view called, uint64_t v, std::string_view object, AppliedPtr by, uint64_t s)
    : version(v), applied(std::move(by)), shape(s) {
  bytes_.reserve(in.size() + 1 + called.size() + object.size());
  bytes_.append(in).append("/").append(called).append(object);
  const std::string_view all = bytes_;
  ns = all.substr(0, in.size());
  name = all.substr(in.size() + 1, called.size());
  json = all.substr(in.size() + 1 + called.size());
  labels = json::raw_at(json, "metadata.labels").value_or(std::string_view());
}

json::Value Stored::value() const {
  auto parsed = json::parse(json);
  GS_CHECK(parsed.has_value());
  return *std::move(parsed);
}

json::Value Stored::value(const ResourceType& type) const {
  auto parsed = json::parse(text(type));
  GS_CHECK(parsed.has_value());
  return *std::move(parsed);
}

std::string Stored::text(const ResourceType& type) const {
  std::string out;
  append_to(out, type.prefix());
  return out;
}

// An object is never empty: it has metadata.
void Stored::append_to(std::string& out, std::string_view prefix) const {
  out += prefix;
  out += json.substr(prefix.empty() ? 0 : 1);
}

std::optional<uint64_t> Collection::after(uint64_t version) const {
  if (version < forgotten_) return std::nullopt;
  uint64_t low = first_, high = end();
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (change(middle).version <= version) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::string Store::key(std::string_view ns, std::string_view name) {
  std::string out(ns);
  out += '/';
  return out.append(name);
}

const Collection* Store::find(const ResourceType& type) const {
  const ResourceType& kept = type.storage_type();
  const auto found = collections_.find({kept.group, kept.resource});
  return found == collections_.end() ? nullptr : found->second.get();
}

Collection& Store::collection_of(const ResourceName& name) {
  std::unique_ptr<Collection>& out = collections_[name];
  if (!out) {
    out = std::make_unique<Collection>(loop_);
    out->name_ = std::make_shared<const ResourceName>(name);
    out->forgotten_ = restored_compacted_;
  }
  return *out;
}

Collection& Store::collection(const ResourceType& type) {
  const ResourceType& kept = type.storage_type();
  return collection_of({kept.group, kept.resource});
}

// Reading.

StoredPtr Store::get(const ResourceType& type, std::string_view ns, std::string_view name) const {
  const Collection* collection = find(type);
  if (collection == nullptr) return nullptr;
  const auto found = collection->objects_.find(std::string_view(key(ns, name)));
  return found == collection->objects_.end() ? nullptr : *found;
}

std::vector<StoredPtr> Store::list(const ResourceType& type, std::string_view ns) const { return *list_at(type, ns, version_); }

bool Store::any(const ResourceType& type, std::string_view ns) const {
  const Collection* collection = find(type);
  if (collection == nullptr) return false;
  const auto first = collection->objects_.lower_bound(std::string_view(ns.empty() ? "" : key(ns, "")));
  return first != collection->objects_.end() && (ns.empty() || (*first)->ns == ns);
}

// The present, with what came after the version undone: `then` has the former state of what has changed
// since, null where it was not there.
std::optional<std::vector<StoredPtr>> Store::list_at(const ResourceType& type, std::string_view ns, uint64_t version, std::string_view after) const {
  std::vector<StoredPtr> out;
  const Collection* collection = find(type);
  if (collection == nullptr) return out;
  std::map<std::string_view, StoredPtr> then;
  if (version < version_) {
    const auto from = collection->after(version);
    if (!from) return std::nullopt;
    for (uint64_t number = collection->end(); number-- > *from;) {
      const Change& change = collection->change(number);
      then[change.object->key()] = change.before;
    }
  }
  const std::string begin = std::max(ns.empty() ? std::string() : key(ns, ""), std::string(after));
  auto now = collection->objects_.lower_bound(std::string_view(begin));
  auto was = then.lower_bound(begin);
  const auto take = [&](const StoredPtr& object) {
    if (object && object->key() != after) out.push_back(object);
  };
  const auto inside = [&](std::string_view at) { return ns.empty() || (at.starts_with(ns) && at[ns.size()] == '/'); };
  while (true) {
    const bool has_now = now != collection->objects_.end() && inside((*now)->key());
    const bool has_was = was != then.end() && inside(was->first);
    if (!has_now && !has_was) return out;
    if (has_was && (!has_now || was->first <= (*now)->key())) {
      if (has_now && was->first == (*now)->key()) ++now;
      take((was++)->second);
    } else {
      take(*now++);
    }
  }
}

// Writing.

void Store::wake(Collection& collection) {
  if (journal_ == nullptr) return collection.changed.wake_all();
  if (!std::exchange(collection.to_wake_, true)) to_wake_.push_back(&collection);
}

void Store::write(Collection& to, Revision::Type type, StoredPtr object) {
  if (journal_ == nullptr) {
    durable_ = version_;
    return;
  }
  Revision revision;
  revision.type = type;
  revision.version = version_;
  revision.resource = to.name_;
  revision.object = std::move(object);
  journal_->append(std::move(revision));
}

void Store::record(Collection& to, Change change) {
  change.at = loop_.now();
  history_bytes_ += history_bytes(change);
  order_.push_back(Place{&to, to.end()});
  to.log_.push_back(std::move(change));
  wake(to);
  trim();
}

void Store::trim() {
  const MonoTime now = loop_.now();
  while (!order_.empty()) {
    const auto [collection, number] = order_.front();
    const bool gone = number < collection->first_;
    if (!gone && order_.size() <= limits_.changes && history_bytes_ <= limits_.bytes && now - collection->change(number).at <= limits_.age) break;
    forget_oldest();
  }
  if (journal_ == nullptr || garbage_.size() < kGarbagePortion) return;
  journal_->forget(compacted_, garbage_);
  garbage_.clear();
}

void Store::forget_oldest() {
  const auto [collection, number] = order_.front();
  order_.pop_front();
  if (number < collection->first_) return;
  const Change& change = collection->log_.front();
  history_bytes_ -= history_bytes(change);
  compacted_ = collection->forgotten_ = change.version;
  if (journal_ != nullptr && change.before) garbage_.push_back(change.before->version);
  if (journal_ != nullptr && change.type == ChangeType::kDeleted) garbage_.push_back(change.version);
  collection->log_.pop_front();
  ++collection->first_;
}

StoredPtr Store::put(const ResourceType& type, json::Value object, AppliedPtr applied) {
  Collection& to = collection(type);
  Change change;
  change.version = ++version_;
  change.object = make_stored(std::move(object), change.version, std::move(applied), type.stored_as ? 0 : type.shape);
  place(to, change);
  StoredPtr out = change.object;
  write(to, Revision::Type::kPut, out);
  record(to, std::move(change));
  return out;
}

// In the collection, in the place of what was there.
void Store::place(Collection& to, Change& change) {
  auto found = to.objects_.lower_bound(change.object->key());
  if (found != to.objects_.end() && (*found)->key() == change.object->key()) {
    change.type = ChangeType::kModified;
    change.before = *found;
    found = to.objects_.erase(found);
  } else {
    ++size_;
  }
  to.objects_.insert(found, change.object);
}

void Store::remember(const ResourceType& type, const StoredPtr& object, AppliedPtr applied) {
  Collection& in = collection(type);
  ++version_;
  auto same = std::make_shared<Stored>(object->ns, object->name, object->version, object->json, std::move(applied), object->shape);
  in.objects_.erase(in.objects_.find(object->key()));
  in.objects_.insert(same);
  write(in, Revision::Type::kRemember, std::move(same));
}

StoredPtr Store::erase(const ResourceType& type, std::string_view ns, std::string_view name) {
  Collection& from = collection(type);
  const auto found = from.objects_.find(std::string_view(key(ns, name)));
  GS_CHECK(found != from.objects_.end());
  Change change;
  change.type = ChangeType::kDeleted;
  change.version = ++version_;
  change.before = *found;
  change.object = with_version(*change.before, change.version);
  from.objects_.erase(found);
  --size_;
  StoredPtr out = change.object;
  write(from, Revision::Type::kDelete, out);
  record(from, std::move(change));
  return out;
}

void Store::clear(Collection& collection) {
  size_ -= collection.objects_.size();
  collection.objects_.clear();
  for (const Change& change : collection.log_) history_bytes_ -= history_bytes(change);
  collection.first_ = collection.end();
  collection.log_.clear();
  collection.forgotten_ = version_;
  ++collection.incarnation_;
}

void Store::end_watches(const ResourceType& type) {
  Collection& of = collection(type);
  ++of.incarnation_;
  of.changed.wake_all();
}

void Store::drop(const ResourceType& type) {
  Collection& from = collection(type);
  ++version_;
  clear(from);
  write(from, Revision::Type::kDrop, nullptr);
  wake(from);
}

void Store::compact() {
  while (!order_.empty()) forget_oldest();
  for (auto& [name, collection] : collections_) wake(*collection);
  if (journal_ == nullptr || garbage_.empty()) return;
  journal_->forget(compacted_, garbage_);
  garbage_.clear();
}

// The disk.

Task<Status> Store::durable(uint64_t version) {
  GS_CHECK(version <= version_);
  const MonoTime deadline = saturating_add(loop_.now(), kDiskTime);
  while (durable_ < version) {
    if (!health_) co_return fail(Code::kUnavailable, "{}; what the request wrote may be kept or lost", health_.error().message);
    const bool woken = co_await durable_changed_.wait(deadline);
    if (!woken && durable_ < version) co_return fail(Code::kUnavailable, "the disk takes too long; what the request wrote may be kept or lost");
  }
  co_return ok();
}

Task<Status> Store::writable() {
  const MonoTime deadline = saturating_add(loop_.now(), kDiskTime);
  while (health_ && journal_ != nullptr && !journal_->has_room()) {
    const bool woken = co_await durable_changed_.wait(deadline);
    if (!woken) co_return fail(Code::kUnavailable, "the disk takes too long");
  }
  co_return health_;
}

void Store::made_durable(uint64_t version) {
  durable_ = std::max(durable_, version);
  for (Collection* collection : std::exchange(to_wake_, {})) {
    collection->to_wake_ = false;
    collection->changed.wake_all();
    // What came meanwhile waits for its own.
    if (!collection->log_.empty() && collection->log_.back().version > durable_) wake(*collection);
  }
  durable_changed_.wake_all();
}

void Store::set_health(Status health) {
  health_ = std::move(health);
  durable_changed_.wake_all();
}

void Store::restore(Revision revision, uint64_t compacted) {
  Collection& to = collection_of(*revision.resource);
  version_ = std::max(version_, revision.version);
  if (revision.type == Revision::Type::kDrop) return clear(to);
  Change change;
  change.version = revision.version;
  change.object = std::move(revision.object);
  if (revision.type == Revision::Type::kDelete) {
    const auto found = to.objects_.find(change.object->key());
    if (found == to.objects_.end()) return;
    change.type = ChangeType::kDeleted;
    change.before = *found;
    to.objects_.erase(found);
    --size_;
  } else {
    place(to, change);
  }
  if (revision.version <= compacted) return;
  change.at = loop_.now();
  history_bytes_ += history_bytes(change);
  order_.push_back(Place{&to, to.end()});
  to.log_.push_back(std::move(change));
}

void Store::begin(Journal& journal, uint64_t version, uint64_t compacted) {
  journal_ = &journal;
  durable_ = version_ = std::max(version_, version);
  compacted_ = restored_compacted_ = compacted;
  for (auto& [name, collection] : collections_) collection->forgotten_ = std::max(collection->forgotten_, compacted);
  trim();
}

}  // namespace gs::apiserver
