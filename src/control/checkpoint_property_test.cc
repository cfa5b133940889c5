// Random histories of events, attempts, writes to the store and crashes between any two of them, against
// a model that knows what each attempt really did: a key is never skipped wrongly.
#include <gmock/gmock.h>

#include "control/checkpoint.h"
#include "runtime/sim_loop.h"
#include "store/memory_store.h"

namespace gs::control {
namespace {

const cache::GroupVersionResource kSecret("", "v1", "secrets");

// The cluster and the world outside, and what a delegate would take into account.
class World final : public Present {
 public:
  kube::ObjectRef primary_now(const std::string& ns, const std::string& name) const override { return primaries.get(ns, name); }
  std::optional<Seen> object_now(const cache::GroupVersionResource&, const std::string& ns, const std::string& name) const override {
    return Seen::of(secrets.get(ns, name));
  }
  const cache::Store* collection(const cache::GroupVersionResource&, const std::string&) const override { return &secrets; }

  void make_or_edit(cache::Store& store, const std::string& name, const std::string& labels) {
    const kube::ObjectRef old = store.get("ns", name);
    const std::string uid = old ? std::string(old->uid()) : "uid" + std::to_string(++version_);
    store.put(kube::Object::parse(R"({"metadata":{"namespace":"ns","name":")" + name + R"(","uid":")" + uid + R"(","resourceVersion":")" +
                                  std::to_string(++version_) + R"(","labels":)" + labels + "}}")
                  .value());
  }
  void edit_child() {
    make_or_edit(secrets, "child", "{}");
    children.put("secrets.v1", *secrets.get("ns", "child"), "ns/p");
  }
  void delete_child() {
    if (const auto old = secrets.erase("ns", "child")) children.erase("secrets.v1", *old);
  }
  // One input as text, for the model's comparison.
  std::string state(const std::string& name) const {
    const auto object = secrets.get("ns", name);
    return object ? std::string(object->uid()) + "@" + std::string(object->resource_version()) : "absent";
  }
  std::string list() const { return state("item1") + "," + state("item2"); }
  std::string pair_state() const { return std::to_string(generation) + "/" + std::to_string(config); }

  cache::Store primaries;
  cache::Store secrets;
  OwnedChildren children;
  int generation = 1;
  int config = 1;
  int outside = 0;  // of something that Kubernetes does not show

 private:
  uint64_t version_ = 10;
};

struct Inputs {
  std::string primary, child, referenced, list, pair;
  int outside = 0;
  bool operator==(const Inputs&) const = default;
};

class History {
 public:
  History(uint64_t seed, bool with_marks) : random_(seed), sim_(seed), loop_(sim_.add_loop()), with_marks_(with_marks) {
    now_.make_or_edit(now_.primaries, "p", "{}");
    new_process();
  }

  // How many keys were skipped that should not have been.
  int run(int steps) {
    for (int i = 0; i < steps; ++i) step();
    return wrong_skips_;
  }
  int skips() const { return skips_; }

 private:
  // Calm stretches and busy ones, so that attempts come to their end and are disturbed at every point.
  void step() {
    if (random_.below(12) == 0) busy_ = random_.below(4);
    if (random_.below(8) < busy_) return event();
    switch (random_.below(10)) {
      case 0: return crash();
      case 1: case 2: return store_.store();
      default: break;
    }
    if (stage_ > 0 || random_.below(4) == 0) go_on();
  }
  void event() {
    switch (random_.below(10)) {
      case 0: return now_.make_or_edit(now_.primaries, "p", "{}");
      case 1: return now_.make_or_edit(now_.secrets, "referenced", "{}");
      case 2: case 3: now_.secrets.erase("ns", "referenced"); return;
      case 4: return now_.make_or_edit(now_.secrets, random_.below(2) ? "item1" : "item2", R"({"app":"x"})");
      case 5: case 6: now_.secrets.erase("ns", random_.below(2) ? "item1" : "item2"); return;
      case 7: return random_.below(2) ? now_.edit_child() : now_.delete_child();
      case 8: random_.below(2) ? ++now_.config : ++now_.generation; return;
      default: return enqueue();
    }
  }

  Inputs inputs_now() const {
    const auto primary = now_.primaries.get("ns", "p");
    return {std::string(primary->resource_version()), now_.state("child"), now_.state("referenced"), now_.list(), now_.pair_state(), now_.outside};
  }

