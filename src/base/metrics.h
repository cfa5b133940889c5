// Prometheus metrics behind a light header. A Metrics registry is owned by main and lent to whoever
// counts; counters, gauges and histograms live as long as it does and may be used from any thread.
// The number of series is bounded by construction: label values come from fixed sets in the code or
// from Controller names, never from keys or, by default, clusters.
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gs {

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double value) = 0;
  void increment() { add(1); }
  virtual double value() const = 0;
};

class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
  virtual void add(double value) = 0;
  virtual double value() const = 0;
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

class Metrics {
 public:
  using Labels = std::initializer_list<std::pair<std::string, std::string>>;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name and labels give the same metric again.
  Counter& counter(const std::string& name, const std::string& help, Labels labels = {});
  Counter& counter(const std::string& name, const std::string& help, const std::map<std::string, std::string>& labels);
  Gauge& gauge(const std::string& name, const std::string& help, Labels labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const std::map<std::string, std::string>& labels);
  // Buckets are upper bounds; those of the first call for a name hold.
  Histogram& histogram(const std::string& name, const std::string& help, const std::vector<double>& buckets,
                       Labels labels = {});

  // The text exposition format, version 0.0.4.
  std::string expose() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What several loops count each for itself, summed before it is shown. Plain data.
class MetricSums {
 public:
  using Labels = std::map<std::string, std::string>;
  // How much there is of something now.
  void gauge(const std::string& name, const std::string& help, Labels labels, double value) { add(name, help, std::move(labels), value, false); }
  void gauge(const std::string& name, const std::string& help, double value) { gauge(name, help, {}, value); }
  // How often something has happened since the start, also to what is gone by now; a name that ends in _total.
  void count(const std::string& name, const std::string& help, Labels labels, uint64_t value) { add(name, help, std::move(labels), double(value), true); }
  void count(const std::string& name, const std::string& help, uint64_t value) { count(name, help, {}, value); }
  void merge(const MetricSums& other);
  // As gauges and counters of these names.
  void show(Metrics& metrics) const;

 private:
  struct Sum {
    std::string help;
    bool counter = false;
    double value = 0;
  };
  void add(const std::string& name, const std::string& help, Labels labels, double value, bool counter);
  std::map<std::pair<std::string, Labels>, Sum> sums_;
};

// client-go's and controller-runtime's habit for latencies: 1 ms to 60 s.
const std::vector<double>& latency_buckets();

}  // namespace gs
