#include "delegate/breaker.h"

#include <gtest/gtest.h>

namespace gs::delegate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = Breaker::State;

// One row a step: what happens, then what the breaker says.
struct Step {
  Duration after;
  enum { kFail, kProve, kProbe, kProbeOver, kLook } event;
  State state;
  bool admits;
};

TEST(Breaker, GoesThroughItsStates) {
  const std::vector<Step> steps = {
      {seconds(0), Step::kLook, State::kClosed, true},
      {seconds(0), Step::kFail, State::kOpen, false},
      {milliseconds(199), Step::kLook, State::kOpen, false},
      {milliseconds(1), Step::kLook, State::kHalfOpen, true},
      {seconds(0), Step::kProbe, State::kHalfOpen, false},       // one probe at a time
      {seconds(0), Step::kFail, State::kOpen, false},            // and it failed: twice as long
      {milliseconds(399), Step::kLook, State::kOpen, false},
      {milliseconds(1), Step::kProbe, State::kHalfOpen, false},
      {seconds(0), Step::kProve, State::kClosed, true},
      {seconds(0), Step::kFail, State::kOpen, false},            // from the beginning again
      {milliseconds(200), Step::kLook, State::kHalfOpen, true},
      {seconds(0), Step::kProbe, State::kHalfOpen, false},
      {seconds(0), Step::kProbeOver, State::kHalfOpen, true},    // neither failed nor proved: the next may try
  };
  Breaker breaker;
  MonoTime now{seconds(100)};
  for (size_t i = 0; i < steps.size(); ++i) {
    now += steps[i].after;
    if (steps[i].event == Step::kFail) breaker.failed(now, 0);
    if (steps[i].event == Step::kProve) breaker.proved();
    if (steps[i].event == Step::kProbe) breaker.probe();
    if (steps[i].event == Step::kProbeOver) breaker.probe_over();
    EXPECT_EQ(breaker.state(now), steps[i].state) << "step " << i;
    EXPECT_EQ(breaker.admits(now), steps[i].admits) << "step " << i;
  }
}

TEST(Breaker, PausesDoubleUpToTheirLimitAndAreSpread) {
  Breaker breaker;
  const MonoTime now{seconds(100)};
  Duration before{0};
  for (int i = 0; i < 100; ++i) {
    breaker.failed(now, 0);
    const Duration pause = breaker.retry_at(now) - now;
    EXPECT_GE(pause, before);
    EXPECT_LE(pause, seconds(15));
    before = pause;
  }
  EXPECT_EQ(before, seconds(15));
  breaker.failed(now, 1);
  EXPECT_EQ(breaker.retry_at(now) - now, seconds(15) + milliseconds(7500));
  EXPECT_EQ(breaker.since(), now);
  breaker.proved();
  EXPECT_EQ(breaker.retry_at(now), kNoDeadline);
}

}  // namespace
}  // namespace gs::delegate