  void mark() {
    if (with_marks_) checkpoint_->mark(key_, "ns", "p");
  }
  // What Pair does for Enqueue.
  void enqueue() {
    ++now_.outside;
    outside_due_ = true;
    mark();
  }

  // The next step of an attempt, or a new one: each is a place to crash at.
  void go_on() {
    switch (stage_++) {
      case 0: {
        mark();
        outside_due_ = false;
        reads_ = ReadSets::Reads();
        basis_.uid = std::string(now_.primaries.get("ns", "p")->uid());
        basis_.version = std::string(now_.primaries.get("ns", "p")->resource_version());
        basis_.pair = store::Digester().text(now_.pair_state()).finish();
        basis_.children = now_.children.of("ns/p");
        done_ = inputs_now();
        clean_ = false;  // from here on the delegate may have acted on anything
        return;
      }
      case 1:
        reads_.names.push_back({kSecret, "ns", "referenced", Seen::of(now_.secrets.get("ns", "referenced"))});
        done_.referenced = now_.state("referenced");
        return;
      case 2: {
        gateway::ListDigest digest;
        for (const char* name : {"item1", "item2"}) {
          if (const auto o = now_.secrets.get("ns", name)) digest.add(o->ns(), o->name(), o->uid(), o->resource_version());
        }
        reads_.lists.push_back({kSecret, "ns", "app=x", kube::LabelSelector::parse("app=x").value(), "", digest});
        done_.list = now_.list();
        return;
      }
      case 3:
        if (random_.below(3) == 0) now_.edit_child();  // its own write; the echo comes
        return;
      default: return end(random_.below(3) != 0);
    }
  }

  // What Pair does with a result.
  void end(bool ok) {
    stage_ = 0;
    clean_ = ok;
    store::KeyRecord record;
    record.ns = "ns";
    record.name = "p";
    record.uid = basis_.uid;
    record.version = basis_.version;
    record.settled = ok && comparable(reads_, now_);
    record.basis = basis_.pair;
    record.children = basis_.children;
    record.read_set = records_of(reads_);
    record.reads = digest_of_reads(reads_);
    if (outside_due_) record.requeue_at = loop_.wall_now();
    checkpoint_->save(key_, std::move(record));
  }

  void new_process() {
    checkpoint_ = std::make_unique<Checkpoint>(loop_, store_, name_);
    key_ = SavedKey();
    stage_ = 0;
    outside_due_ = false;
  }

  void crash() {
    store_.crash();
    store_.restart();
    new_process();
    const store::KeyRecord* record = store_.find(name_, "ns", "p");
    if (record == nullptr) return;
    key_.stored = true;
    Comparison comparison(now_, now_.children, store::Digester().text(now_.pair_state()).finish());
    if (comparison.judge(*record) != Verdict::kUnchanged || record->requeue_at) return;
    ++skips_;
    if (!clean_ || !(done_ == inputs_now())) ++wrong_skips_;
  }

  Random random_;
  SimWorld sim_;
  SimLoop& loop_;
  bool with_marks_;
  uint64_t busy_ = 2;  // of 8
  World now_;
  store::MemoryStore store_{false};
  store::PairName name_{"cluster", "uid", "controller"};
  std::unique_ptr<Checkpoint> checkpoint_;
  SavedKey key_;
  // Of the attempt in flight.
  int stage_ = 0;
  AttemptBasis basis_;
  ReadSets::Reads reads_;
  bool outside_due_ = false;
  // The model's: what the last attempt that began was made of, and whether it came to a good end.
  Inputs done_;
  bool clean_ = false;
  int skips_ = 0;
  int wrong_skips_ = 0;
};

TEST(CheckpointPropertyTest, NoCrashBetweenAnyTwoStepsMakesAKeySkippedWrongly) {
  int skips = 0;
  for (uint64_t seed = 1; seed <= 3'000; ++seed) {
    History history(seed, true);
    ASSERT_EQ(history.run(300), 0) << "seed " << seed;
    skips += history.skips();
  }
  EXPECT_GT(skips, 1'000) << "and keys are skipped at all";
}

TEST(CheckpointPropertyTest, EqualityAloneWouldNotDo) {
  int wrong = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) wrong += History(seed, false).run(300);
  EXPECT_GT(wrong, 0) << "the model sees what the marks are for";
}

}  // namespace
}  // namespace gs::control
