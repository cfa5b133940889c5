// Real child processes on the real loop.
#include "kube/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "net/stream_test_util.h"

namespace gs::kube {
namespace {

using namespace std::chrono_literals;

class ProcessTest : public testing::Test {
 protected:
  static ProcessSpec shell(const std::string& script) {
    ProcessSpec spec("sh");
    spec.args = {"-c", script};
    return spec;
  }
  Result<ProcessResult> run(ProcessSpec spec, Duration limit = 20s) {
    return net::test::run(loop, runner.run(std::move(spec), loop.now() + limit));
  }
  UvLoop loop;
  UvProcessRunner runner{loop};
};

bool is_gone(pid_t pid) {
  for (int i = 0; i < 200; ++i) {
    if (::kill(pid, 0) != 0) return true;
    // A grandchild that nobody reaps (no init in a container) is a zombie: as good as gone.
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    const std::string line((std::istreambuf_iterator<char>(stat)), {});
    if (line.find(") Z ") != std::string::npos) return true;
    ::usleep(10'000);
  }
  return false;
}

TEST_F(ProcessTest, GivesOutputErrorsAndExitCode) {
  ::setenv("GS_TEST_KEPT", "kept", 1);
  ::setenv("GS_TEST_CHANGED", "before", 1);
  ProcessSpec spec = shell("echo out $GS_TEST_KEPT $GS_TEST_CHANGED $0 $1; echo err >&2; cat; exit 3");
  spec.args.insert(spec.args.end(), {"zero", "one; echo injected"});
  spec.env = {{"GS_TEST_CHANGED", "first"}, {"GS_TEST_CHANGED", "last"}};
  const auto result = run(spec);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->output, "out kept last zero one; echo injected\n") << "no shell reads the arguments, and standard input is empty";
  EXPECT_EQ(result->error_tail, "err\n");
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->signal, 0);
}

TEST_F(ProcessTest, ASignalIsToldAndACommandThatIsNotThereToo) {
  EXPECT_EQ(run(shell("kill -TERM $$"))->signal, SIGTERM);
  EXPECT_EQ(run(ProcessSpec("gs-no-such-command")).error().code, Code::kNotFound);
  const auto not_executable = run(ProcessSpec("/etc/passwd"));
  ASSERT_FALSE(not_executable) << not_executable->exit_code << not_executable->output << not_executable->error_tail;
  EXPECT_EQ(not_executable.error().code, Code::kForbidden);
}

TEST_F(ProcessTest, OutputIsBoundedAndErrorsKeepTheirEnd) {
  ProcessSpec loud = shell("yes");
  loud.max_output = 100'000;
  EXPECT_EQ(run(loud).error().code, Code::kTooLarge);
  ProcessSpec chatty = shell("i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done");
  chatty.max_error_tail = 100;
  const auto result = run(chatty);
  ASSERT_TRUE(result);
  EXPECT_LE(result->error_tail.size(), 100u);
  EXPECT_TRUE(result->error_tail.ends_with("line 4999\n")) << result->error_tail;
}

TEST_F(ProcessTest, OneThatTakesTooLongIsKilledWithThoseItStarted) {
  const auto path = std::filesystem::temp_directory_path() / ("gs-process-" + std::to_string(::getpid()));
  const auto result = run(shell("sleep 100 & echo $! > " + path.string() + "; wait"), 500ms);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kDeadlineExceeded);
  pid_t grandchild = 0;
  std::ifstream(path) >> grandchild;
  std::filesystem::remove(path);
  ASSERT_GT(grandchild, 0);
  EXPECT_TRUE(is_gone(grandchild));
}

TEST_F(ProcessTest, DestroyingTheTaskKillsTheProcess) {
  const auto path = std::filesystem::temp_directory_path() / ("gs-process-d-" + std::to_string(::getpid()));
  {
    TaskScope scope(loop);
    const auto ignore = [](Task<Result<ProcessResult>> task) -> Task<void> {
      const auto result = co_await task;
      EXPECT_FALSE(result.has_value()) << "never finished";
    };
    loop.post([&] { scope.spawn(ignore(runner.run(shell("echo $$ > " + path.string() + "; exec sleep 100"), kNoDeadline))); });
    net::test::wait(loop, [&] { return std::filesystem::exists(path) && std::filesystem::file_size(path) > 1; });
    loop.post([&] { scope.cancel(); });
    net::test::wait(loop, [&] { return scope.empty(); });
  }
  pid_t child = 0;
  std::ifstream(path) >> child;
  std::filesystem::remove(path);
  ASSERT_GT(child, 0);
  net::test::wait(loop, [] { return false; }, 200ms);
  EXPECT_TRUE(is_gone(child));
}

TEST_F(ProcessTest, OneWhoseChildKeepsTheOutputOpenEndsAtTheDeadline) {
  const auto result = run(shell("sleep 100 & echo done"), 500ms);
  ASSERT_FALSE(result) << "the output is not known to be complete";
  EXPECT_EQ(result.error().code, Code::kDeadlineExceeded);
}

TEST_F(ProcessTest, ManyRunSideBySide) {
  TaskScope scope(loop);
  int right = 0;
  const auto check = [](Task<Result<ProcessResult>> task, std::string want, int& count) -> Task<void> {
    const auto result = co_await task;
    count += result && result->output == want ? 1 : 0;
  };
  loop.post([&] {
    for (int i = 0; i < 30; ++i) {
      scope.spawn(check(runner.run(shell("echo " + std::to_string(i)), loop.now() + 30s), std::to_string(i) + "\n", right));
    }
  });
  net::test::wait(loop, [&] { return right == 30; }, 30s);
  EXPECT_EQ(right, 30);
}

}  // namespace
}  // namespace gs::kube
