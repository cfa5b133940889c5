// Planes that want one lease, against an API server that keeps one Lease, on the simulated loop.
#include "fleet/leader_election.h"

#include <fmt/format.h>

#include "runtime/sim_loop.h"

namespace gs::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One Lease with optimistic concurrency, as an API server keeps it.
struct LeaseServer {
  json::Value lease;
  int64_t version = 0;
  int writes = 0;
};

// A plane's way to it, which a test can cut or slow down.
class Link final : public kube::KubeTransport {
 public:
  Link(Loop& loop, LeaseServer& server) : loop_(loop), server_(server) {}

  Task<Result<kube::Response>> send(kube::Request request) override {
    const MonoTime arrives = saturating_add(loop_.now(), loop_.random().between(milliseconds(1), latency));
    co_await sleep_until(loop_, std::min(arrives, request.deadline));
    if (cut || arrives >= request.deadline) {
      co_await sleep_until(loop_, std::min(request.deadline, saturating_add(loop_.now(), seconds(1))));
      co_return fail(Code::kUnavailable, "the hub cannot be reached");
    }
    kube::Response response = answer(request);
    if (lose_answers) co_return fail(Code::kUnknownOutcome, "the connection broke");
    co_return response;
  }
  Task<Result<std::unique_ptr<kube::ResponseStream>>> open(kube::Request) override { co_return fail(Code::kUnsupported, "no watches"); }

  bool cut = false;
  bool lose_answers = false;
  Duration latency = milliseconds(20);

 private:
  static kube::Response reply(int status, std::string body) {
    kube::Response out;
    out.status = status;
    out.body = std::move(body);
    return out;
  }
  static kube::Response refuse(int status, const char* reason) {
    return reply(status, fmt::format(R"({{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"{}","code":{}}})", reason, status));
  }
  kube::Response answer(const kube::Request& request) {
    if (request.method == "GET") return server_.lease.is_null() ? refuse(404, "NotFound") : reply(200, server_.lease.dump());
    auto body = json::parse(request.body).value();
    EXPECT_EQ(body.text("metadata.name"), "l");
    if (request.method == "POST" && !server_.lease.is_null()) return refuse(409, "AlreadyExists");
    if (request.method == "PUT" && server_.lease.is_null()) return refuse(404, "NotFound");
    if (request.method == "PUT" && body.text("metadata.resourceVersion") != std::to_string(server_.version)) return refuse(409, "Conflict");
    body["metadata"]["resourceVersion"] = std::to_string(++server_.version);
    server_.lease = body;
    ++server_.writes;
    return reply(200, server_.lease.dump());
  }
  Loop& loop_;
  LeaseServer& server_;
};

// A plane: leads from started_leading() until lost or stopped.
struct Plane final : LeaderElector::Observer {
  Plane(Loop& loop, LeaseServer& server, std::string identity) : link(loop, server) {
    LeaderElectionOptions options;
    options.ns = "gulfstream";
    options.name = "l";
    options.identity = std::move(identity);
    elector = std::make_unique<LeaderElector>(loop, link, options, *this);
    elector->start();
  }
  void started_leading() override { works = true; }
  void lost_leadership(const Error& why) override {
    works = false;
    lost = why.message;
  }
  Link link;
  bool works = false;
  std::string lost;
  std::unique_ptr<LeaderElector> elector;
};

class LeaderElectionTest : public testing::TestWithParam<uint64_t> {
 protected:
  LeaderElectionTest() : world(GetParam()), loop(world.add_loop()) {}
  void add(const std::string& identity) { planes.push_back(std::make_unique<Plane>(loop, server, identity)); }
  int working() const {
    return static_cast<int>(std::count_if(planes.begin(), planes.end(), [](const auto& p) { return p->works; }));
  }
  // Runs, watching that never two work.
  bool run_until(const std::function<bool()>& done, Duration limit) {
    const MonoTime until = world.now() + limit;
    return world.run_until(
        [&] {
          EXPECT_LE(working(), 1);
          return done() || working() > 1;
        },
        until) && working() <= 1;
  }
  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }
  Plane& leader() {
    for (auto& plane : planes) {
      if (plane->works) return *plane;
    }
    GS_CHECK(false);
    __builtin_unreachable();
  }
  void release(Plane& plane) {
    plane.works = false;
    TaskScope scope(loop);
    scope.spawn(plane.elector->release(world.now() + seconds(5)));
    EXPECT_TRUE(run_until([&] { return scope.empty(); }, seconds(6)));
  }

  SimWorld world;
  SimLoop& loop;
  LeaseServer server;
  std::vector<std::unique_ptr<Plane>> planes;
};

TEST_P(LeaderElectionTest, OneOfThreeLeadsAndKeepsTheLease) {
  for (const char* name : {"a", "b", "c"}) add(name);
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(5)));
  Plane& first = leader();
  run_for(std::chrono::minutes(30));
  EXPECT_TRUE(first.works);
  EXPECT_EQ(server.lease.text("spec.holderIdentity"), first.elector->holder());
  EXPECT_EQ(server.lease.at("spec.leaseTransitions")->integer(), 0);
  EXPECT_EQ(server.lease.at("spec.leaseDurationSeconds")->integer(), 15);
  // Every retry period a renewal, and nothing else.
  EXPECT_NEAR(server.writes, 1800 / 2, 20);
}

