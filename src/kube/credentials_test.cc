#include "kube/credentials.h"

#include <map>

#include "kube/exec_plugin.h"
#include "runtime/sim_loop.h"

namespace gs::kube {
namespace {

using namespace std::chrono_literals;

template <class T>
T wait(SimWorld& world, Task<T> task) {
  bool done = false;
  if (!task.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done)) {
    EXPECT_TRUE(world.run_until([&] { return done; }, world.now() + 1h));
  }
  return task.take_result();
}

class FileCredentialsTest : public testing::Test {
 protected:
  FileCredentialsTest() : world(2), loop(world.add_loop()) {
    config.server = parse_server_url("https://h").value();
    config.token_file = "/token";
  }
  void make() {
    source = std::make_unique<FileCredentials>(loop, config, [this](const std::string& path) -> Result<std::string> {
      ++reads;
      const auto found = disk.find(path);
      if (found == disk.end()) return fail(Code::kNotFound, "cannot read {}: No such file or directory", path);
      return found->second;
    });
  }
  Result<CredentialPtr> get() { return wait(world, source->get(loop.now() + 10s)); }
  std::string authorization() {
    auto got = get();
    return got ? (*got)->authorization : got.error().message;
  }

  SimWorld world;
  SimLoop& loop;
  ConnectionConfig config;
  std::map<std::string, std::string> disk{{"/token", "one\n"}};
  int reads = 0;
  std::unique_ptr<FileCredentials> source;
};

TEST_F(FileCredentialsTest, ATokenFileIsReadAgainEveryMinuteLessTenSeconds) {
  make();
  EXPECT_EQ(authorization(), "Bearer one");
  const uint64_t first = get().value()->generation;
  disk["/token"] = "two";
  world.run_for(49s);
  EXPECT_EQ(authorization(), "Bearer one");
  EXPECT_EQ(reads, 1);
  world.run_for(2s);
  EXPECT_EQ(source->current(), nullptr);
  EXPECT_EQ(authorization(), "Bearer two");
  EXPECT_EQ(get().value()->generation, first + 1);
  EXPECT_EQ(get().value()->identity, 1u) << "a token is not another connection";
}

TEST_F(FileCredentialsTest, A401ReadsAtOnceButNotForEachRequest) {
  make();
  EXPECT_EQ(authorization(), "Bearer one");
  disk["/token"] = "two";
  world.run_for(5s);
  source->invalidate(get().value()->generation);
  EXPECT_EQ(authorization(), "Bearer two");
  for (int i = 0; i < 100; ++i) {
    source->invalidate(get().value()->generation);
    EXPECT_EQ(authorization(), "Bearer two");
    world.run_for(10ms);
  }
  EXPECT_LE(reads, 4) << "in one second";
}

TEST_F(FileCredentialsTest, AFileThatIsGoneOrEmptyForAWhileLeavesTheLastTokenInUse) {
  make();
  EXPECT_EQ(authorization(), "Bearer one");
  for (const char* content : {"", " \n", "two words"}) {
    disk["/token"] = content;
    world.run_for(1min);
    EXPECT_EQ(authorization(), "Bearer one");
  }
  disk.erase("/token");
  world.run_for(1min);
  EXPECT_EQ(authorization(), "Bearer one");
  disk["/token"] = "two";
  world.run_for(2s);
  EXPECT_EQ(authorization(), "Bearer two") << "looked at again soon";
}

TEST_F(FileCredentialsTest, WithoutAnyTokenTheReasonIsGivenAndItHeals) {
  disk.clear();
  make();
  EXPECT_EQ(authorization(), "cannot read /token: No such file or directory");
  disk["/token"] = "";
  world.run_for(2s);
  EXPECT_EQ(authorization(), "the token file /token is empty");
  disk["/token"] = "one";
  world.run_for(2s);
  EXPECT_EQ(authorization(), "Bearer one");
}

TEST_F(FileCredentialsTest, TheTokenOfTheKubeconfigServesUntilTheFileWasRead) {
  config.token = "inline";
  disk.clear();
  make();
  EXPECT_EQ(authorization(), "Bearer inline");
  disk["/token"] = "file";
  world.run_for(2s);
  EXPECT_EQ(authorization(), "Bearer file");
}

TEST_F(FileCredentialsTest, CertificateFilesThatChangeAreAnotherIdentity) {
  config.token_file.clear();
  config.client_certificate_file = "/crt";
  config.client_key_file = "/key";
  config.client_certificate_pem = disk["/crt"] = "c1";
  config.client_key_pem = disk["/key"] = "k1";
  make();
  EXPECT_EQ(get().value()->identity, 1u);
  disk["/crt"] = "c2";
  disk["/key"] = "k2";
  world.run_for(1min);
  const CredentialPtr renewed = get().value();
  EXPECT_EQ(renewed->certificate_pem, "c2");
  EXPECT_EQ(renewed->key_pem, "k2");
  EXPECT_EQ(renewed->identity, 2u);
  disk.erase("/key");
  world.run_for(1min);
  EXPECT_EQ(get().value()->key_pem, "k2");
}

TEST_F(FileCredentialsTest, ConcurrentRequestsReadOnce) {
  make();
  auto first = source->get(kNoDeadline);
  auto second = source->get(kNoDeadline);
  int done = 0;
  const auto count = [](void* n) { ++*static_cast<int*>(n); };
  if (first.start(count, &done)) ++done;
  if (second.start(count, &done)) ++done;
  world.run_for(1s);
  EXPECT_EQ(done, 2);
  EXPECT_EQ(reads, 1);
}

// Answers of a plugin, one a run; the last for good.
class FakeProcesses final : public ProcessRunner {
 public:
  explicit FakeProcesses(Loop& loop) : loop_(loop) {}
  Task<Result<ProcessResult>> run(ProcessSpec spec, MonoTime) override {
    ++runs;
    last = std::move(spec);
    co_await sleep_for(loop_, 200ms);
    co_return answer();
  }
  std::function<Result<ProcessResult>()> answer;
  ProcessSpec last;
  int runs = 0;

