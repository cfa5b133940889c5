#include "daemon/options.h"

namespace gs::daemon {
namespace {

// A command line as main gets it.
Command parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"gulfstream", "mcp"});
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}
std::string complaint(std::vector<std::string> arguments) {
  const Command command = parse(std::move(arguments));
  EXPECT_EQ(command.kind, Command::Kind::kMcp);
  const Status status = check_flags(command.mcp);
  return status ? "" : status.error().message;
}

TEST(FlagsTest, ExactlyOneSourceIsGiven) {
  EXPECT_EQ(complaint({"--config", "d"}), "");
  EXPECT_EQ(complaint({"--hub-kubeconfig=f", "--context", "c"}), "");
  EXPECT_TRUE(complaint({}).starts_with("there is no source of Controllers: give exactly one of"));
  EXPECT_TRUE(complaint({"--in-cluster", "--kubeconfig", "f"}).starts_with("there is more than one source of Controllers"));
  EXPECT_EQ(complaint({"--config", "d", "--context", "c"}), "--context: goes with --hub-kubeconfig or --kubeconfig");
}

TEST(FlagsTest, LeaderElectionFollowsTheSourceAndKubernetesRules) {
  EXPECT_TRUE(parse({"--hub-kubeconfig", "f"}).mcp.leader_elect());
  EXPECT_TRUE(parse({"--in-cluster"}).mcp.leader_elect());
  EXPECT_FALSE(parse({"--kubeconfig", "f"}).mcp.leader_elect());
  EXPECT_TRUE(parse({"--kubeconfig", "f", "--leader-elect"}).mcp.leader_elect());
  EXPECT_FALSE(parse({"--hub-kubeconfig", "f", "--leader-elect=false"}).mcp.leader_elect());
  EXPECT_NE(complaint({"--config", "d", "--leader-elect"}), "");
  EXPECT_EQ(complaint({"--in-cluster", "--leader-elect-lease-duration", "10s"}),
            "--leader-elect-lease-duration (10s) must be greater than --leader-elect-renew-deadline (10s)");
  EXPECT_EQ(complaint({"--in-cluster", "--leader-elect-retry-period", "9s"}),
            "--leader-elect-renew-deadline (10s) must be greater than 1.2 times --leader-elect-retry-period (9s)");
  EXPECT_EQ(complaint({"--in-cluster", "--leader-elect=false", "--leader-elect-retry-period", "9s"}), "");
}

TEST(FlagsTest, AReconcileTimeoutIsADurationThatTheProtocolCanCarry) {
  EXPECT_EQ(parse({"--config", "d"}).mcp.reconcile_timeout, std::chrono::minutes(2));
  EXPECT_EQ(parse({"--config", "d", "--reconcile-timeout", "1m30s"}).mcp.reconcile_timeout, std::chrono::seconds(90));
  EXPECT_EQ(parse({"--config", "d", "--max-concurrent-reconciles", "8"}).mcp.max_concurrent_reconciles, 8u);
  EXPECT_NE(parse({"--config", "d", "--max-concurrent-reconciles", "-1"}).exit_code, 0);
  for (const char* wrong : {"0s", "-1s", "999ms", "25h", "2"}) EXPECT_NE(parse({"--config", "d", "--reconcile-timeout", wrong}).exit_code, 0) << wrong;
}

TEST(FlagsTest, DenyRulesHangOnWhereAKubeconfigComesFrom) {
  const McpFlags unset = parse({"--hub-kubeconfig", "f"}).mcp;
  const auto refuses = [](const DenyRules& rules, const char* address) {
    return !net::DestinationFilter(rules.cidrs).check(*net::IpAddress::parse(address));
  };
  const DenyRules untrusted = deny_rules(unset, true).value();
  EXPECT_TRUE(untrusted.hub);
  for (const char* address : {"127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1"}) EXPECT_TRUE(refuses(untrusted, address)) << address;
  EXPECT_FALSE(refuses(untrusted, "10.0.0.1"));
  EXPECT_TRUE(deny_rules(unset, false)->cidrs.empty());
  for (const auto& empty : {std::vector<std::string>{"--hub-kubeconfig", "f", "--cluster-deny-cidrs="}, {"--hub-kubeconfig", "f", "--cluster-deny-cidrs", ""}}) {
    const DenyRules none = deny_rules(parse(empty).mcp, true).value();
    EXPECT_TRUE(none.cidrs.empty() && !none.hub);
  }
  const DenyRules mixed = deny_rules(parse({"--hub-kubeconfig", "f", "--cluster-deny-cidrs", "10.0.0.0/8, hub"}).mcp, true).value();
  EXPECT_TRUE(mixed.hub && refuses(mixed, "10.1.2.3") && !refuses(mixed, "127.0.0.1"));
  EXPECT_EQ(complaint({"--hub-kubeconfig", "f", "--cluster-deny-cidrs", "10.0.0.0/99"}), "--cluster-deny-cidrs: \"10.0.0.0/99\" has a bad prefix length");
}

TEST(FlagsTest, EventsGoInPlainTextToLoopbackOnlyAndNeverWithAToken) {
  const auto of = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"--kubeconfig", "f", "--listen", ":9443", "--webhook-url", "https://plane.example:9443"});
    return complaint(std::move(more));
  };
  EXPECT_EQ(of({"--events-sink", "https://sink.example/events", "--events-token-file", "t", "--events-ca-file", "c"}), "");
  EXPECT_EQ(of({"--events-sink", "http://127.0.0.1:8080/events"}), "");
  EXPECT_EQ(of({"--events-sink", "http://10.0.0.1:8080", "--allow-insecure-delegates"}), "");
  EXPECT_TRUE(of({"--events-sink", "http://10.0.0.1:8080"}).starts_with("--events-sink http://10.0.0.1:8080: http:// goes to loopback only"));
  EXPECT_TRUE(of({"--events-sink", "http://127.0.0.1:8080", "--allow-insecure-delegates", "--events-token-file", "t"}).starts_with("--events-token-file: goes with an https:// --events-sink"));
  EXPECT_TRUE(of({"--events-sink", "sink.example"}).starts_with("--events-sink: "));
  EXPECT_EQ(of({"--events-token-file", "t"}), "--events-token-file: goes with --events-sink");
  EXPECT_EQ(of({"--events-ca-file", "c"}), "--events-ca-file: goes with --events-sink");
  EXPECT_EQ(complaint({"--kubeconfig", "f", "--events-sink", "https://sink.example"}), "--events-sink: goes with --listen, without which no webhooks are served");
}

TEST(FlagsTest, TheNamespaceIsTheFlagsOrThePods) {
  ::setenv("POD_NAMESPACE", "pods", 1);
  EXPECT_EQ(own_namespace(parse({"--in-cluster"}).mcp), "pods");
  EXPECT_EQ(own_namespace(parse({"--in-cluster", "--namespace", "flags"}).mcp), "flags");
  ::unsetenv("POD_NAMESPACE");
  EXPECT_EQ(own_namespace(parse({"--in-cluster"}).mcp), "gulfstream");
}

TEST(FlagsTest, AKubeconfigThatIsNotThereNamesItsFlag) {
  const auto hub = source_connection(parse({"--hub-kubeconfig", "/nonexistent"}).mcp);
  ASSERT_FALSE(hub);
  EXPECT_TRUE(hub.error().message.starts_with("--hub-kubeconfig: cannot read /nonexistent")) << hub.error().message;
}

}  // namespace
}  // namespace gs::daemon
