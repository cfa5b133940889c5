#include "bench/plane_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

namespace gs::bench {
namespace {

std::vector<std::string> command_of(const std::string& binary, const std::string& directory, const std::vector<std::string>& flags) {
  std::vector<std::string> out = {binary, "mcp", "--config", directory, "--metrics-address", "", "--cluster-deny-cidrs", "", "--log-level", "warning"};
  out.insert(out.end(), flags.begin(), flags.end());
  return out;
}

}  // namespace

PlaneProcess::PlaneProcess(const std::string& binary, const std::string& directory, const std::vector<std::string>& flags)
    : ServerProcess(command_of(binary, directory, flags), directory + ".log") {}

ServerProcess::ServerProcess(std::vector<std::string> command, const std::string& log) {
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a benchmark that dies takes it along
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out, 1);
  dup2(out, 2);
  execv(argv[0], argv.data());
  _exit(127);
}

ServerProcess::~ServerProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  for (int i = 0; i < 100; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) return;
    usleep(50'000);
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void ServerProcess::kill_now() {
  kill(pid_, SIGKILL);
  waitpid(std::exchange(pid_, -1), nullptr, 0);
}

// Not reaped: its number stays its own until the destructor has waited for it.
bool ServerProcess::alive() const {
  siginfo_t ended{};
  return pid_ > 0 && waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0;
}

double ServerProcess::cpu_seconds() const {
  std::ifstream in("/proc/" + std::to_string(pid_) + "/stat");
  std::string line;
  std::getline(in, line);
  // Fields 14 and 15, counted from behind the command's closing parenthesis, which is field 2.
  std::istringstream rest(line.substr(line.rfind(')') + 1));
  std::string word;
  double ticks = 0;
  for (int field = 3; field <= 15 && rest >> word; ++field) {
    if (field >= 14) ticks += std::stod(word);
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::string ServerProcess::status_field(const char* file, const char* field) const {
  std::ifstream in("/proc/" + std::to_string(pid_) + "/" + file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field)) return line.substr(std::string(field).size());
  }
  return "0";
}

size_t ServerProcess::resident_bytes() const { return std::stoul(status_field("smaps_rollup", "Rss:")) * 1024; }
size_t ServerProcess::peak_bytes() const { return std::stoul(status_field("status", "VmHWM:")) * 1024; }

}  // namespace gs::bench