 private:
  Loop& loop_;
};

class ExecCredentialsTest : public testing::Test {
 protected:
  ExecCredentialsTest() : world(2), loop(world.add_loop()), processes(loop) {
    config.server = parse_server_url("https://h:6443").value();
    config.has_exec = true;
    config.exec.api_version = "client.authentication.k8s.io/v1";
    config.exec.command = "aws";
    config.exec.args = {"eks", "get-token"};
    config.exec.env = {{"AWS_PROFILE", "prod"}};
    config.exec.install_hint = "see aws.example";
    make();
    answer_token(15min);
  }
  void make() { source = std::make_unique<ExecCredentials>(loop, config, processes); }
  // A new token at each run, good for so long; zero: no expiry.
  void answer_token(Duration life) {
    processes.answer = [this, life] { return said(0, credential(life), ""); };
  }
  std::string credential(Duration life) {
    std::string status = fmt::format(R"("token":"t{}")", processes.runs);
    if (life != Duration::zero()) status += fmt::format(R"(,"expirationTimestamp":"{}")", format_rfc3339(world.wall_now() + life));
    return fmt::format(R"({{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{{{}}}}})", status);
  }
  static Result<ProcessResult> said(int code, const std::string& out, const std::string& err) {
    ProcessResult result;
    result.exit_code = code;
    result.output = out;
    result.error_tail = err;
    return result;
  }
  Result<CredentialPtr> get(Duration limit = 10s) { return wait(world, source->get(loop.now() + limit)); }
  std::string authorization() {
    auto got = get();
    return got ? (*got)->authorization : got.error().message;
  }

