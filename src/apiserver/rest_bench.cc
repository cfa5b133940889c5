// What a request costs without the network: creates, updates, and lists of 50,000 objects.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "apiserver/api_server.h"
#include "apiserver/representation.h"
#include "runtime/sim_loop.h"

namespace gs::apiserver {
namespace {

const std::string kMaps = "/api/v1/namespaces/default/configmaps";

std::string config_map(const std::string& name, size_t value) {
  return fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}","labels":{{"app":"bench"}}}},"data":{{"n":"{}","text":"{}"}}}})", name, value, std::string(700, 'x'));
}

struct Server {
  SimWorld world{1};
  ApiServer api{world.add_loop()};
  void fill(size_t count) {
    for (size_t i = 0; i < count; ++i) api.request("POST", kMaps, config_map(fmt::format("m{:06}", i), i));
  }
};

void create(benchmark::State& state) {
  Server server;
  size_t i = 0;
  for (auto _ : state) {
    ++i;
    benchmark::DoNotOptimize(server.api.request("POST", kMaps, config_map(fmt::format("m{}", i), i)));
  }
}
BENCHMARK(create)->Unit(benchmark::kMicrosecond);

void update(benchmark::State& state) {
  Server server;
  server.fill(1);
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(server.api.request("PUT", kMaps + "/m000000", config_map("m000000", ++i)));
}
BENCHMARK(update)->Unit(benchmark::kMicrosecond);

void patch(benchmark::State& state) {
  Server server;
  server.fill(1);
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(server.api.request("PATCH", kMaps + "/m000000", fmt::format(R"({{"data":{{"n":"{}"}}}})", ++i), "application/merge-patch+json"));
}
BENCHMARK(patch)->Unit(benchmark::kMicrosecond);

void get(benchmark::State& state) {
  Server server;
  server.fill(1);
  for (auto _ : state) benchmark::DoNotOptimize(server.api.request("GET", kMaps + "/m000000"));
}
BENCHMARK(get)->Unit(benchmark::kMicrosecond);

void list(benchmark::State& state) {
  Server server;
  server.fill(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(server.api.request("GET", kMaps));
}
BENCHMARK(list)->Arg(50'000)->Unit(benchmark::kMillisecond);

void list_in_pages(benchmark::State& state) {
  Server server;
  server.fill(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    std::string next;
    do {
      const Answer page = server.api.request("GET", kMaps + "?limit=500" + (next.empty() ? "" : "&continue=" + next));
      next = json::parse(page.body.substr(0, page.body.find(",\"items\"")) + "}")->text("metadata.continue");
    } while (!next.empty());
  }
}
BENCHMARK(list_in_pages)->Arg(50'000)->Unit(benchmark::kMillisecond);

void table(benchmark::State& state) {
  Server server;
  server.fill(static_cast<size_t>(state.range(0)));
  const ResourceTypePtr type = server.api.table().find("", "configmaps");
  const std::vector<StoredPtr> all = server.api.store().list(*type, "");
  for (auto _ : state) {
    Representation as;
    as.kind = Representation::Kind::kTable;
    std::string out;
    Presenter(*type, as, WallTime()).list(ListMeta(), all, out);
    benchmark::DoNotOptimize(out);
  }
}
BENCHMARK(table)->Arg(50'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gs::apiserver

BENCHMARK_MAIN();
