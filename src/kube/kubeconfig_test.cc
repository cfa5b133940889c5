#include "kube/kubeconfig.h"

#include <cstdlib>

#include <map>

namespace gs::kube {
namespace {

using File = KubeconfigFile;

std::string config(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
         "clusters: [{name: k, cluster: {" + cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n";
}

Result<std::string> content_of(const std::string& path) { return "content of " + path; }

Result<ConnectionConfig> load(const std::string& text, const KubeconfigPolicy& policy = {}) {
  return load_kubeconfig(text, "/etc/gs", "", policy, content_of);
}

const std::string kServer = "server: 'https://h'";

TEST(Kubeconfig, ReadsServerAuthorityAndCredentials) {
  const auto c = load(config("server: 'https://h:6443/prefix/', certificate-authority: ca.pem, tls-server-name: name", "token: t, tokenFile: tok, as: a, as-groups: [g]"));
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->server.host, "h");
  EXPECT_EQ(c->server.port, 6443);
  EXPECT_EQ(c->server.path_prefix, "/prefix");
  EXPECT_EQ(c->server.authority(), "h:6443");
  EXPECT_EQ(c->ca_pem, "content of /etc/gs/ca.pem");
  EXPECT_EQ(c->ca_file, "/etc/gs/ca.pem");
  EXPECT_EQ(c->server_name, "name");
  EXPECT_EQ(c->token_file, "/etc/gs/tok");
  EXPECT_EQ(c->impersonation.size(), 2u);
}

TEST(Kubeconfig, MayBeJson) {
  const auto c = load(R"({"current-context":"c","contexts":[{"name":"c","context":{"cluster":"k"}}],"clusters":[{"name":"k","cluster":{"server":"https://h"}}]})");
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->server.port, 443);
}

TEST(Kubeconfig, InlineDataWinsOverAFile) {
  const auto c = load(config(kServer + ", certificate-authority: ca.pem, certificate-authority-data: aGVsbG8=", "token: t"));
  EXPECT_EQ(c->ca_pem, "hello");
  EXPECT_EQ(c->ca_file, "");
}

TEST(Kubeconfig, ReadsImpersonationAsHeaders) {
  const auto c = load(config(kServer, "as: jane, as-uid: '7', as-groups: [a, b], as-user-extra: {Example.org/Scope: [x, z]}"));
  ASSERT_TRUE(c) << c.error().message;
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"impersonate-user", "jane"}, {"impersonate-uid", "7"},
      {"impersonate-group", "a"}, {"impersonate-group", "b"},
      {"impersonate-extra-example.org%2Fscope", "x"}, {"impersonate-extra-example.org%2Fscope", "z"}};
  EXPECT_EQ(c->impersonation, expected);
}

TEST(Kubeconfig, ReadsAnExecPlugin) {
  const auto c = load(config(kServer + ", extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: x}}]",
                             "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/plugin, args: [get, token], "
                             "env: [{name: A, value: b}], installHint: \"install\\e[31m it\", interactiveMode: IfAvailable, provideClusterInfo: true}"));
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_TRUE(c->has_exec);
  EXPECT_EQ(c->exec.command, "/etc/gs/./bin/plugin");
  EXPECT_EQ(c->exec.args, (std::vector<std::string>{"get", "token"}));
  EXPECT_EQ(c->exec.env.front().second, "b");
  EXPECT_EQ(c->exec.install_hint, "install[31m it");
  EXPECT_TRUE(c->exec.provide_cluster_info);
  EXPECT_EQ(c->exec.cluster_config, R"({"audience":"x"})");
  const auto bare = load(config(kServer, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws}"));
  EXPECT_EQ(bare->exec.command, "aws");
}

TEST(Kubeconfig, ATokenWinsOverAPlugin) {
  const auto c = load(config(kServer, "token: t, exec: {apiVersion: client.authentication.k8s.io/v1, command: x}"));
  EXPECT_FALSE(c->has_exec);
}

TEST(Kubeconfig, SendsNoCredentialOverPlainHttp) {
  const auto c = load(config("server: 'http://localhost:8001'", "token: t"));
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->server.port, 8001);
  EXPECT_EQ(c->token, "");
}

struct Row {
  std::string cluster, user, error;
};

