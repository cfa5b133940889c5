// Two ByteStreams that are each other's peer, in memory, on one loop. What one writes reaches the
// other at the end of the turn, cut into the chunks that the test asks for.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "net/byte_stream.h"
#include "runtime/loop.h"

namespace gs::test {

class PipeStream final : public net::ByteStream, private TurnEndHook {
 public:
  using Pair = std::pair<std::unique_ptr<PipeStream>, std::unique_ptr<PipeStream>>;
  // How many of `available` bytes come in the next call; at least 1. None: all of them.
  using Chunker = std::function<size_t(size_t available)>;

  static Pair make(Loop& loop, Chunker chunker = {}, std::string alpn = {}) {
    Pair pair{std::unique_ptr<PipeStream>(new PipeStream(loop, chunker, alpn)),
              std::unique_ptr<PipeStream>(new PipeStream(loop, chunker, alpn))};
    pair.first->peer_ = pair.second.get();
    pair.second->peer_ = pair.first.get();
    return pair;
  }
  ~PipeStream() override {
    if (destroyed_ != nullptr) *destroyed_ = true;
    if (peer_ == nullptr) return;
    peer_->peer_ = nullptr;
    if (!shut_) peer_->reset_ = true;
    peer_->inbox_ += outbox_;
    if (shut_) peer_->end_ = true;
    peer_->schedule();
  }

  void start(Handler& handler) override {
    handler_ = &handler;
    schedule();
  }
  void write(std::string_view bytes) override {
    if (shut_ || peer_ == nullptr) return;
    outbox_.append(bytes);
    written_ += bytes.size();
    if (outbox_.size() > kHighWater) was_high_ = true;
    peer_->schedule();
  }
  size_t buffered() const override { return outbox_.size(); }
  void pause() override { paused_ = true; }
  void resume() override {
    paused_ = false;
    schedule();
  }
  void shutdown() override {
    shut_ = true;
    if (peer_ != nullptr) peer_->schedule();
  }
  std::string_view alpn() const override { return alpn_; }
  std::string peer_address() const override { return "192.0.2.1"; }

  // For tests: the network stops carrying what the peer sends to us.
  void freeze(bool on) {
    frozen_ = on;
    schedule();
  }
  bool paused() const { return paused_; }
  size_t written() const { return written_; }
  bool peer_gone() const { return peer_ == nullptr; }

 private:
  PipeStream(Loop& loop, Chunker chunker, std::string alpn)
      : loop_(loop), chunker_(std::move(chunker)), alpn_(std::move(alpn)) {}

  void schedule() {
    if (handler_ != nullptr) loop_.at_turn_end(*this);
  }

  void turn_ended() override {
    bool destroyed = false;
    destroyed_ = &destroyed;
    deliver(destroyed);
    if (!destroyed) destroyed_ = nullptr;
  }

  void deliver(bool& destroyed) {
    if (drained_due_) {
      drained_due_ = false;
      handler_->on_drained();
      if (destroyed) return;
    }
    if (peer_ != nullptr && !peer_->outbox_.empty() && !paused_ && !frozen_) {
      inbox_.append(peer_->outbox_);
      peer_->outbox_.clear();
      if (std::exchange(peer_->was_high_, false)) {
        peer_->drained_due_ = true;
        peer_->schedule();
      }
    }
    std::string batch;
    batch.swap(inbox_);
    size_t used = 0;
    while (used < batch.size() && !paused_ && !frozen_) {
      const size_t left = batch.size() - used;
      const size_t size = chunker_ ? std::clamp<size_t>(chunker_(left), 1, left) : left;
      handler_->on_data(std::string_view(batch).substr(used, size));
      if (destroyed) return;
      used += size;
    }
    inbox_.insert(0, batch, used);
    if (!inbox_.empty() || paused_ || frozen_ || closed_) return;
    const bool ended = end_ || (peer_ != nullptr && peer_->shut_ && peer_->outbox_.empty());
    if (!ended && !reset_) return;
    closed_ = true;
    handler_->on_closed(Error(Code::kUnavailable, ended ? "connection closed by peer" : "connection reset by peer"));
  }

  Loop& loop_;
  Chunker chunker_;
  std::string alpn_;
  PipeStream* peer_ = nullptr;
  Handler* handler_ = nullptr;
  std::string outbox_;  // written and not yet taken by the peer
  std::string inbox_;   // taken and not yet given to the handler
  bool paused_ = false;
  bool frozen_ = false;
  bool shut_ = false;
  bool end_ = false;
  bool reset_ = false;
  bool closed_ = false;
  bool was_high_ = false;
  bool drained_due_ = false;
  bool* destroyed_ = nullptr;
  size_t written_ = 0;
};

}  // namespace gs::test
