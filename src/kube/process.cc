#include "kube/process.h"

#include <signal.h>
#include <unistd.h>

#include <optional>

#include "runtime/sync.h"

namespace gs::kube {
namespace {

// One child. Owned by the loop: it lives until libuv has closed its three handles; the coroutine that
// waits holds a Handle and lets go of it.
class Child {
 public:
  static constexpr unsigned kHandles = 3;

  Child(UvLoop& loop, const ProcessSpec& spec) : loop_(loop), max_output_(spec.max_output), max_error_(spec.max_error_tail), finished(loop) {
    process_.data = out_.data = err_.data = this;
  }

  // Makes it run; on failure it frees itself.
  Status start(const ProcessSpec& spec);

  // The waiting coroutine is gone: nobody wants the result any more.
  void abandon() {
    abandoned_ = true;
    kill();
    close(&out_);
    close(&err_);
    if (exited_) close(&process_);
    if (closed_ == kHandles) delete this;
  }

 private:
  static void exited(uv_process_t* process, int64_t code, int signal) {
    auto* self = static_cast<Child*>(process->data);
    const UvLoop::Activation activation(self->loop_);
    self->exited_ = true;
    self->result.exit_code = static_cast<int>(code);
    self->result.signal = signal;
    self->close(process);
    self->step();
  }
  static void allocate(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
    auto* self = static_cast<Child*>(handle->data);
    *buffer = uv_buf_init(self->buffer_, sizeof self->buffer_);
  }
  static void read_output(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
    auto* self = static_cast<Child*>(stream->data);
    const UvLoop::Activation activation(self->loop_);
    if (size < 0) return self->end_of(stream);
    self->result.output.append(buffer->base, static_cast<size_t>(size));
    if (self->result.output.size() > self->max_output_) {
      self->too_large = true;
      self->result.output.clear();
      self->kill();
      self->end_of(stream);
    }
  }
  static void read_error(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
    auto* self = static_cast<Child*>(stream->data);
    const UvLoop::Activation activation(self->loop_);
    if (size < 0) return self->end_of(stream);
    std::string& tail = self->result.error_tail;
    tail.append(buffer->base, static_cast<size_t>(size));
    if (tail.size() > self->max_error_) tail.erase(0, tail.size() - self->max_error_);
  }
  static void handle_closed(uv_handle_t* handle) {
    auto* self = static_cast<Child*>(handle->data);
    if (++self->closed_ == kHandles && self->abandoned_) delete self;
  }
  void end_of(uv_stream_t* stream) {
    uv_read_stop(stream);
    ++ended_;
    step();
  }
  void step() {
    if (exited_ && ended_ >= 2) finished.set();
  }
  // The group: a plugin may have started others. Not after it was reaped, its id may be another's.
  void kill() {
    if (!exited_ && process_.pid > 0) ::kill(-process_.pid, SIGKILL);
  }
  // The process' handle only after it has exited: libuv reaps it through the handle.
  template <class T>
  static void close(T* handle) {
    auto* base = reinterpret_cast<uv_handle_t*>(handle);
    if (!uv_is_closing(base)) uv_close(base, &Child::handle_closed);
  }

  UvLoop& loop_;
  size_t max_output_;
  size_t max_error_;
  uv_process_t process_{};
  uv_pipe_t out_{};
  uv_pipe_t err_{};
  char buffer_[16 * 1024];
  unsigned ended_ = 0;
  unsigned closed_ = 0;
  bool exited_ = false;
  bool abandoned_ = false;

 public:
  ProcessResult result;
  bool too_large = false;
  Event finished;
};

// Strings of a process' environment or arguments, as C wants them.
class Pointers {
 public:
  void add(std::string text) { texts_.push_back(std::move(text)); }
  char** get() {
    for (std::string& text : texts_) pointers_.push_back(text.data());
    pointers_.push_back(nullptr);
    return pointers_.data();
  }

 private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
};

bool is_overridden(std::string_view entry, const ProcessSpec& spec) {
  for (const auto& [name, unused] : spec.env) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') return true;
  }
  return false;
}

Status Child::start(const ProcessSpec& spec) {
  uv_loop_t* uv = loop_.uv();
  uv_pipe_init(uv, &out_, 0);
  uv_pipe_init(uv, &err_, 0);
  Pointers args;
  args.add(spec.command);
  for (const std::string& arg : spec.args) args.add(arg);
  Pointers env;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!is_overridden(*entry, spec)) env.add(*entry);
  }
  // Of two of one name the last counts.
  for (size_t i = 0; i < spec.env.size(); ++i) {
    bool again = false;
    for (size_t j = i + 1; j < spec.env.size(); ++j) again = again || spec.env[j].first == spec.env[i].first;
    if (!again) env.add(spec.env[i].first + "=" + spec.env[i].second);
  }
  uv_stdio_container_t stdio[3]{};
  stdio[0].flags = UV_IGNORE;
  stdio[1].flags = stdio[2].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
  stdio[1].data.stream = reinterpret_cast<uv_stream_t*>(&out_);
  stdio[2].data.stream = reinterpret_cast<uv_stream_t*>(&err_);
  uv_process_options_t options{};
  options.file = spec.command.c_str();
  options.args = args.get();
  options.env = env.get();
  options.exit_cb = &Child::exited;
  options.stdio = stdio;
  options.stdio_count = 3;
  options.flags = UV_PROCESS_DETACHED;  // a group of its own, so that all of it can be killed
  const int rc = uv_spawn(uv, &process_, &options);
  process_.data = this;
  if (rc == 0) {
    uv_read_start(stdio[1].data.stream, &Child::allocate, &Child::read_output);
    uv_read_start(stdio[2].data.stream, &Child::allocate, &Child::read_error);
    return ok();
  }
  exited_ = true;
  abandon();
  const Code code = rc == UV_ENOENT ? Code::kNotFound : rc == UV_EACCES ? Code::kForbidden : Code::kUnavailable;
  return fail(code, "{}: {}", spec.command, uv_strerror(rc));
}

class Handle {
 public:
  explicit Handle(Child* child) : child_(child) {}
  ~Handle() { child_->abandon(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

 private:
  Child* child_;
};

}  // namespace

Task<Result<ProcessResult>> UvProcessRunner::run(ProcessSpec spec, MonoTime deadline) {
  auto* child = new Child(loop_, spec);
  const Status started = child->start(spec);
  if (!started) co_return fail(started.error());
  const Handle handle(child);
  const bool in_time = co_await child->finished.wait(deadline);
  if (!in_time) co_return fail(Code::kDeadlineExceeded, "{}: did not finish in time and was killed", spec.command);
  if (child->too_large) co_return fail(Code::kTooLarge, "{}: wrote more than {} bytes", spec.command, spec.max_output);
  co_return std::move(child->result);
}

}  // namespace gs::kube
