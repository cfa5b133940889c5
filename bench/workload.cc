#include "bench/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace gs::bench {

void say(const char* what) { std::fprintf(stderr, "bench: %s\n", what); }

void at_rate(Fleet& fleet, double per_second, Duration time, const std::function<void()>& tick) {
  const MonoTime begun = fleet.loop.now();
  uint64_t done = 0;
  while (fleet.loop.now() - begun < time) {
    const auto due = static_cast<uint64_t>(to_seconds(fleet.loop.now() - begun) * per_second);
    for (; done < due; ++done) tick();
    fleet.run_for(from_seconds(std::max(0.0002, (static_cast<double>(done) + 1) / per_second - to_seconds(fleet.loop.now() - begun))));
  }
}

pb::Result ok_result() {
  pb::Result result;
  result.mutable_ok();
  return result;
}

size_t open_watches(const Fleet& fleet) {
  size_t sum = 0;
  for (const auto& cluster : fleet.clusters) sum += cluster->server.handler().open_watches();
  return sum;
}

Task<pb::Result> Worker::reconcile(test::DelegateSession& session, pb::Reconcile reconcile) {
  const auto thing = json::parse(reconcile.object());
  if (!thing || thing->text("spec.n") == thing->text("status.observed")) co_return ok_result();
  const std::string n(thing->text("spec.n"));
  pb::Call child;
  child.set_reconcile(reconcile.id());
  child.set_method("PATCH");
  child.set_path("/api/v1/namespaces/default/configmaps/" + reconcile.name());
  child.set_query("fieldManager=bench&force=true");
  child.set_content_type("application/apply-patch+yaml");
  child.set_body(fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"ownerReferences":[{{"apiVersion":"example.com/v1","kind":"Thing","name":"{}","uid":"{}","controller":true}}]}},"data":{{"n":"{}"}}}})",
                             reconcile.name(), thing->text("metadata.uid"), n));
  const test::CallAnswer made = co_await session.call(std::move(child));
  pb::Call status;
  status.set_reconcile(reconcile.id());
  status.set_method("PATCH");
  status.set_path("/apis/example.com/v1/namespaces/default/things/" + reconcile.name() + "/status");
  status.set_content_type("application/merge-patch+json");
  status.set_body(fmt::format(R"({{"status":{{"observed":"{}"}}}})", n));
  const test::CallAnswer told = co_await session.call(std::move(status));
  failures += !made.ok() || !told.ok();
  ++finished;
  co_return ok_result();
}
}  // namespace gs::bench
