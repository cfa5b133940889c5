// The embedded server in a process of its own is killed again and again while clients write, read and watch
// over TCP; the history they keep must be one of a linearizable server.
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/log.h"
#include "kube/http_transport.h"
#include "net/dns.h"
#include "net/tcp.h"
#include "test/history/clients.h"

extern char** environ;

namespace gs::history {
namespace {

using namespace std::chrono_literals;

class Server {
 public:
  explicit Server(std::string file) : file_(std::move(file)) { start(); }
  ~Server() { kill_now(); }
  void start() {
    int out[2];
    ASSERT_EQ(pipe(out), 0);
    const std::string port = std::to_string(port_);
    const char* arguments[] = {CRASH_SERVER, file_.c_str(), port.c_str(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    ASSERT_EQ(posix_spawn(&pid_, CRASH_SERVER, &actions, nullptr, const_cast<char**>(arguments), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    std::FILE* said = fdopen(out[0], "r");
    unsigned port_said = 0;
    ASSERT_EQ(std::fscanf(said, "%u", &port_said), 1) << "the server did not start";
    std::fclose(said);
    port_ = static_cast<int>(port_said);
  }
  void kill_now() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  int port() const { return port_; }

 private:
  std::string file_;
  int port_ = 0;
  pid_t pid_ = 0;
};

Task<void> list(Clients& clients, bool& listed) {
  while (!listed) {
    listed = co_await clients.final_list();
  }
}

TEST(CrashTest, AServerThatIsKilledAtAnyMomentKeepsWhatItAcknowledged) {
  log::configure(log::Level::kError, log::Format::kText);
  char name[] = "/tmp/gulfstream-crash-XXXXXX";
  const std::string directory = mkdtemp(name);
  Server server(directory + "/objects.db");
  ASSERT_GT(server.port(), 0);
  UvLoop loop;
  net::CaresResolver resolver(loop);
  net::TcpConnector connector(loop, resolver, nullptr);
  kube::ConnectionConfig config;
  config.server = *kube::parse_server_url(fmt::format("http://127.0.0.1:{}", server.port()));
  kube::HttpTransportOptions options;
  options.last_backoff = 100ms;
  size_t kills = 0;
  {
    kube::HttpTransport transport(loop, connector, config, options);
    Random random(std::random_device{}());
    Clients clients(loop, transport, random.below(1'000'000));
    TaskScope scope(loop);
    bool over = false;
    const auto run = [&](Duration time) {
      CallbackTimer timer(loop, [&] { over = true; });
      over = false;
      timer.arm_after(time);
      loop.run_until([&] { return over; });
    };
    loop.post([&] { clients.start(8, 3, 12, 4ms); });
    for (const MonoTime end = loop.now() + 8s; loop.now() < end && !testing::Test::HasFatalFailure(); ++kills) {
      run(random.between(Duration(5ms), Duration(250ms)));
      server.kill_now();
      run(random.between(Duration(0), Duration(30ms)));
      server.start();
    }
    clients.stop();
    loop.run_until([&] { return clients.writers_done(); });
    bool listed = false;
    loop.post([&] { scope.spawn(list(clients, listed)); });
    loop.run_until([&] { return listed; });
    run(300ms);  // what the watches still have to tell
    scope.cancel();
    clients.end();
    EXPECT_EQ(check(clients.history()), "");
    fmt::print("{} kills, {} operations, {} acknowledged writes, {} watches too old\n", kills, clients.history().operations.size(), clients.acknowledged(), clients.expired());
    EXPECT_GT(clients.acknowledged(), 200u);
    EXPECT_GT(kills, 10u);
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace gs::history
