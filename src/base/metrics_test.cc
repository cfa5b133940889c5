#include "base/metrics.h"

#include <gmock/gmock.h>

namespace gs {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Metrics, ExposesWhatWasCountedInPrometheusText) {
  Metrics metrics;
  metrics.counter("gs_calls_total", "Calls.", {{"verb", "get"}}).increment();
  metrics.counter("gs_calls_total", "Calls.", {{"verb", "get"}}).add(2);
  metrics.gauge("gs_depth", "Depth.").set(7);
  metrics.histogram("gs_latency_seconds", "Latency.", latency_buckets()).observe(0.003);
  const std::string text = metrics.expose();
  EXPECT_THAT(text, HasSubstr("gs_calls_total{verb=\"get\"} 3"));
  EXPECT_THAT(text, HasSubstr("gs_depth 7"));
  EXPECT_THAT(text, HasSubstr("gs_latency_seconds_bucket{le=\"0.005\"} 1"));
}

TEST(Metrics, WhatSeveralLoopsCountIsShownAsItsSum) {
  MetricSums a, b;
  a.gauge("gs_pairs", "Pairs.", 2);
  b.gauge("gs_pairs", "Pairs.", 3);
  b.gauge("gs_depth", "Depth.", {{"priority", "event"}}, 1);
  a.count("gs_calls_total", "Calls.", 4);
  b.count("gs_calls_total", "Calls.", 5);
  a.merge(b);
  Metrics metrics;
  a.show(metrics);
  a.show(metrics);
  EXPECT_THAT(metrics.expose(), AllOf(HasSubstr("gs_pairs 5"), HasSubstr("gs_depth{priority=\"event\"} 1"),
                                      HasSubstr("# TYPE gs_calls_total counter"), HasSubstr("gs_calls_total 9")));
}

}  // namespace
}  // namespace gs
