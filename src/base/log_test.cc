#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace gs {
namespace {

// Standard error is a pipe that nobody reads until the end.
class StuckStderr {
 public:
  StuckStderr() : saved_(::dup(STDERR_FILENO)) {
    EXPECT_EQ(::pipe2(pipe_, O_CLOEXEC), 0);
    ::dup2(pipe_[1], STDERR_FILENO);
  }
  // Reads what waits in the pipe and in the queue, whose end this line is.
  ~StuckStderr() {
    constexpr std::string_view kEnd = "the end of the queue";
    log::error(kEnd);
    std::string read;
    for (char bytes[65536]; read.find(kEnd) == std::string::npos;) {
      const ssize_t n = ::read(pipe_[0], bytes, sizeof(bytes));
      if (n <= 0) break;
      read.append(bytes, size_t(n));
    }
    ::dup2(saved_, STDERR_FILENO);
    for (const int fd : {saved_, pipe_[0], pipe_[1]}) ::close(fd);
  }

 private:
  int saved_;
  int pipe_[2] = {-1, -1};
};

TEST(Log, LinesThatNobodyTakesAreDroppedAndCountedAndBlockNobody) {
  const uint64_t before = log::dropped();
  const StuckStderr stuck;
  const std::string message(200, 'x');
  for (int i = 0; i < 10000; ++i) log::error(message);
  EXPECT_GT(log::dropped(), before + 5000);
}

}  // namespace
}  // namespace gs
