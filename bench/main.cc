// Prints the figures: JSON lines to stdout, a table at the end. `plane_figures BINARY [NAME...]`.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>

#include "base/log.h"
#include "bench/figures.h"

namespace {

struct Group {
  const char* name;
  std::function<gs::Result<gs::bench::Figures>(const std::string&)> measure;
};
const Group kGroups[] = {
    {"latency", gs::bench::event_latency},   {"reconciles", gs::bench::full_reconciles}, {"trickle", gs::bench::steady_trickle},
    {"idle", gs::bench::idle_clusters},      {"pods", gs::bench::cached_pods},           {"keys", gs::bench::queued_keys_and_sessions},
    {"webhook", gs::bench::webhooks},         {"fleet", gs::bench::whole_fleets},
    {"apiserver", gs::bench::api_servers},
};

bool wanted(const char* name, int argc, char** argv) {
  if (argc <= 2) return true;
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return true;
  }
  return false;
}

double seconds_of(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }

// CPU seconds of this process and its ended planes, and of the whole machine.
double own_cpu() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    getrusage(who, &used);
    sum += seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
  }
  return sum;
}
double machine_cpu() {
  std::ifstream in("/proc/stat");
  std::string word;
  double user = 0, nice = 0, system = 0;
  in >> word >> user >> nice >> system;
  return (user + nice + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

void say(const gs::bench::Figure& figure) {
  fmt::print("{{\"name\":\"{}\",\"value\":{:.6g},\"unit\":\"{}\"}}\n", figure.name, figure.value, figure.unit);
  std::fflush(stdout);
}

// Runs a group, and says what else the machine did meanwhile: a figure of a busy machine is not one of the plane.
gs::Result<gs::bench::Figures> measure(const Group& group, const char* binary) {
  double load = 0;
  if (getloadavg(&load, 1) != 1) load = -1;
  const double own = own_cpu(), machine = machine_cpu();
  const auto begun = std::chrono::steady_clock::now();
  auto measured = group.measure(binary);
  if (!measured) return measured;
  gs::bench::Figures out = *std::move(measured);
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const std::string suffix = std::string("_") + group.name;
  out.push_back({"load_average_before" + suffix, load, "", ""});
  out.push_back({"other_processes" + suffix, (machine_cpu() - machine - own_cpu() + own) / wall, "cores", ""});
  for (const gs::bench::Figure& figure : out) say(figure);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: plane_figures GULFSTREAM-BINARY [latency|reconciles|trickle|idle|pods|keys|webhook|fleet|apiserver]...\n");
    return 2;
  }
  gs::log::configure(gs::log::Level::kError, gs::log::Format::kText);
  gs::bench::Figures all;
  for (const Group& group : kGroups) {
    if (!wanted(group.name, argc, argv)) continue;
    const auto figures = measure(group, argv[1]);
    if (!figures) {
      fmt::print(stderr, "error: {}: {}\n", group.name, figures.error().message);
      return 1;
    }
    all.insert(all.end(), figures->begin(), figures->end());
  }
  fmt::print("\n{:<34} {:>14} {:<6} {}\n", "figure", "value", "unit", "aim");
  for (const gs::bench::Figure& f : all) fmt::print("{:<34} {:>14.6g} {:<6} {}\n", f.name, f.value, f.unit, f.aim);
  return 0;
}
