#include "delegate/outbox.h"

namespace gs::delegate {

Outbox::Outbox(Loop& loop, std::unique_ptr<MessageStream> stream, std::function<void()> roomier, std::function<void(Error)> stuck)
    : loop_(loop),
      stream_(std::move(stream)),
      roomier_(std::move(roomier)),
      stuck_(std::move(stuck)),
      parts_(loop),
      watch_(loop),
      scope_(loop) {
  scope_.spawn(send_parts());
  scope_.spawn(watch_reader());
}

void Outbox::send(const std::string& message) {
  if (!stream_) return;
  stream_->send(message);
  if (held()) watch_.wake_all();
}

Task<bool> Outbox::part(Lane lane, std::string message) {
  if (!stream_) co_return false;
  if (!waiting() && stream_->unsent() <= kPartMark) {
    stream_->send(message);
    co_return true;
  }
  Pending pending(loop_, std::move(message));
  lanes_[static_cast<size_t>(lane)].push_back(pending);
  parts_.wake_all();
  while (!pending.sent && stream_) {
    co_await pending.done.wait();
  }
  co_return pending.sent;
}

Task<void> Outbox::send_parts() {
  while (true) {
    while (!waiting()) {
      co_await parts_.wait();
    }
    const Status room = co_await stream_->wait_unsent(kPartMark, kNoDeadline);
    if (!room) co_return;  // the reader hears of it too
    if (!waiting()) continue;
    const bool pairs = lanes_[0].empty() || (++turn_ % kPairTurn == 0 && !lanes_[1].empty());
    Pending& next = lanes_[pairs ? 1 : 0].front();
    next.unlink();
    stream_->send(next.message);
    next.sent = true;
    next.done.wake_all();
  }
}

// Each time that more than the mark is unsent: it must become less within the patience.
Task<void> Outbox::watch_reader() {
  while (true) {
    while (!held()) {
      co_await watch_.wait();
    }
    const Status read = co_await stream_->wait_unsent(kHoldMark, saturating_add(loop_.now(), kPatience));
    if (!read && read.error().code != Code::kDeadlineExceeded) co_return;
    if (!read) {
      co_return stuck_(Error(Code::kUnavailable, fmt::format("the delegate does not read: {} bytes wait since {}", stream_->unsent(), format_go_duration(kPatience))));
    }
    roomier_();
  }
}

Task<void> Outbox::ready_to_read() {
  if (stream_->unsent() <= kStopMark) co_return;
  const Status room = co_await stream_->wait_unsent(kStopMark, kNoDeadline);
  static_cast<void>(room);  // the next read says what ended it; watch_reader() knows when it is enough
}

void Outbox::close() {
  scope_.cancel();
  stream_.reset();
  for (auto& lane : lanes_) {
    while (!lane.empty()) {
      Pending& pending = lane.front();
      pending.unlink();
      pending.done.wake_all();
    }
  }
}

}  // namespace gs::delegate
