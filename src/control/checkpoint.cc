#include "control/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "base/strings.h"

namespace gs::control {
namespace {

// A config of a directory has a version made of its content; anything without one is known by its bytes.
std::string version_of(const kube::Object& object) {
  if (!object.resource_version().empty()) return std::string(object.resource_version());
  return "digest-" + sha256_hex(object.json()).substr(0, 32);
}

store::ReadRecord record_of(const cache::GroupVersionResource& r, const std::string& ns, const std::string& name, bool list) {
  return {r.group, r.version, r.resource, ns, name, list};
}

void add_read(store::Digester& d, const store::ReadRecord& r) {
  d.text(r.group).text(r.version).text(r.resource).text(r.ns).text(r.name).number(r.list);
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  static constexpr std::string_view kNames[kVerdicts] = {"unchanged", "unsettled", "controller_or_config", "primary", "children", "reads"};
  return kNames[static_cast<size_t>(verdict)];
}

store::Digest digest_of_pair(const ControllerSpec& spec, const delegate::ConfigSet& configs) {
  store::Digester d;
  d.text(spec.uid).number(static_cast<uint64_t>(spec.generation)).number(configs.objects.size());
  for (const delegate::ConfigObject& config : configs.objects) {
    d.text(config.api_version).text(config.kind).text(config.ns).text(config.name).number(config.object ? 1 : 0);
    if (config.object) d.text(config.object->uid()).text(version_of(*config.object));
  }
  return d.finish();
}

store::PairRecord describe_pair(const ControllerSpec& spec, const delegate::ConfigSet& configs, const std::string& revision) {
  store::PairRecord out;
  out.controller_uid = spec.uid;
  out.generation = spec.generation;
  out.revision = revision;
  for (const delegate::ConfigObject& config : configs.objects) {
    if (!out.configs.empty()) out.configs += ", ";
    out.configs += fmt::format("{} {} {}/{}", config.api_version, config.kind, config.ns, config.name);
    out.configs += config.object ? fmt::format(" {} {}", config.object->uid(), version_of(*config.object)) : " absent";
  }
  return out;
}

store::Digest digest_of_revision(const std::string& revision) { return store::Digester().text(revision).finish(); }

bool comparable(const ReadSets::Reads& reads, const Present& present) {
  if (reads.overflow || reads.never_skip) return false;
  return std::all_of(reads.names.begin(), reads.names.end(),
                     [&](const ReadSets::NameRead& r) { return r.seen.known && present.object_now(r.resource, r.ns, r.name).has_value(); }) &&
         std::all_of(reads.lists.begin(), reads.lists.end(),
                     [&](const ReadSets::ListRead& r) { return r.digest && present.collection(r.resource, r.ns) != nullptr; });
}

std::vector<store::ReadRecord> records_of(const ReadSets::Reads& reads) {
  std::vector<store::ReadRecord> out;
  out.reserve(reads.names.size() + reads.lists.size());
  for (const ReadSets::NameRead& r : reads.names) out.push_back(record_of(r.resource, r.ns, r.name, false));
  for (const ReadSets::ListRead& r : reads.lists) out.push_back(record_of(r.resource, r.ns, r.selector_text, true));
  return out;
}

store::Digest digest_of_reads(const ReadSets::Reads& reads) {
  store::Digester d;
  for (const ReadSets::NameRead& r : reads.names) {
    add_read(d, record_of(r.resource, r.ns, r.name, false));
    d.number(r.seen.known).number(r.seen.present).text(r.seen.uid).text(r.seen.version);
  }
  for (const ReadSets::ListRead& r : reads.lists) {
    add_read(d, record_of(r.resource, r.ns, r.selector_text, true));
    d.number(r.digest.has_value()).digest(r.digest ? r.digest->sum() : store::Digest());
  }
  return d.finish();
}

void Comparison::new_turn() {
  this_turn_ = 0;
  lists_.clear();
}

std::optional<gateway::ListDigest> Comparison::list_now(const store::ReadRecord& record, const kube::LabelSelector& selector) {
  const cache::GroupVersionResource resource(record.group, record.version, record.resource);
  const cache::Store* all = present_.collection(resource, record.ns);
  if (all == nullptr) return std::nullopt;
  const auto key = std::make_tuple(resource.to_string(), record.ns, record.name);
  if (const auto known = lists_.find(key); known != lists_.end()) return known->second;
  if (looked_at_ >= kMostObjects) return std::nullopt;
  this_turn_ += all->size();
  looked_at_ += all->size();
  gateway::ListDigest digest;
  all->for_each(record.ns, [&](const kube::ObjectRef& object) {
    if (selector.matches(object->labels())) digest.add(*object);
  });
  return lists_[key] = digest;
}

std::optional<ReadSets::Reads> Comparison::read_again(const std::vector<store::ReadRecord>& records) {
  ReadSets::Reads out;
  for (const store::ReadRecord& record : records) {
    const cache::GroupVersionResource resource(record.group, record.version, record.resource);
    if (!record.list) {
      auto seen = present_.object_now(resource, record.ns, record.name);
      if (!seen) return std::nullopt;
      out.names.push_back({resource, record.ns, record.name, *std::move(seen)});
      continue;
    }
    auto selector = kube::LabelSelector::parse(record.name);
    if (!selector) return std::nullopt;
    const auto digest = list_now(record, *selector);
    if (!digest) return std::nullopt;
    // Without the version of the list every change of it triggers, which is what a new look needs.
    out.lists.push_back({resource, record.ns, record.name, *std::move(selector), "", digest});
  }
  return out;
}

Verdict Comparison::judge(const store::KeyRecord& record) {
  if (!record.settled) return Verdict::kUnsettled;
  if (record.basis != pair_ && !mutated(Mutation::kConfigNotCompared)) return Verdict::kControllerOrConfig;
  const kube::ObjectRef primary = present_.primary_now(record.ns, record.name);
  const bool same = primary && primary->uid() == record.uid && (primary->resource_version() == record.version || mutated(Mutation::kPrimaryNotCompared));
  if (!same) return Verdict::kPrimary;
  if (children_.of(record.ns + "/" + record.name) != record.children && !mutated(Mutation::kChildrenNotCompared)) return Verdict::kChildren;
  const auto reads = read_again(record.read_set);
  if (!reads || (digest_of_reads(*reads) != record.reads && !mutated(Mutation::kReadsNotCompared))) return Verdict::kReads;
  return Verdict::kUnchanged;
}

ReadSets::Reads Comparison::reads_of(const store::KeyRecord& record) { return read_again(record.read_set).value_or(ReadSets::Reads()); }

Duration delay_until(WallTime at, WallTime saved_at, WallTime now) {
  if (at <= now) return Duration::zero();
  return std::clamp(at - saved_at, Duration::zero(), at - now);
}

void Checkpoint::restore(const Present& present, const OwnedChildren& children, Restored& restored) {
  scope_.cancel();
  scope_.spawn(run_restore(&present, &children, &restored));
}

// One page of records; the store answers on this loop, or never where the disk hangs.
Task<Result<store::LoadedBatch>> Checkpoint::load(std::string after_ns, std::string after_name) {
  struct Job {
    explicit Job(Loop& loop) : done(loop) {}
    Event done;
    Result<store::LoadedBatch> batch = fail(Code::kDeadlineExceeded, "the state file does not answer");
  };
  const auto job = std::make_shared<Job>(loop_);
  store::StateStore::Loaded loaded = [job](Result<store::LoadedBatch> batch) {
    job->batch = std::move(batch);
    job->done.set();
  };
  store_.load(name_, std::move(after_ns), std::move(after_name), loop_, std::move(loaded));
  co_await job->done.wait(saturating_add(loop_.now(), kPatience));
  co_return std::move(job->batch);
}

Task<void> Checkpoint::run_restore(const Present* present, const OwnedChildren* children, Restored* restored) {
  Comparison comparison(*present, *children, restored->pair_digest());
  std::string after_ns, after_name;
  while (true) {
    const Result<store::LoadedBatch> batch = co_await load(after_ns, after_name);
    if (!batch) {
      log::warning("state cannot be read: everything is reconciled", {{"controller", name_->controller}, {"cluster", name_->cluster}, {"err", batch.error()}});
      restored->restore_ended(false);
      co_return;
    }
    comparison.new_turn();
    for (const store::KeyRecord& record : batch->records) {
      if (comparison.turn_is_full()) {
        co_await sleep_for(loop_, Duration::zero());
        comparison.new_turn();
      }
      comparison.pair_is(restored->pair_digest());
      const Verdict verdict = comparison.judge(record);
      if (verdict == Verdict::kUnchanged) {
        ReadSets::Reads reads = comparison.reads_of(record);
        restored->key_restored(record, verdict, &reads);
      } else {
        restored->key_restored(record, verdict, nullptr);
      }
    }
    if (batch->last || batch->records.empty()) break;
    after_ns = batch->records.back().ns;
    after_name = batch->records.back().name;
  }
  restored->restore_ended(true);
}

void Checkpoint::mark(SavedKey& key, const std::string& ns, const std::string& name) {
  if (key.marked) return;  // it stands until the next record
  if (!mutated(Mutation::kStaleMarkMissing)) store_.mark(*name_, ns, name);
  key.marked = true;
  if (key.stored) return;
  // So that the next start knows of the key, whatever becomes of the attempt and of the primary.
  store::KeyRecord record;
  record.ns = ns;
  record.name = name;
  record.saved_at = loop_.wall_now();
  key.stored = true;
  store_.put(name_, std::move(record), 0);
}

void Checkpoint::save(SavedKey& key, store::KeyRecord record) {
  key.stored = true;
  record.saved_at = loop_.wall_now();
  store_.put(name_, std::move(record), std::exchange(key.marked, false) ? 1 : 0);
}

void Checkpoint::forget(SavedKey& key, const std::string& ns, const std::string& name) {
  if (!key.stored && !key.marked) return;
  key.stored = false;
  store_.erase(name_, ns, name, std::exchange(key.marked, false) ? 1 : 0);
}

void Checkpoint::save_pair(store::PairRecord record) {
  if (record == saved_pair_) return;
  saved_pair_ = record;
  store_.put_pair(name_, std::move(record));
}

}  // namespace gs::control
