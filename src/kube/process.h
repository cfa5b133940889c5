// Child processes, for credential plugins: run to the end with bounded output, nothing on their input.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "runtime/task.h"
#include "runtime/uv_loop.h"

namespace gs::kube {

struct ProcessSpec {
  ProcessSpec() = default;
  explicit ProcessSpec(std::string c) : command(std::move(c)) {}
  std::string command;  // a path, or a name to look up in PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;  // on top of our own
  size_t max_output = 1 << 20;
  size_t max_error_tail = 2048;
};

struct ProcessResult {
  ProcessResult() = default;
  int exit_code = 0;
  int signal = 0;  // that ended it, or 0
  std::string output;
  std::string error_tail;  // the end of what it wrote to standard error
};

class ProcessRunner {
 public:
  virtual ~ProcessRunner() = default;
  // Errors: kNotFound (no such command), kForbidden (not executable), kTooLarge (output),
  // kDeadlineExceeded. Destroying the task kills the process and those it started.
  virtual Task<Result<ProcessResult>> run(ProcessSpec spec, MonoTime deadline) = 0;
};

// libuv's processes. Lives on its loop.
class UvProcessRunner final : public ProcessRunner {
 public:
  explicit UvProcessRunner(UvLoop& loop) : loop_(loop) {}
  Task<Result<ProcessResult>> run(ProcessSpec spec, MonoTime deadline) override;

 private:
  UvLoop& loop_;
};

}  // namespace gs::kube