  SimWorld world;
  SimLoop& loop;
  FakeProcesses processes;
  ConnectionConfig config;
  std::unique_ptr<ExecCredentials> source;
};

TEST_F(ExecCredentialsTest, ThePluginIsToldWhatClientGoTellsIt) {
  config.exec.provide_cluster_info = true;
  config.exec.cluster_config = R"({"audience":"x"})";
  config.ca_pem = "pem";
  config.server_name = "name";
  make();
  EXPECT_EQ(authorization(), "Bearer t1");
  EXPECT_EQ(processes.last.command, "aws");
  EXPECT_EQ(processes.last.args, (std::vector<std::string>{"eks", "get-token"}));
  ASSERT_EQ(processes.last.env.size(), 2u);
  EXPECT_EQ(processes.last.env[0], (std::pair<std::string, std::string>("AWS_PROFILE", "prod")));
  EXPECT_EQ(processes.last.env[1].first, "KUBERNETES_EXEC_INFO");
  EXPECT_EQ(processes.last.env[1].second,
            R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false,)"
            R"("cluster":{"server":"https://h:6443","tls-server-name":"name","certificate-authority-data":"cGVt","config":{"audience":"x"}}}})");
}

TEST_F(ExecCredentialsTest, ManyWhoWaitStartOneProcess) {
  std::vector<Task<Result<CredentialPtr>>> tasks;
  int done = 0;
  for (int i = 0; i < 50; ++i) tasks.push_back(source->get(kNoDeadline));
  for (auto& task : tasks) (void)task.start([](void* n) { ++*static_cast<int*>(n); }, &done);
  world.run_for(1s);
  EXPECT_EQ(done, 50);
  EXPECT_EQ(processes.runs, 1);
}

TEST_F(ExecCredentialsTest, ACredentialIsRenewedAheadOfItsEndWithoutAnybodyWaiting) {
  EXPECT_EQ(authorization(), "Bearer t1");
  world.run_for(11min);
  EXPECT_EQ(processes.runs, 1) << "before three quarters of its life";
  world.run_for(2min + 40s);
  ASSERT_NE(source->current(), nullptr) << "still good";
  EXPECT_EQ(source->current()->authorization, "Bearer t1");
  world.run_for(1s);
  EXPECT_EQ(processes.runs, 2);
  EXPECT_EQ(source->current()->authorization, "Bearer t2");
  EXPECT_EQ(source->current()->generation, 2u);
}

TEST_F(ExecCredentialsTest, WithoutRequestsNothingRuns) {
  EXPECT_EQ(authorization(), "Bearer t1");
  world.run_for(5h);
  EXPECT_EQ(processes.runs, 1);
  EXPECT_EQ(source->current(), nullptr) << "expired";
  EXPECT_EQ(authorization(), "Bearer t2");
}

TEST_F(ExecCredentialsTest, ACredentialWithoutAnEndHoldsUntilA401) {
  answer_token(Duration::zero());
  make();
  EXPECT_EQ(authorization(), "Bearer t1");
  world.run_for(24h);
  EXPECT_EQ(authorization(), "Bearer t1");
  source->invalidate(1);
  EXPECT_EQ(source->current(), nullptr);
  EXPECT_EQ(authorization(), "Bearer t2");
  source->invalidate(1);
  EXPECT_EQ(authorization(), "Bearer t2") << "a late 401 to the old one changes nothing";
}

TEST_F(ExecCredentialsTest, AFailingPluginBacksOffAndSaysWhy) {
  processes.answer = [] { return said(255, "", "Unable to locate\ncredentials. You can configure them\n"); };
  for (int i = 0; i < 600; ++i) {
    EXPECT_EQ(authorization(), "credential plugin aws failed with exit code 255: Unable to locate credentials. You can configure them");
    world.run_for(1s);
  }
  EXPECT_GE(processes.runs, 5);
  EXPECT_LE(processes.runs, 12) << "in ten minutes";
  answer_token(15min);
  world.run_for(8min);
  EXPECT_TRUE(authorization().starts_with("Bearer t")) << "heals";
}

TEST_F(ExecCredentialsTest, APluginWhoseTokensAreRefusedAtOnceBacksOff) {
  for (int i = 0; i < 600; ++i) {
    const auto got = get();
    if (got) source->invalidate((*got)->generation);
    world.run_for(1s);
  }
  EXPECT_LE(processes.runs, 15) << "in ten minutes";
}

TEST_F(ExecCredentialsTest, ACertificateIsAnotherIdentity) {
  int run = 0;
  processes.answer = [&] {
    ++run;
    return said(0, fmt::format(R"({{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",)"
                               R"("status":{{"clientCertificateData":"c{}","clientKeyData":"k{}"}}}})", run, run), "");
  };
  EXPECT_EQ(get().value()->certificate_pem, "c1");
  const uint64_t first = get().value()->identity;
  source->invalidate(1);
  world.run_for(10s);
  EXPECT_EQ(get().value()->certificate_pem, "c2");
  EXPECT_NE(get().value()->identity, first);
}

