// SIGTERM and SIGINT on the loop.
#pragma once

#include <csignal>
#include <functional>
#include <vector>

#include "runtime/uv_loop.h"

namespace gs::daemon {

class Signals {
 public:
  Signals(UvLoop& loop, std::function<void(int)> handler) : loop_(loop), handler_(std::move(handler)) {
    for (const int signal : {SIGTERM, SIGINT}) {
      auto* handle = new uv_signal_t{};
      uv_signal_init(loop.uv(), handle);
      handle->data = this;
      uv_signal_start(handle, &Signals::received, signal);
      handles_.push_back(handle);
    }
  }
  ~Signals() {
    for (uv_signal_t* handle : handles_) UvLoop::close_and_delete(handle);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  static void received(uv_signal_t* handle, int signal) {
    auto* self = static_cast<Signals*>(handle->data);
    const UvLoop::Activation activation(self->loop_);
    self->handler_(signal);
  }
  UvLoop& loop_;
  std::function<void(int)> handler_;
  std::vector<uv_signal_t*> handles_;
};

}  // namespace gs::daemon