TEST(Kubeconfig, OneFromASecretMustBeSelfContained) {
  const std::string exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: x}";
  const Row rows[] = {
      {kServer, exec, "users[0].user.exec: is not allowed"},
      {kServer, "token: t, " + exec, "users[0].user.exec: is not allowed"},
      {kServer, "exec: {}", "users[0].user.exec: is not allowed"},
      {kServer, "auth-provider: {name: gcp}", "users[0].user.auth-provider: is not allowed"},
      {kServer, "tokenFile: /etc/passwd", "users[0].user.tokenFile: is not allowed"},
      {kServer, "token: t, tokenFile: relative", "users[0].user.tokenFile: is not allowed"},
      {kServer, "client-certificate: /a, client-key: /b", "users[0].user.client-certificate: is not allowed"},
      {kServer, "client-certificate: /a, client-certificate-data: YQ==, client-key-data: YQ==", "users[0].user.client-certificate: is not allowed"},
      {kServer, "client-certificate-data: YQ==, client-key: /b", "users[0].user.client-key: is not allowed"},
      {kServer + ", certificate-authority: /ca", "token: t", "clusters[0].cluster.certificate-authority: is not allowed"},
      {kServer + ", certificate-authority: /ca, certificate-authority-data: YQ==", "token: t", "clusters[0].cluster.certificate-authority: is not allowed"},
      {kServer + ", insecure-skip-tls-verify: true", "token: t", "clusters[0].cluster.insecure-skip-tls-verify: is not allowed"},
      {kServer + ", proxy-url: 'http://p'", "token: t", "clusters[0].cluster.proxy-url: is not allowed"},
      {"server: 'http://h'", "token: t", "clusters[0].cluster.server: must be https"},
  };
  const FileReader never = [](const std::string& path) -> Result<std::string> {
    ADD_FAILURE() << "read " << path;
    return std::string("x");
  };
  for (const Row& row : rows) {
    const auto c = load_kubeconfig(config(row.cluster, row.user), "/etc/gs", "", KubeconfigPolicy::untrusted(), never);
    ASSERT_FALSE(c) << row.error;
    EXPECT_NE(c.error().message.find(row.error), std::string::npos) << c.error().message;
  }
  EXPECT_TRUE(load(config(kServer + ", certificate-authority-data: YQ==", "token: t"), KubeconfigPolicy::untrusted()));
}

TEST(Kubeconfig, OneFromASecretMayHaveWhatAFlagAllows) {
  KubeconfigPolicy policy = KubeconfigPolicy::untrusted();
  policy.allow_insecure_skip_tls_verify = true;
  EXPECT_TRUE(load(config(kServer + ", insecure-skip-tls-verify: true", "token: t"), policy));
  EXPECT_FALSE(load(config(kServer + ", proxy-url: 'http://p'", "token: t"), policy));
  policy.allow_proxy_url = true;
  EXPECT_TRUE(load(config(kServer + ", proxy-url: 'http://p'", "token: t"), policy));
}

TEST(Kubeconfig, ErrorsNameTheFieldAndTheRemedy) {
  const std::string v1 = "apiVersion: client.authentication.k8s.io/v1, command: x";
  const Row rows[] = {
      {"server: ''", "token: t", "clusters[0].cluster.server: is required"},
      {"server: 'ftp://h'", "token: t", "clusters[0].cluster.server: \"ftp://h\" is not an https:// URL"},
      {"server: 'https://h:99999'", "token: t", "port"},
      {"server: 'https://u:p@h'", "token: t", "user information"},
      {kServer + ", certificate-authority-data: '!!'", "token: t", "certificate-authority-data: is not base64"},
      {kServer + ", proxy-url: 'socks5://p'", "token: t", "clusters[0].cluster.proxy-url: SOCKS proxies are not supported yet"},
      {kServer + ", proxy-url: 'ftp://p'", "token: t", "clusters[0].cluster.proxy-url: is not an http"},
      {kServer + ", insecure-skip-tls-verify: 'yes'", "token: t", "insecure-skip-tls-verify: must be true or false"},
      {kServer + ", insecure-skip-tls-verify: true, certificate-authority-data: YQ==", "token: t", "exclude each other"},
      {kServer, "client-certificate-data: YQ==", "go together"},
      {kServer, "token: 12", "users[0].user.token: must be a string, not a number; put it into quotes"},
      {kServer, "token: \"a\\nb\"", "users[0].user.token: has white space"},
      {kServer, "password: x", "users[0].user.username: is required"},
      {kServer, "username: 'a:b', password: x", "users[0].user.username: must not have a colon"},
      {kServer, "username: a, password: x, token: t", "only one is allowed"},
      {kServer, "auth-provider: {name: gcp}", "users[0].user.auth-provider: not supported (removed from client-go 1.26); use exec"},
      {kServer, "exec: 5", "users[0].user.exec: must be an object"},
      {kServer, "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}", "is not client.authentication.k8s.io/v1"},
      {kServer, "exec: {apiVersion: client.authentication.k8s.io/v1}", "users[0].user.exec.command: is required"},
      {kServer, "exec: {" + v1 + ", interactiveMode: Always}", "users[0].user.exec.interactiveMode: Always cannot work"},
      {kServer, "exec: {" + v1 + ", interactiveMode: Perhaps}", "interactiveMode: \"Perhaps\""},
      {kServer, "exec: {" + v1 + ", args: [1]}", "users[0].user.exec.args[0]: must be a string"},
      {kServer, "exec: {" + v1 + ", args: x}", "users[0].user.exec.args: must be a list"},
      {kServer, "exec: {" + v1 + ", env: [{value: x}]}", "users[0].user.exec.env[0].name: is required"},
      {kServer, "as-groups: [g]", "users[0].user.as: is required"},
      {kServer, "as: x, as-user-extra: {a: b}", "users[0].user.as-user-extra.a: must be a list"},
  };
  for (const Row& row : rows) {
    const auto c = load(config(row.cluster, row.user));
    ASSERT_FALSE(c) << row.error;
    EXPECT_NE(c.error().message.find(row.error), std::string::npos) << c.error().message;
  }
}

