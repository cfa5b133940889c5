#include "queue/work_queue.h"

#include <rapidcheck.h>

#include <map>
#include <set>

#include "queue/result.h"

namespace gs::queue {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkQueueTest : public testing::Test {
 protected:
  void pair(uint32_t id, uint32_t cluster, uint32_t controller = 1, uint32_t tenant = 1, uint32_t delegate = 1) {
    PairInfo info;
    info.cluster = ClusterId(cluster);
    info.controller = ControllerId(controller);
    info.tenant = TenantId(tenant);
    info.delegate = DelegateId(delegate);
    queue.add_pair(PairId(id), info);
  }
  static Item item(uint32_t pair, uint32_t key) { return Item{PairId(pair), KeyId(key)}; }
  // "pair/key pair/key ..." of up to `most` pops.
  std::string pops(int most = 100) {
    std::string out;
    for (int i = 0; i < most; ++i) {
      const auto work = queue.pop(now);
      if (!work) break;
      out += (out.empty() ? "" : " ") + std::to_string(work->item.pair.value()) + "/" + std::to_string(work->item.key.value());
    }
    return out;
  }
  MonoTime now{seconds(100)};
  WorkQueue queue;
};

TEST_F(WorkQueueTest, AddsCoalesceAndAKeyIsInFlightOnce) {
  pair(1, 1);
  queue.add(item(1, 1), Priority::kEvent, now);
  queue.add(item(1, 1), Priority::kEvent, now);
  EXPECT_EQ(pops(), "1/1");
  queue.add(item(1, 1), Priority::kEvent, now);
  queue.add(item(1, 1), Priority::kEvent, now);
  EXPECT_EQ(pops(), "");
  queue.done(item(1, 1), now);
  EXPECT_EQ(pops(), "1/1");
  queue.done(item(1, 1), now);
  EXPECT_EQ(pops(), "");
  EXPECT_EQ(queue.size(), 0u);
}

TEST_F(WorkQueueTest, TheHigherPriorityAndTheEarlierTimeWin) {
  pair(1, 1);
  queue.add(item(1, 1), Priority::kResync, now);
  queue.add(item(1, 2), Priority::kInitialList, now);
  queue.add(item(1, 1), Priority::kEvent, now);
  EXPECT_EQ(pops(), "1/1 1/2");
  queue.add_after(item(1, 3), seconds(10), Priority::kRequeue, now);
  queue.add_after(item(1, 3), seconds(5), Priority::kRequeue, now);
  queue.add_after(item(1, 3), seconds(20), Priority::kRequeue, now);
  EXPECT_EQ(queue.next_wakeup(), now + seconds(5));
  EXPECT_EQ(pops(), "");
  now += seconds(5);
  EXPECT_EQ(pops(), "1/3");
}

TEST_F(WorkQueueTest, AnEventOvertakesABackoff) {
  pair(1, 1);
  queue.add_after(item(1, 1), seconds(1000), Priority::kRequeue, now);
  queue.add(item(1, 1), Priority::kEvent, now);
  EXPECT_EQ(pops(), "1/1");
  EXPECT_EQ(queue.next_wakeup(), kNoDeadline);
}

TEST_F(WorkQueueTest, BackoffDoublesFromFiveMillisecondsToAThousandSeconds) {
  pair(1, 1);
  Duration last{0};
  for (int i = 0; i < 30; ++i) {
    queue.add_rate_limited(item(1, 1), now);
    const Duration wait = queue.next_wakeup() - now;
    if (i < 2) {
      EXPECT_EQ(wait, milliseconds(5 << i));
    }
    EXPECT_GE(wait, last);
    last = wait;
    now += wait;
    EXPECT_EQ(pops(), "1/1");
    queue.done(item(1, 1), now);
  }
  EXPECT_EQ(last, seconds(1000));
  EXPECT_EQ(queue.failures(item(1, 1)), 30u);
  queue.forget(item(1, 1));
  EXPECT_EQ(queue.failures(item(1, 1)), 0u);
}

TEST_F(WorkQueueTest, ResultsMeanWhatTheyMeanInKnative) {
  pair(1, 1);
  const auto after = [&](Outcome outcome) {
    queue.set_failures(item(1, 1), 3);
    queue.add(item(1, 1), Priority::kEvent, now);
    EXPECT_EQ(pops(), "1/1");
    apply_outcome(queue, item(1, 1), outcome, seconds(7), now);
    queue.done(item(1, 1), now);
    const std::string seen = std::to_string(queue.failures(item(1, 1))) + (queue.contains(item(1, 1)) ? " again" : " absent");
    queue.remove_pair(PairId(1));
    pair(1, 1);
    return seen;
  };
  EXPECT_EQ(after(Outcome::kOk), "0 absent");
  EXPECT_EQ(after(Outcome::kSkip), "0 absent");
  EXPECT_EQ(after(Outcome::kPermanent), "0 absent");
  EXPECT_EQ(after(Outcome::kRequeueAfter), "3 again");
  EXPECT_EQ(after(Outcome::kConflict), "4 again");
  EXPECT_EQ(after(Outcome::kTransient), "4 again");
  EXPECT_EQ(after(Outcome::kUnavailable), "3 again");
}

TEST_F(WorkQueueTest, AFloodingClusterDoesNotHoldUpAnother) {
  pair(1, 1);
  pair(2, 2);
  for (uint32_t key = 1; key <= 1000; ++key) queue.add(item(1, key), Priority::kEvent, now);
  queue.add(item(2, 1), Priority::kEvent, now);
  const std::string first = pops(2);
  EXPECT_NE(first.find("2/1"), std::string::npos) << first;
}

TEST_F(WorkQueueTest, ATenantWithManyClustersGetsNoMoreThanOneWithOne) {
  for (uint32_t cluster = 1; cluster <= 10; ++cluster) pair(cluster, cluster, 1, 1);
  pair(11, 11, 1, 2);
  for (uint32_t cluster = 1; cluster <= 11; ++cluster) {
    for (uint32_t key = 0; key < 10; ++key) queue.add(item(cluster, key), Priority::kEvent, now);
  }
  int second_tenant = 0;
  for (int i = 0; i < 20; ++i) second_tenant += queue.pop(now)->item.pair == PairId(11);
  EXPECT_EQ(second_tenant, 10);
}

TEST_F(WorkQueueTest, NoClassStarvesUnderASteadyLoadOfHigherOnes) {
  pair(1, 1);
  const Priority all[] = {Priority::kEvent, Priority::kRequeue, Priority::kInitialList, Priority::kResync};
  uint32_t key = 0;
  std::map<Priority, int> served;
  const int rounds = 4096;
  for (int i = 0; i < rounds; ++i) {
    for (const Priority p : all) queue.add(item(1, ++key), p, now);
    ++served[queue.pop(now)->priority];
  }
  EXPECT_GE(served[Priority::kEvent], rounds / 2);
  EXPECT_GE(served[Priority::kRequeue], rounds / 8);
  EXPECT_GE(served[Priority::kInitialList], rounds / 32);
  EXPECT_GE(served[Priority::kResync], rounds / 128);
}

TEST_F(WorkQueueTest, ABlockedDelegatesItemsWaitAndKeepTheirOrder) {
  pair(1, 1);
  pair(2, 2);
  pair(3, 1, 2, 1, 2);
  queue.block(DelegateId(1));
  for (uint32_t key = 1; key <= 3; ++key) queue.add(item(1, key), Priority::kInitialList, now);
  queue.add(item(2, 1), Priority::kInitialList, now);
  queue.add(item(1, 7), Priority::kEvent, now);
  queue.add(item(3, 9), Priority::kEvent, now);
  EXPECT_EQ(pops(), "3/9");
  queue.unblock(DelegateId(1));
  EXPECT_EQ(pops(1), "1/7") << "the event first";
  queue.block(DelegateId(1));
  EXPECT_EQ(pops(), "");
  queue.unblock(DelegateId(1));
  EXPECT_EQ(pops(), "1/1 2/1 1/2 1/3") << "clusters in turn";
}

// A saturated delegate is blocked and unblocked at every result.
TEST_F(WorkQueueTest, ALongWaitOfOneClusterHoldsUpNoOtherWhileTheDelegateIsFull) {
  pair(1, 1);
  pair(2, 2);
  for (uint32_t key = 1; key <= 1000; ++key) queue.add(item(1, key), Priority::kEvent, now);
  queue.add(item(2, 1), Priority::kEvent, now);
  std::string order;
  for (int i = 0; i < 3; ++i) {
    queue.unblock(DelegateId(1));
    order += pops(1) + " ";
    queue.block(DelegateId(1));
    EXPECT_EQ(pops(), "");
  }
  EXPECT_EQ(order, "1/1 2/1 1/2 ");
}

TEST_F(WorkQueueTest, DelegatesTakeTurns) {
  pair(1, 1, 1, 1, 1);
  pair(2, 1, 2, 1, 2);
  for (uint32_t key = 1; key <= 3; ++key) queue.add(item(1, key), Priority::kEvent, now);
  queue.add(item(2, 1), Priority::kInitialList, now);
  EXPECT_EQ(pops(), "1/1 2/1 1/2 1/3");
}

TEST_F(WorkQueueTest, WhatIsInFlightOfARemovedPairDoesNotFillACap) {
  QueueOptions options;
  options.cluster_cap = 1;
  queue = WorkQueue(options);
  pair(1, 1);
  pair(2, 1, 2);
  queue.add(item(1, 1), Priority::kEvent, now);
  EXPECT_EQ(pops(), "1/1");
  queue.remove_pair(PairId(1));
  queue.done(item(1, 1), now);
  queue.add(item(2, 1), Priority::kEvent, now);
  EXPECT_EQ(pops(), "2/1");
}

TEST_F(WorkQueueTest, CapsAreKept) {
  QueueOptions options;
  options.cluster_cap = 2;
  options.controller_cap = 3;
  queue = WorkQueue(options);
  pair(1, 1);
  pair(2, 2);
  for (uint32_t key = 1; key <= 5; ++key) {
    queue.add(item(1, key), Priority::kEvent, now);
    queue.add(item(2, key), Priority::kEvent, now);
  }
  EXPECT_EQ(pops(), "1/1 2/1 1/2");
  queue.done(item(1, 1), now);
  EXPECT_EQ(pops(1).size(), 3u);
  EXPECT_EQ(pops(), "");
}

TEST_F(WorkQueueTest, ARemovedPairIsForgottenWhateverItsItemsDo) {
  pair(1, 1);
  for (uint32_t key = 1; key <= 4; ++key) queue.add(item(1, key), Priority::kEvent, now);
  queue.add_after(item(1, 9), seconds(1), Priority::kEvent, now);
  EXPECT_EQ(pops(1), "1/1");
  queue.remove_pair(PairId(1));
  EXPECT_EQ(pops(), "");
  queue.done(item(1, 1), now);
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_EQ(queue.next_wakeup(), kNoDeadline);
}

TEST_F(WorkQueueTest, WhatWaitedForACapRunsWhenThePairThatFilledItIsRemoved) {
  QueueOptions options;
  options.controller_cap = 2;
  queue = WorkQueue(options);
  pair(1, 1);
  pair(2, 2);
  for (uint32_t key = 1; key <= 2; ++key) queue.add(item(1, key), Priority::kEvent, now);
  EXPECT_EQ(pops(), "1/1 1/2");
  for (uint32_t key = 1; key <= 3; ++key) queue.add(item(2, key), Priority::kEvent, now);
  EXPECT_EQ(pops(), "");
  queue.remove_pair(PairId(1));
  EXPECT_EQ(pops(), "2/1 2/2");
}

// A fleet whose tokens change every few minutes attaches its clusters again and again, each time under another id.
TEST_F(WorkQueueTest, WhatNoPairIsLeftOfTakesNoRoom) {
  pair(1, 1);
  const size_t before = queue.rows();
  for (uint32_t n = 2; n < 200; ++n) {
    PairInfo info;
    info.cluster = ClusterId(n);
    info.controller = ControllerId(n);
    info.tenant = TenantId(n);
    info.delegate = DelegateId(n);
    queue.add_pair(PairId(n), info);
    for (uint32_t key = 1; key <= 3; ++key) queue.add(item(n, key), Priority::kEvent, now);
    if (n % 2 == 0) {
      EXPECT_EQ(pops(1), std::to_string(n) + "/1");
    }
    queue.remove_pair(PairId(n));
    if (n % 2 == 0) queue.done(item(n, 1), now);
    EXPECT_EQ(queue.rows(), before);
  }
  queue.add(item(1, 1), Priority::kEvent, now);
  EXPECT_EQ(pops(), "1/1");
}

// Whatever the operations: a key is never in flight twice, nothing that was added is lost, caps hold.
TEST(WorkQueue, KeepsItsPromisesUnderRandomOperations) {
  EXPECT_TRUE(rc::check([] {
    QueueOptions options;
    options.cluster_cap = *rc::gen::inRange(0, 3);
    options.controller_cap = *rc::gen::inRange(0, 4);
    WorkQueue queue(options);
    MonoTime now{seconds(1)};
    for (uint32_t p = 1; p <= 4; ++p) {
      PairInfo info;
      info.cluster = ClusterId(p / 2);
      info.controller = ControllerId(p % 2);
      info.tenant = TenantId(p / 4);
      info.delegate = DelegateId(p % 3);
      queue.add_pair(PairId(p), info);
    }
    const auto name = [](Item i) { return std::pair(i.pair.value(), i.key.value()); };
    std::set<std::pair<uint32_t, uint32_t>> wanted, flying, orphans;
    uint32_t last_pair = 4;
    std::vector<uint32_t> pairs = {1, 2, 3, 4};
    const auto drop = [](auto& items, uint32_t pair, auto each) {
      std::erase_if(items, [&](const auto& one) {
        if (one.first == pair) each(one);
        return one.first == pair;
      });
    };
    for (int step = 0; step < 300; ++step) {
      uint32_t& pair = pairs[*rc::gen::inRange<size_t>(0, 4)];
      const Item item{PairId(pair), KeyId(*rc::gen::inRange<uint32_t>(0, 6))};
      switch (*rc::gen::inRange(0, 8)) {
        case 0:
        case 1: queue.add(item, static_cast<Priority>(*rc::gen::inRange(0, 4)), now); wanted.insert(name(item)); break;
        case 2: queue.add_after(item, milliseconds(*rc::gen::inRange(0, 50)), Priority::kRequeue, now); wanted.insert(name(item)); break;
        case 3: queue.add_rate_limited(item, now); wanted.insert(name(item)); break;
        case 4: now += milliseconds(*rc::gen::inRange(0, 100)); break;
        case 5: *rc::gen::arbitrary<bool>() ? queue.block(DelegateId(1)) : queue.unblock(DelegateId(1)); break;
        case 6:
          if (!flying.empty()) {
            const auto done = *flying.begin();
            flying.erase(flying.begin());
            queue.done(Item{PairId(done.first), KeyId(done.second)}, now);
          } else if (!orphans.empty()) {
            queue.done(Item{PairId(orphans.begin()->first), KeyId(orphans.begin()->second)}, now);
            orphans.erase(orphans.begin());
          }
          break;
        case 7: {
          // Its cluster is attached anew, or its Controller began anew in the same one.
          drop(wanted, pair, [](const auto&) {});
          drop(flying, pair, [&](const auto& one) { orphans.insert(one); });
          queue.remove_pair(PairId(pair));
          const bool attached = *rc::gen::arbitrary<bool>();
          PairInfo info;
          info.cluster = ClusterId(attached ? 100 + last_pair : pair % 4 / 2);
          info.controller = ControllerId(pair % 2);
          info.tenant = TenantId(pair % 4 / 4);
          info.delegate = DelegateId(pair % 3);
          pair = ++last_pair;
          queue.add_pair(PairId(pair), info);
          break;
        }
      }
      if (*rc::gen::inRange(0, 2) == 0) continue;
      if (const auto work = queue.pop(now)) {
        RC_ASSERT(flying.insert(name(work->item)).second);
        RC_ASSERT(wanted.erase(name(work->item)) == 1);
      }
      if (options.controller_cap > 0) RC_ASSERT(flying.size() <= 2 * options.controller_cap);
    }
    queue.unblock(DelegateId(1));
    for (int i = 0; i < 1000 && !(wanted.empty() && flying.empty()); ++i) {
      now += seconds(10);
      while (const auto work = queue.pop(now)) {
        RC_ASSERT(flying.insert(name(work->item)).second);
        wanted.erase(name(work->item));
      }
      for (const auto& done : flying) queue.done(Item{PairId(done.first), KeyId(done.second)}, now);
      flying.clear();
    }
    RC_ASSERT(wanted.empty());
    for (const auto& done : orphans) queue.done(Item{PairId(done.first), KeyId(done.second)}, now);
    RC_ASSERT(queue.size() == 0u);
    for (const uint32_t p : pairs) queue.remove_pair(PairId(p));
    RC_ASSERT(queue.rows() == 0u);
  }));
}

}  // namespace
}  // namespace gs::queue
