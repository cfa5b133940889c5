// A server under test in a process of its own, and what the kernel says it costs.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace gs::bench {

class ServerProcess {
 public:
  // Runs it; what it writes goes to the file `log`.
  ServerProcess(std::vector<std::string> command, const std::string& log);
  // SIGTERM, and SIGKILL where it does not end.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  bool alive() const;
  // SIGKILL.
  void kill_now();
  // User and system time in seconds, in the kernel's ticks of 10 ms.
  double cpu_seconds() const;
  // Private and shared pages in memory, and the most there ever were.
  size_t resident_bytes() const;
  size_t peak_bytes() const;

 private:
  std::string status_field(const char* file, const char* field) const;
  pid_t pid_ = -1;
};

// The plane: `binary mcp --config directory` and more flags; its log is beside the directory.
class PlaneProcess : public ServerProcess {
 public:
  PlaneProcess(const std::string& binary, const std::string& directory, const std::vector<std::string>& flags = {});
};

}  // namespace gs::bench
