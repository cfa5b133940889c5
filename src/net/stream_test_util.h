// What the tests of streams share: handlers that write down what happened, and a way to run a task.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/byte_stream.h"
#include "runtime/sim_loop.h"
#include "runtime/task_scope.h"
#include "runtime/uv_loop.h"

namespace gs::net::test {

struct Recorder final : ByteStream::Handler {
  void on_data(std::string_view bytes) override {
    received.append(bytes);
    if (echo != nullptr) echo->write(bytes);
    if (destroy_on_data) stream.reset();
  }
  void on_closed(const Error& error) override {
    closed = error.to_string();
    if (destroy_on_close) stream.reset();
  }
  void on_drained() override { ++drained; }
  void take(std::unique_ptr<ByteStream> s) {
    stream = std::move(s);
    stream->start(*this);
  }

  std::string received;
  std::optional<std::string> closed;
  int drained = 0;
  bool destroy_on_data = false;
  bool destroy_on_close = false;
  ByteStream* echo = nullptr;
  std::unique_ptr<ByteStream> stream;
};

// Keeps what it accepts, each with its recorder.
struct KeepAll final : Listener::Acceptor {
  void accepted(std::unique_ptr<ByteStream> stream) override {
    peers.push_back(std::make_unique<Recorder>());
    if (echo) peers.back()->echo = stream.get();
    peers.back()->take(std::move(stream));
  }
  bool echo = false;
  std::vector<std::unique_ptr<Recorder>> peers;
};

template <class T>
Task<void> store_result(Task<T> task, std::optional<T>& out) {
  auto value = co_await task;
  out.emplace(std::move(value));
}

template <class T>
T run(UvLoop& loop, Task<T> task) {
  std::optional<T> out;
  TaskScope scope(loop);
  auto* moved = &task;
  loop.post([&, moved] { scope.spawn(store_result(std::move(*moved), out)); });
  loop.run_until([&] { return out.has_value() && scope.empty(); });
  return *std::move(out);
}

// Runs in virtual time; the task must finish within `limit`.
template <class T>
T run(SimLoop& loop, Task<T> task, Duration limit = std::chrono::hours(1)) {
  std::optional<T> out;
  TaskScope scope(loop);
  auto* moved = &task;
  loop.post([&, moved] { scope.spawn(store_result(std::move(*moved), out)); });
  loop.world().run_until([&] { return out.has_value() && scope.empty(); }, loop.world().now() + limit);
  GS_CHECK(out.has_value());
  return *std::move(out);
}

inline MonoTime in(Loop& loop, Duration delay) { return loop.now() + delay; }

// Runs the loop until `done()`; false after `limit` of real time.
template <class Done>
bool wait(UvLoop& loop, Done done, Duration limit = std::chrono::seconds(20)) {
  bool late = false;
  CallbackTimer timer(loop, [&] { late = true; });
  timer.arm_after(limit);
  loop.run_until([&] { return late || done(); });
  return !late;
}

}  // namespace gs::net::test
