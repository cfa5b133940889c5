#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "base/check.h"
#include "json/scan.h"
#include "json/split.h"
#include "json/value.h"

namespace gs::json {
namespace {

// As an API server writes a pod of a deployment: compact, some 6.5 KB, nearly half of it managedFields.
std::string pod() {
  std::string fields, env, conditions;
  for (int i = 0; i < 42; ++i) {
    fields += fmt::format(R"("f:field{}":{{".":{{}},"k:{{\"name\":\"item-{}\"}}":{{".":{{}},"f:name":{{}},"f:value":{{}}}}}},)", i, i);
  }
  fields += R"("f:last":{})";
  for (int i = 0; i < 20; ++i) {
    env += fmt::format(R"({}{{"name":"SETTING_{}","value":"https://service-{}.default.svc:8443/path"}})", i ? "," : "", i, i);
  }
  for (const char* type : {"Initialized", "Ready", "ContainersReady", "PodScheduled"}) {
    conditions += fmt::format(R"({}{{"type":"{}","status":"True","lastProbeTime":null,"lastTransitionTime":"2024-05-01T10:00:00Z"}})",
                              conditions.empty() ? "" : ",", type);
  }
  return std::string(R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-5d4f8c7b9-x2x7k","generateName":"web-5d4f8c7b9-",)") +
         R"("namespace":"production","uid":"6f1c1a0e-5b7c-4c55-9a33-0d1f2a3b4c5d","resourceVersion":"184467440",)"
         R"("creationTimestamp":"2024-05-01T09:59:55Z","labels":{"app":"web","app.kubernetes.io/name":"web","pod-template-hash":"5d4f8c7b9"},)"
         R"("annotations":{"prometheus.io/scrape":"true","note":"line one\nline two"},)"
         R"("ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-5d4f8c7b9","uid":"0b8e","controller":true}],)"
         R"("managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2024-05-01T09:59:55Z","fieldsType":"FieldsV1","fieldsV1":{)" +
         fields + "}}]}," + R"("spec":{"nodeName":"node-17","containers":[{"name":"web","image":"registry.example.com/web:v1.2.3","env":[)" +
         env + R"(],"resources":{"limits":{"cpu":"500m","memory":"256Mi"}},"ports":[{"containerPort":8443}]}],"restartPolicy":"Always"},)" +
         R"("status":{"phase":"Running","conditions":[)" + conditions + R"(],"hostIP":"10.0.0.17","podIP":"10.1.2.3","qosClass":"Burstable"}})";
}

void report(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(bytes));
  state.counters["object_bytes"] = static_cast<double>(bytes);
}

void scan_pod(benchmark::State& state) {
  const std::string text = pod();
  for (auto _ : state) {
    auto scan = scan_object(text);
    GS_CHECK(scan.has_value());
    benchmark::DoNotOptimize(scan);
  }
  report(state, text.size());
}
BENCHMARK(scan_pod);

void scan_padded_pod(benchmark::State& state) {
  std::string text = pod();
  const size_t size = text.size();
  text.append(kScanPadding, ' ');
  ScanOptions options;
  options.padded = true;
  for (auto _ : state) {
    auto scan = scan_object(std::string_view(text).substr(0, size), options);
    GS_CHECK(scan.has_value());
    benchmark::DoNotOptimize(scan);
  }
  report(state, size);
}
BENCHMARK(scan_padded_pod);

void look_up_node_name(benchmark::State& state) {
  const std::string text = pod();
  for (auto _ : state) benchmark::DoNotOptimize(get_path(text, {"spec", "nodeName"}));
  report(state, text.size());
}
BENCHMARK(look_up_node_name);

void parse_pod(benchmark::State& state) {
  const std::string text = pod();
  for (auto _ : state) benchmark::DoNotOptimize(parse(text));
  report(state, text.size());
}
BENCHMARK(parse_pod);

void dump_pod(benchmark::State& state) {
  const Value value = *parse(pod());
  for (auto _ : state) benchmark::DoNotOptimize(value.dump());
  report(state, value.dump().size());
}
BENCHMARK(dump_pod);

template <class Splitter>
void split(benchmark::State& state, const std::string& body, size_t chunk) {
  const Each each = [](std::string_view piece) {
    benchmark::DoNotOptimize(piece);
    return ok();
  };
  for (auto _ : state) {
    Splitter splitter(1 << 20);
    for (size_t i = 0; i < body.size(); i += chunk) {
      const Status status = splitter.feed(std::string_view(body).substr(i, chunk), each);
      GS_CHECK(status.has_value());
    }
  }
  report(state, body.size());
}

void split_watch(benchmark::State& state) {
  std::string body;
  for (int i = 0; i < 100; ++i) body += R"({"type":"ADDED","object":)" + pod() + "}\n";
  split<ValueSplitter>(state, body, 16384);
}
BENCHMARK(split_watch);

void split_list(benchmark::State& state) {
  std::string body = R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[)";
  for (int i = 0; i < 100; ++i) body += (i ? "," : "") + pod();
  split<ListSplitter>(state, body + "]}", 16384);
}
BENCHMARK(split_list);

}  // namespace
}  // namespace gs::json
