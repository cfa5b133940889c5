// What a session has to say. Control messages (Reconcile, Cancel, Ping, refusals) go out at once; parts
// of answers take turns and only while little is unsent, so nothing that is short waits behind them.
// What a delegate does not read is bounded: by these marks, and in time. One loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "delegate/message_stream.h"
#include "runtime/intrusive_list.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::delegate {

class Outbox {
 public:
  // Bytes that are unsent: above the first, parts wait; above the second, no new Reconcile is sent;
  // above the third, nothing more is read from the delegate.
  static constexpr size_t kPartMark = 128 * 1024;
  static constexpr size_t kHoldMark = 1024 * 1024;
  static constexpr size_t kStopMark = 2 * 1024 * 1024;
  // A delegate for which more than kHoldMark waits for so long does not read.
  static constexpr Duration kPatience = std::chrono::seconds(30);

  enum class Lane { kReconcile, kPair };  // answers within reconciles go first, mostly

  // `roomier`: held() became false. `stuck`: the delegate does not read; called once.
  Outbox(Loop& loop, std::unique_ptr<MessageStream> stream, std::function<void()> roomier, std::function<void(Error)> stuck);

  MessageStream& stream() { return *stream_; }
  void send(const std::string& message);
  // Waits for its turn; false where the stream ended first. At most one at a time of each call.
  Task<bool> part(Lane lane, std::string message);
  bool held() const { return stream_ && stream_->unsent() > kHoldMark; }
  // Before more is read: returns once there is room for what reading may make us say.
  Task<void> ready_to_read();
  // Gives the stream up; what waits is told.
  void close();

 private:
  static constexpr unsigned kPairTurn = 4;  // of so many parts at least one is a pair's

  struct Pending : ListNode {
    Pending(Loop& loop, std::string m) : message(std::move(m)), done(loop) {}
    std::string message;
    bool sent = false;
    WaitQueue done;
  };
  bool waiting() { return !lanes_[0].empty() || !lanes_[1].empty(); }
  Task<void> send_parts();
  Task<void> watch_reader();

  Loop& loop_;
  std::unique_ptr<MessageStream> stream_;
  std::function<void()> roomier_;
  std::function<void(Error)> stuck_;
  IntrusiveList<Pending> lanes_[2];
  unsigned turn_ = 0;
  WaitQueue parts_;
  WaitQueue watch_;
  TaskScope scope_;
};

}  // namespace gs::delegate