TEST_F(ExecCredentialsTest, WhatIsWrongWithAPluginIsSaidInWordsWithoutItsOutput) {
  const std::string v1 = "client.authentication.k8s.io/v1";
  const auto with = [&](const std::string& status) {
    return said(0, R"({"kind":"ExecCredential","apiVersion":")" + v1 + R"(","status":)" + status + "}", "");
  };
  const std::pair<Result<ProcessResult>, const char*> rows[] = {
      {fail(Code::kNotFound, "no such file"), "credential plugin aws is not installed, or not in PATH; see aws.example"},
      {fail(Code::kDeadlineExceeded, "did not finish in time and was killed"), "did not finish in time"},
      {said(0, "hunter2", ""), "credential plugin aws: "},
      {said(0, R"({"kind":"Secret","token":"hunter2"})", ""), "credential plugin aws: "},
      {said(0, R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"hunter2"}})", ""),
       "set users[].user.exec.apiVersion to that"},
      {with("null"), "has no status"},
      {with("{}"), "neither a token nor a client certificate"},
      {with(R"({"clientKeyData":"hunter2"})"), "only one of clientCertificateData and clientKeyData"},
      {with(R"({"token":"hunter2 hunter2"})"), "white space"},
      {with(R"({"token":"hunter2","expirationTimestamp":"tomorrow"})"), "not in RFC 3339"},
      {with(R"({"token":"hunter2","expirationTimestamp":"2001-01-01T00:00:00Z"})"), "expired at 2001-01-01T00:00:00Z"},
  };
  for (const auto& [result, message] : rows) {
    make();
    processes.answer = [&result = result] { return result; };
    const auto got = get();
    ASSERT_FALSE(got) << message;
    EXPECT_EQ(got.error().code, Code::kUnauthorized);
    EXPECT_NE(got.error().message.find(message), std::string::npos) << got.error().message;
    EXPECT_EQ(got.error().message.find("hunter2"), std::string::npos) << got.error().message;
  }
}

TEST_F(ExecCredentialsTest, ACallersDeadlineIsKeptAndTheRunGoesOn) {
  const auto got = get(50ms);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kDeadlineExceeded);
  world.run_for(1s);
  EXPECT_EQ(authorization(), "Bearer t1");
  EXPECT_EQ(processes.runs, 1);
}

TEST(StaticCredentials, AreWhatTheKubeconfigSays) {
  SimWorld world(1);
  SimLoop& loop = world.add_loop();
  ConnectionConfig config;
  config.basic_user = "u";
  config.basic_password = "p";
  const auto basic = make_credentials(loop, config, nullptr);
  ASSERT_TRUE(basic);
  EXPECT_EQ((*basic)->current()->authorization, "Basic dTpw");
  config.has_exec = true;
  EXPECT_EQ(make_credentials(loop, config, nullptr).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace gs::kube