TEST_P(LeaderElectionTest, ALeaderThatDiesIsFollowedAfterTheLeaseDurationAndNotBefore) {
  add("a");
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(5)));
  add("b");
  run_for(seconds(60));
  planes.front() = nullptr;
  planes.erase(planes.begin());
  const MonoTime died = world.now();
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(30)));
  EXPECT_GE(world.now() - died, seconds(15) - seconds(2) - milliseconds(50));
  EXPECT_LE(world.now() - died, seconds(15) + milliseconds(4500) + milliseconds(100));
  EXPECT_EQ(server.lease.at("spec.leaseTransitions")->integer(), 1);
}

TEST_P(LeaderElectionTest, ALeaseGivenBackIsTakenAtTheNextTry) {
  add("a");
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(5)));
  add("b");
  run_for(seconds(20));
  const std::string term = planes[0]->elector->term();
  release(*planes[0]);
  EXPECT_EQ(server.lease.text("spec.holderIdentity"), "");
  const MonoTime released = world.now();
  ASSERT_TRUE(run_until([&] { return planes[1]->works; }, seconds(10)));
  EXPECT_LE(world.now() - released, milliseconds(4500));
  EXPECT_EQ(planes[1]->elector->term_before(), term) << "nobody led in between";
}

TEST_P(LeaderElectionTest, ALeaderThatIsCutOffStopsBeforeAnotherMayBegin) {
  add("a");
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(5)));
  add("b");
  run_for(seconds(30));
  planes[0]->link.cut = true;
  const MonoTime cut = world.now();
  ASSERT_TRUE(run_until([&] { return !planes[0]->works; }, seconds(20)));
  EXPECT_LE(world.now() - cut, seconds(10));
  EXPECT_EQ(planes[0]->lost, "the hub cannot be reached");
  ASSERT_TRUE(run_until([&] { return planes[1]->works; }, seconds(20)));
}

TEST_P(LeaderElectionTest, AShortOutageOrLostAnswersChangeNothing) {
  add("a");
  add("b");
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(5)));
  Plane& first = leader();
  for (int i = 0; i < 20; ++i) {
    first.link.cut = i % 2 == 0;
    first.link.lose_answers = i % 2 == 1;
    run_for(seconds(5));
    first.link.cut = first.link.lose_answers = false;
    run_for(seconds(10));
    ASSERT_TRUE(first.works) << i << ": " << first.lost;
  }
}

TEST_P(LeaderElectionTest, WallClocksThatDisagreeOrJumpDoNotMatter) {
  add("a");
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(5)));
  add("b");
  for (int i = 0; i < 20; ++i) {
    world.jump_wall_clock(i % 2 == 0 ? Duration(std::chrono::hours(3)) : Duration(-std::chrono::hours(5)));
    run_for(seconds(10));
    ASSERT_TRUE(planes[0]->works);
  }
}

TEST_P(LeaderElectionTest, ALeaseThatSomebodyDeletesIsMadeAnew) {
  add("a");
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(5)));
  server.lease = json::Value();
  run_for(seconds(20));
  EXPECT_TRUE(planes[0]->works);
  EXPECT_EQ(server.lease.text("spec.holderIdentity"), "a");
}

TEST_P(LeaderElectionTest, ALeaseThatSomebodyTakesByForceEndsTheWorkAtOnce) {
  add("a");
  ASSERT_TRUE(run_until([&] { return working() == 1; }, seconds(5)));
  run_for(seconds(10));
  server.lease["spec"]["holderIdentity"] = "thief";
  server.lease["metadata"]["resourceVersion"] = std::to_string(++server.version);
  ASSERT_TRUE(run_until([&] { return !planes[0]->works; }, seconds(4)));
  EXPECT_EQ(planes[0]->lost, "the lease is held by thief");
}

TEST_P(LeaderElectionTest, NeverTwoLeadThroughAnHourOfFaults) {
  for (const char* name : {"a", "b", "c"}) add(name);
  for (int i = 0; i < 360; ++i) {
    Link& link = planes[world.random().below(planes.size())]->link;
    link.cut = world.random().chance(0.4);
    link.lose_answers = world.random().chance(0.2);
    link.latency = world.random().chance(0.2) ? Duration(seconds(12)) : Duration(milliseconds(20));
    run_for(seconds(10));
    // One that lost is restarted, as a kubelet does it.
    for (auto& plane : planes) {
      if (plane->lost.empty()) continue;
      const std::string identity = fmt::format("{}-{}", i, &plane - planes.data());
      plane = std::make_unique<Plane>(loop, server, identity);
    }
  }
  for (auto& plane : planes) {
    plane->link.cut = plane->link.lose_answers = false;
    plane->link.latency = milliseconds(20);
  }
  EXPECT_TRUE(run_until([&] { return working() == 1; }, seconds(40)));
}

INSTANTIATE_TEST_SUITE_P(Seeds, LeaderElectionTest, testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace gs::fleet
