// Clients of one API server that write, read and watch config maps at random and keep a History of it. The
// same over a simulated network and over TCP. Lives on one loop.
#pragma once

#include <memory>

#include "kube/transport.h"
#include "runtime/task_scope.h"
#include "test/history/history.h"

namespace gs::history {

class Clients {
 public:
  Clients(Loop& loop, kube::KubeTransport& transport, uint64_t seed) : loop_(loop), transport_(transport), random_(seed), scope_(loop) {}

  // `pause`: at most so long between two operations of a client.
  void start(int writers, int watchers, int objects, Duration pause);
  // No new operations; those under way end in their own time.
  void stop() { stopping_ = true; }
  bool writers_done() const { return writers_ == 0; }
  // The last word: a list that must succeed. False until it has.
  Task<bool> final_list();
  // Ends everything. What is under way is of unknown outcome.
  void end();
  const History& history() const { return history_; }
  size_t acknowledged() const { return acknowledged_; }
  size_t expired() const { return expired_; }

 private:
  struct Known;
  Task<void> write(int client, int objects, Duration pause);
  Task<void> watch(Duration pause);
  // Runs one operation and puts it into the history.
  Task<Operation> run(Operation operation);
  Task<void> fill_in(Operation& operation, kube::Request request);
  // Reads until the stream ends; true: the watch may go on from `version`.
  Task<bool> follow(size_t watch, uint64_t& version);
  bool deliver(Watch& watch, const std::string& line, uint64_t& version);

  Loop& loop_;
  kube::KubeTransport& transport_;
  Random random_;
  History history_;
  int64_t clock_ = 0;
  int writers_ = 0;
  size_t acknowledged_ = 0, expired_ = 0;
  bool stopping_ = false;
  TaskScope scope_;
};

}  // namespace gs::history