TEST(Kubeconfig, ErrorsOfTheWholeFile) {
  const std::pair<const char*, const char*> rows[] = {
      {"a: [", "line"},
      {"apiVersion: v1", "current-context: is not set"},
      {"", "current-context: is not set"},
      {"- 1", "not a kubeconfig"},
      {"kind: Secret", "kind: is \"Secret\", not Config"},
      {"current-context: c", "contexts: there is none of the name \"c\""},
      {"current-context: c\ncontexts: {}", "contexts: must be a list"},
      {"current-context: c\ncontexts: [{name: c}]", "contexts[0].context: is required"},
      {"current-context: c\ncontexts: [{name: c, context: {user: u}}]", "contexts[0].context.cluster: is required"},
      {"current-context: c\ncontexts: [{name: c, context: {cluster: k}}]", "clusters: there is none of the name \"k\""},
      {"current-context: c\ncontexts: [{name: c, context: {}}, {name: c, context: {}}]", "contexts[1].name: there are two"},
  };
  for (const auto& [text, error] : rows) {
    const auto c = load(text);
    ASSERT_FALSE(c) << error;
    EXPECT_NE(c.error().message.find(error), std::string::npos) << c.error().message;
  }
}

TEST(Kubeconfig, AFileThatIsMissingIsNamedWithItsField) {
  const FileReader none = [](const std::string& path) -> Result<std::string> { return fail(Code::kNotFound, "cannot read {}", path); };
  const std::vector<File> files{File("/home/me/config", "/home/me", config(kServer + ", certificate-authority: ca.pem", "token: t"))};
  const auto c = load_kubeconfig(files, "", {}, none);
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().message, "/home/me/config: clusters[0].cluster.certificate-authority: cannot read /home/me/ca.pem");
}

TEST(Kubeconfig, SeveralFilesAreMergedAndTheFirstWins) {
  std::vector<File> files;
  files.emplace_back("/a/config", "/a", "clusters: [{name: k, cluster: {server: 'https://first'}}]");
  files.emplace_back("/b/config", "/b", config("server: 'https://second', tls-server-name: x, certificate-authority: ca", "tokenFile: tok"));
  files.emplace_back("/c/config", "/c", "current-context: other\nusers: [{name: u, user: {token: no}}]");
  const auto c = load_kubeconfig(files, "", {}, content_of);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->server.host, "first");
  EXPECT_EQ(c->server_name, "") << "an entry is taken whole";
  EXPECT_EQ(c->token_file, "/b/tok") << "relative to the file that says it";
  EXPECT_NE(load_kubeconfig(files, "other", {}, content_of).error().message.find("none of the name \"other\""), std::string::npos);
}

TEST(Kubeconfig, FilesOfAListThatAreMissingAreLeftOut) {
  const std::map<std::string, std::string> disk = {{"/a/config", "x"}, {"config", "y"}};
  const FileReader read = [&](const std::string& path) -> Result<std::string> {
    const auto found = disk.find(path);
    if (found == disk.end()) return fail(Code::kNotFound, "cannot read {}", path);
    return found->second;
  };
  const auto files = read_kubeconfig_list("/none:/a/config::config", read);
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ((*files)[0].directory, "/a");
  EXPECT_EQ((*files)[1].directory, ".");
  EXPECT_EQ(read_kubeconfig_list("/none", read).error().message, "cannot read /none");
  EXPECT_FALSE(read_kubeconfig_list("", read));
}

TEST(ServerUrl, IsTakenApart) {
  const auto v6 = parse_server_url("https://[fd00::1]:6443");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "fd00::1");
  EXPECT_EQ(v6->authority(), "[fd00::1]:6443");
  EXPECT_EQ(parse_server_url("https://h/k8s/clusters/c-1/")->path_prefix, "/k8s/clusters/c-1");
  EXPECT_EQ(parse_server_url("http://h")->port, 80);
  for (const char* bad : {"", "h", "h:443", "https://", "https://:443", "https://h:0", "https://h:", "https://h:x", "https://fd00::1",
                          "https://[fd00::1", "https://[fd00::1]x", "https://h?x", "https://h/#f", "https://h/a b", "https://h\n",
                          "https://a\r\nx: y/", "https://u@h", "unix:///run/x"}) {
    EXPECT_FALSE(parse_server_url(bad)) << bad;
  }
  EXPECT_EQ(parse_server_url("https://user:secret@h").error().message.find("secret"), std::string::npos);
}

TEST(InClusterConfig, IsTheServiceAccount) {
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  const auto c = in_cluster_config(content_of);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->server.host, "fd00::1");
  EXPECT_EQ(c->token_file, "/var/run/secrets/kubernetes.io/serviceaccount/token");
  EXPECT_EQ(c->ca_file, "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
  ::unsetenv("KUBERNETES_SERVICE_HOST");
  EXPECT_FALSE(in_cluster_config(content_of));
}

}  // namespace
}  // namespace gs::kube
