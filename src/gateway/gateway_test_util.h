// A cluster whose watch the test moves by hand, and a delegate's calls through the gateway.
#pragma once

#include <deque>

#include "base/strings.h"
#include "gateway/gateway.h"
#include "gulfstream/delegate/v1/delegate.pb.h"
#include "runtime/sim_loop.h"

namespace gs::gateway::test {

class FakeKube final : public kube::KubeTransport {
 public:
  explicit FakeKube(Loop& l) : watch(l, 1000), loop(l) {}
  std::deque<kube::Request> requests;                               // all but watches
  std::function<Result<kube::Response>(const kube::Request&)> answer;
  Channel<std::string> watch;                                       // frames of the one watch
  Duration way_back{0};                                             // of an answer

  Task<Result<kube::Response>> send(kube::Request request) override {
    requests.push_back(request);
    auto out = answer(request);
    if (way_back > Duration::zero()) {
      co_await sleep_for(loop, way_back);
    }
    co_return out;
  }
  Task<Result<std::unique_ptr<kube::ResponseStream>>> open(kube::Request request) override {
    if (request.target.find("watch=true") != std::string::npos) co_return std::make_unique<Stream>(watch);
    requests.push_back(request);
    auto response = answer(request);
    if (way_back > Duration::zero()) {
      co_await sleep_for(loop, way_back);
    }
    if (!response) co_return fail(std::move(response).error());
    if (response->status >= 300) co_return fail(kube::status_error(response->status, response->body, response->retry_after, WallTime{}));
    co_return std::make_unique<Whole>(std::move(response->body));
  }

 private:
  struct Stream final : kube::ResponseStream {
    explicit Stream(Channel<std::string>& c) : channel(c) {}
    Task<Result<std::string>> read(MonoTime deadline) override {
      auto frame = co_await channel.receive(deadline);
      if (!frame) co_return fail(Code::kDeadlineExceeded, "silence");
      co_return *std::move(frame);
    }
    Channel<std::string>& channel;
  };
  struct Whole final : kube::ResponseStream {
    explicit Whole(std::string b) : body(std::move(b)) {}
    Task<Result<std::string>> read(MonoTime) override {
      std::string out = body.substr(0, 1000);
      body.erase(0, 1000);
      co_return out;
    }
    std::string body;
  };
  Loop& loop;
};

struct Reply final : delegate::CallReply {
  Task<Status> part(int s, std::string, std::string more, bool end) override {
    status = status == 0 ? s : status;
    body += more;
    ++parts;
    ended |= end;
    if (cancelled) co_return fail(Code::kCancelled, "nobody wants the answer");
    co_return ok();
  }
  void warn(std::vector<std::string> said) override { warnings = std::move(said); }
  bool wanted() const override { return !cancelled; }
  int status = 0;
  std::string body;
  size_t parts = 0;
  bool ended = false;
  bool cancelled = false;
  std::vector<std::string> warnings;
};

inline std::string config_map(const std::string& name, int version, const std::string& uid = "u1", const std::string& more = "") {
  return fmt::format(R"({{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{}","namespace":"a","uid":"{}","resourceVersion":"{}"{}}}}})", name, uid,
                     version, more);
}
inline std::string frame(const std::string& type, const std::string& object) { return R"({"type":")" + type + R"(","object":)" + object + "}\n"; }
inline std::string bookmark_frame(int version, bool initial_end = false) {
  return frame("BOOKMARK", fmt::format(R"({{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"resourceVersion":"{}"{}}}}})", version,
                                       initial_end ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : ""));
}

// One informer of config maps, synced at version 10 with what is given.
struct World final : cache::InformerHandler {
  explicit World(std::vector<std::string> objects = {}) : sim(1), loop(sim.add_loop()), kube(loop), informers(loop, kube, {}), scope(loop) {
    kube.answer = [](const kube::Request&) -> Result<kube::Response> { return kube::Response(); };
    cache::InformerKey key;
    key.resource = kConfigMaps;
    handle = informers.acquire(key, *this);
    for (const std::string& object : objects) kube.watch.try_send(frame("ADDED", object));
    kube.watch.try_send(bookmark_frame(10, true));
    settle();
    EXPECT_TRUE(handle->synced());
  }
  void on_added(const kube::ObjectRef& object, bool) override { told(kube::ObjectRef(), object, false); }
  void on_updated(const kube::ObjectRef& before, const kube::ObjectRef& after) override { told(before, after, false); }
  void on_deleted(const kube::ObjectRef& last, bool) override { told(kube::ObjectRef(), last, true); }

  void settle() { sim.run_for(std::chrono::milliseconds(10)); }
  void watch(const std::string& frame) {
    kube.watch.try_send(frame);
    settle();
  }

  static inline const cache::GroupVersionResource kConfigMaps{"", "v1", "configmaps"};
  SimWorld sim;
  SimLoop& loop;
  FakeKube kube;
  cache::InformerSet informers;
  cache::InformerHandle handle;
  std::function<void(const kube::ObjectRef&, const kube::ObjectRef&, bool)> told = [](auto&, auto&, bool) {};
  TaskScope scope;
};

}  // namespace gs::gateway::test
