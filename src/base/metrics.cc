#include "base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace gs {
namespace {

using LabelMap = std::map<std::string, std::string>;

class CounterImpl : public Counter {
 public:
  explicit CounterImpl(prometheus::Counter& counter) : counter_(counter) {}
  void add(double value) override { counter_.Increment(value); }
  double value() const override { return counter_.Value(); }

 private:
  prometheus::Counter& counter_;
};

class GaugeImpl : public Gauge {
 public:
  explicit GaugeImpl(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void set(double value) override { gauge_.Set(value); }
  void add(double value) override { gauge_.Increment(value); }
  double value() const override { return gauge_.Value(); }

 private:
  prometheus::Gauge& gauge_;
};

class HistogramImpl : public Histogram {
 public:
  explicit HistogramImpl(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

// Wrappers by name and labels; the family is made at the first use of a name.
template <class Facade>
using Cache = std::map<std::pair<std::string, LabelMap>, std::unique_ptr<Facade>>;

}  // namespace

struct Metrics::Impl {
  mutable std::mutex mutex;
  prometheus::Registry registry;
  Cache<Counter> counters;
  Cache<Gauge> gauges;
  Cache<Histogram> histograms;

  template <class Facade, class Make>
  Facade& get(Cache<Facade>& cache, const std::string& name, const LabelMap& map, Make make) {
    const std::lock_guard lock(mutex);
    auto& slot = cache[{name, map}];
    if (!slot) slot = make(map);
    return *slot;
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(const std::string& name, const std::string& help, Labels labels) {
  return counter(name, help, LabelMap(labels.begin(), labels.end()));
}

Counter& Metrics::counter(const std::string& name, const std::string& help, const LabelMap& labels) {
  return impl_->get(impl_->counters, name, labels, [&](const LabelMap& map) {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
    return std::make_unique<CounterImpl>(family.Add(map));
  });
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, Labels labels) {
  return gauge(name, help, LabelMap(labels.begin(), labels.end()));
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, const LabelMap& labels) {
  return impl_->get(impl_->gauges, name, labels, [&](const LabelMap& map) {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry);
    return std::make_unique<GaugeImpl>(family.Add(map));
  });
}

Histogram& Metrics::histogram(const std::string& name, const std::string& help,
                              const std::vector<double>& buckets, Labels labels) {
  return impl_->get(impl_->histograms, name, LabelMap(labels.begin(), labels.end()), [&](const LabelMap& map) {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry);
    return std::make_unique<HistogramImpl>(family.Add(map, buckets));
  });
}

std::string Metrics::expose() const { return prometheus::TextSerializer().Serialize(impl_->registry.Collect()); }

void MetricSums::add(const std::string& name, const std::string& help, Labels labels, double value, bool counter) {
  Sum& sum = sums_[{name, std::move(labels)}];
  sum.help = help;
  sum.counter = counter;
  sum.value += value;
}

void MetricSums::merge(const MetricSums& other) {
  for (const auto& [key, sum] : other.sums_) add(key.first, sum.help, key.second, sum.value, sum.counter);
}

void MetricSums::show(Metrics& metrics) const {
  for (const auto& [key, sum] : sums_) {
    if (sum.counter) {
      Counter& counter = metrics.counter(key.first, sum.help, key.second);
      counter.add(std::max(0.0, sum.value - counter.value()));
    } else {
      metrics.gauge(key.first, sum.help, key.second).set(sum.value);
    }
  }
}

const std::vector<double>& latency_buckets() {
  static const std::vector<double> kBuckets = {0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                               0.5,   1,     2.5,   5,    10,    30,   60};
  return kBuckets;
}

}  // namespace gs
