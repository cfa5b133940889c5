// What keeping state costs: per key on the loop, per key on the store's thread, bytes a key, and the
// time to read a file at the start.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/uv_loop.h"
#include "store/sqlite_store.h"

namespace gs::store {
namespace {

constexpr int kKeys = 100'000;

KeyRecord record(int i) {
  KeyRecord out;
  out.ns = fmt::format("namespace-{}", i % 100);
  out.name = fmt::format("website-{}", i);
  out.uid = fmt::format("0b7e2f1c-5a2d-4c1e-9a55-{:012d}", i);
  out.version = std::to_string(1'000'000 + i);
  out.settled = true;
  out.basis = Digester().number(1).finish();
  out.reads = Digester().number(static_cast<uint64_t>(i)).finish();
  for (const char* kind : {"deployments", "services", "ingresses"}) {
    out.read_set.push_back({kind[0] == 's' ? "" : "apps", "v1", kind, out.ns, out.name, false});
  }
  return out;
}

struct Fixture {
  Fixture() : dir(std::filesystem::temp_directory_path() / fmt::format("gs-store-bench-{}", getpid())) { std::filesystem::create_directories(dir); }
  ~Fixture() { std::filesystem::remove_all(dir); }
  SqliteStoreOptions options() const {
    SqliteStoreOptions out;
    out.path = dir / "state.db";
    return out;
  }
  void flush(SqliteStore& store) {
    bool done = false;
    store.flush(loop, [&] { done = true; });
    loop.run_until([&] { return done; });
  }
  void fill(SqliteStore& store) {
    for (int i = 0; i < kKeys; ++i) {
      store.put(pair, record(i), 0);
      if (i % 50'000 == 49'999) flush(store);
    }
    flush(store);
  }
  std::filesystem::path dir;
  UvLoop loop;
  std::shared_ptr<const PairName> pair = std::make_shared<const PairName>(PairName{"tenant/cluster", "uid", "websites"});
};

// On the loop: a mark and a put.
void BM_MarkAndPut(benchmark::State& state) {
  Fixture f;
  SqliteStore store(f.options());
  int i = 0;
  KeyRecord r = record(0);
  for (auto _ : state) {
    r.version = std::to_string(++i);
    store.mark(*f.pair, r.ns, r.name);
    store.put(f.pair, r, 1);
  }
}
BENCHMARK(BM_MarkAndPut);

// The store's thread, with fsync where SQLite wants it; and the bytes a key of three reads takes.
void BM_Store100kKeys(benchmark::State& state) {
  for (auto _ : state) {
    Fixture f;
    {
      SqliteStore store(f.options());
      f.fill(store);
    }
    state.counters["bytes_per_key"] = static_cast<double>(std::filesystem::file_size(f.dir / "state.db")) / kKeys;
  }
  state.counters["us_per_key"] = benchmark::Counter(kKeys * 1e-6 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Store100kKeys)->Unit(benchmark::kMillisecond)->UseRealTime();

// From opening to the last record, the check of the whole file included.
void BM_Load100kKeys(benchmark::State& state) {
  Fixture f;
  {
    SqliteStore store(f.options());
    f.fill(store);
  }
  for (auto _ : state) {
    SqliteStore store(f.options());
    size_t seen = 0;
    bool last = false;
    std::string ns, name;
    while (!last) {
      bool answered = false;
      store.load(f.pair, ns, name, f.loop, [&](Result<LoadedBatch> batch) {
        answered = true;
        last = !batch || batch->last;
        if (!batch || batch->records.empty()) return;
        seen += batch->records.size();
        ns = batch->records.back().ns;
        name = batch->records.back().name;
      });
      f.loop.run_until([&] { return answered; });
    }
    if (seen != kKeys) state.SkipWithError("not all was loaded");
  }
}
BENCHMARK(BM_Load100kKeys)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace gs::store
