// The machines that the plane and the delegates run on: their processes are started and killed, their disks stay.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "control/engine.h"
#include "fleet/leader_election.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "store/memory_store.h"
#include "test/sim/logic.h"

namespace gs::sim {

class DelegateHost {
 public:
  DelegateHost(SimWorld& world, net::SimNet& net, int number, uint64_t seed, test::DelegateOptions options);
  // Every third start is an upgrade: its logic is of another revision, and decides otherwise.
  void start();
  void kill();
  uint64_t reconciles() const { return reconciles_ + (server ? server->reconciles() : 0); }

 private:
  net::SimNet& net_;
  test::DelegateOptions options_;
  int starts_ = 2;
  uint64_t reconciles_ = 0;

 public:
  const std::string host;
  SimLoop& loop;
  Logic logic;
  std::unique_ptr<test::DelegateServer> server;
  std::unique_ptr<net::HttpServer> http;
  std::unique_ptr<net::Listener> listener;
};

// A state file on a disk that takes its time: it answers late, and a crash loses what was not written yet.
class SimDisk final : public store::StateStore {
 public:
  explicit SimDisk(SimLoop& loop) : loop_(loop), memory_(false), write_(loop, [this] { memory_.store(); }), scope_(loop) {}
  void begin_term(std::string now, std::string before) override;
  void mark(const store::PairName& pair, std::string_view ns, std::string_view name) override { memory_.mark(pair, ns, name); }
  void put(const std::shared_ptr<const store::PairName>& pair, store::KeyRecord record, uint32_t marks) override;
  void erase(const std::shared_ptr<const store::PairName>& pair, std::string ns, std::string name, uint32_t marks) override;
  void put_pair(const std::shared_ptr<const store::PairName>& pair, store::PairRecord record) override;
  void erase_pair(const std::shared_ptr<const store::PairName>& pair) override;
  void load(const std::shared_ptr<const store::PairName>& pair, std::string after_ns, std::string after_name, Loop& loop, Loaded done) override;
  void flush(Loop& loop, std::function<void()> done) override { memory_.flush(loop, std::move(done)); }
  void detach() override { scope_.cancel(); }
  const store::StoreStats& stats() const override { return memory_.stats(); }
  // The process that wrote is dead.
  void crash();

 private:
  Task<void> load_later(std::shared_ptr<const store::PairName> pair, std::string after_ns, std::string after_name, Loop* loop, Loaded done);
  void written_soon();

  SimLoop& loop_;
  store::MemoryStore memory_;
  CallbackTimer write_;
  TaskScope scope_;
};

struct PlaneOptions {
  bool keeps_state = false;
  std::string hub;  // whose lease decides which plane works; empty: this one does
  queue::QueueOptions queue;
  int page_size = 500;
  size_t writes_on_watches = 4;
};

// A machine with a plane on it, as mcp.cc puts one together.
class PlaneHost {
 public:
  PlaneHost(SimWorld& world, net::SimNet& net, std::string name, PlaneOptions options);
  ~PlaneHost();
  void start();
  void kill();
  void apply(const control::Desired& wanted);
  // Whether it may reconcile: it has the lease, or needs none.
  bool working() const;
  // The process ended by itself: it lost the lease.
  bool ended() const { return process_ == nullptr || ended_; }
  control::Engine* engine();

 private:
  class Process;
  SimWorld& world_;
  net::SimNet& net_;
  PlaneOptions options_;
  int starts_ = 0;
  bool ended_ = false;
  control::Desired wanted_;

 public:
  const std::string host;
  SimLoop& loop;

 private:
  std::unique_ptr<SimDisk> disk_;
  std::unique_ptr<Process> process_;
};

}  // namespace gs::sim
