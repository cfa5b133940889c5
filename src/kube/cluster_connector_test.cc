// Real TLS over streams in memory, in virtual time set to today (certificates are made now).
#include "kube/cluster_connector.h"

#include <openssl/ssl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runtime/sim_loop.h"
#include "test/support/certs.h"
#include "test/support/fake_api.h"
#include "test/support/pipe_connector.h"

namespace gs::kube {
namespace {

using namespace std::chrono_literals;
using test::CannedAnswer;
using test::FakeApi;
using test::KeyPair;

class ClusterConnectorTest : public testing::Test {
 protected:
  ClusterConnectorTest() : world(5), loop(world.add_loop()), api(loop), dialler(loop), deps(loop, tls, dialler) {
    world.jump_wall_clock(std::chrono::system_clock::now() - world.wall_now());
    server_options.alpn = {"h2", "http/1.1"};
    server_options.client_trust = tls.trust(ca.cert_pem).value();
    server_options.client_certificate = net::ClientCertificate::kRequested;
    serve(test::make_server_cert(ca, {"api.example"}));
    dialler.acceptor = &secure;
    config.server = parse_server_url("https://api.example:6443").value();
    config.ca_pem = ca.cert_pem;
    directory = std::filesystem::temp_directory_path() / ("gs-connector-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory);
  }
  ~ClusterConnectorTest() override { std::filesystem::remove_all(directory); }

  void serve(const KeyPair& pair) {
    server_options.identity = tls.identity(pair.cert_pem, pair.key_pem).value();
    secure.set_options(server_options);
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory / name) << text;
    return directory / name;
  }
  Status make() {
    GS_TRY(transport, make_transport(deps, config, nullptr, HttpTransportOptions()));
    return ok();
  }
  template <class T>
  T wait(Task<T> task) {
    bool done = false;
    if (!task.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done)) {
      EXPECT_TRUE(world.run_until([&] { return done; }, world.now() + 1h));
    }
    return task.take_result();
  }
  // "200", or the error in words.
  std::string get(const std::string& target = "/version") {
    const auto answer = wait(transport->send(Request("GET", target)));
    return answer ? std::to_string(answer->status) : answer.error().to_string();
  }

  SimWorld world;
  SimLoop& loop;
  FakeApi api;
  test::PipeConnector dialler;
  net::TlsContext tls;
  ConnectorDeps deps;
  KeyPair ca = test::make_ca("first authority");
  KeyPair other_ca = test::make_ca("second authority");
  net::TlsServerOptions server_options;
  net::TlsAcceptor secure{loop, tls, server_options, api.acceptor()};
  ConnectionConfig config;
  std::unique_ptr<HttpTransport> transport;
  std::filesystem::path directory;
};

TEST_F(ClusterConnectorTest, SpeaksBothVersionsOfTlsAndBothOfHttp) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const std::vector<std::string>& alpn : {std::vector<std::string>{"h2", "http/1.1"}, {"http/1.1"}, {}}) {
      SSL_CTX_set_max_proto_version(tls.get(), version);
      server_options.alpn = alpn;
      secure.set_options(server_options);
      ASSERT_TRUE(make());
      EXPECT_EQ(get(), "200") << version << (alpn.empty() ? "no ALPN" : alpn[0]);
    }
  }
}

TEST_F(ClusterConnectorTest, VerifiesTheNameOfTheServerOrTheOneItIsTold) {
  serve(test::make_server_cert(ca, {"internal.example"}));
  ASSERT_TRUE(make());
  EXPECT_NE(get().find("certificate is valid for internal.example, not api.example"), std::string::npos) << get();
  config.server_name = "internal.example";
  ASSERT_TRUE(make());
  EXPECT_EQ(get(), "200");
  serve(test::make_server_cert(other_ca, {"internal.example"}));
  ASSERT_TRUE(make());
  EXPECT_EQ(get(), "Unauthorized: api.example:6443: certificate signed by unknown authority");
  config.ca_pem.clear();
  config.insecure_skip_tls_verify = true;
  ASSERT_TRUE(make());
  EXPECT_EQ(get(), "200");
}

TEST_F(ClusterConnectorTest, WhatCannotBeReadNamesItsField) {
  config.ca_pem = "nonsense";
  auto bad = make();
  ASSERT_FALSE(bad);
  EXPECT_TRUE(bad.error().message.starts_with("certificate-authority-data: ")) << bad.error().message;
  config.ca_pem = ca.cert_pem;
  config.client_certificate_pem = "nonsense";
  bad = make();
  ASSERT_FALSE(bad);
  EXPECT_TRUE(bad.error().message.starts_with("client certificate: ")) << bad.error().message;
  config.client_certificate_pem.clear();
  config.proxy_url = "socks5://proxy:1080";
  bad = make();
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kUnsupported);
  EXPECT_NE(bad.error().message.find("not supported yet"), std::string::npos) << bad.error().message;
  EXPECT_TRUE(bad.error().message.starts_with("proxy-url: ")) << bad.error().message;
}

TEST_F(ClusterConnectorTest, AnAuthorityFileIsFollowedThroughARotationWithoutCuttingAWatch) {
  config.ca_file = write("ca.pem", ca.cert_pem);
  ASSERT_TRUE(make());
  api.script = [](const net::HttpRequest& r) {
    CannedAnswer answer(200, "{}");
    answer.hold = r.target == "/watch";
    return answer;
  };
  Request request("GET", "/watch");
  request.lane = Lane::kWatch;
  const auto watch = wait(transport->open(request));
  ASSERT_TRUE(watch) << watch.error().message;
  EXPECT_EQ(wait((*watch)->read(kNoDeadline)), "{}");
  // Old and new are trusted together before the server switches.
  write("ca.pem", ca.cert_pem + other_ca.cert_pem);
  world.run_for(70s);
  serve(test::make_server_cert(other_ca, {"api.example"}));
  EXPECT_EQ(get(), "200");
  write("ca.pem", other_ca.cert_pem);
  world.run_for(70s);
  EXPECT_EQ(get(), "200");
  serve(test::make_server_cert(ca, {"api.example"}));
  world.run_for(70s);
  EXPECT_NE(get().find("unknown authority"), std::string::npos) << "the old one is not trusted any more";
  auto still_open = (*watch)->read(loop.now() + 1s);
  EXPECT_EQ(wait(std::move(still_open)).error().code, Code::kDeadlineExceeded) << "the watch was not cut";
}

TEST_F(ClusterConnectorTest, AnAuthorityFileThatIsBrokenForAWhileLeavesTheLastInUse) {
  config.ca_file = write("ca.pem", ca.cert_pem);
  ASSERT_TRUE(make());
  for (const char* content : {"", "nonsense"}) {
    write("ca.pem", content);
    world.run_for(70s);
    EXPECT_EQ(get(), "200");
  }
  std::filesystem::remove(directory / "ca.pem");
  world.run_for(70s);
  EXPECT_EQ(get(), "200");
}

TEST_F(ClusterConnectorTest, ClientCertificateFilesAreFollowed) {
  server_options.client_certificate = net::ClientCertificate::kRequired;
  secure.set_options(server_options);
  const KeyPair alice = test::make_client_cert(ca, "alice", {});
  const KeyPair bob = test::make_client_cert(ca, "bob", {});
  config.client_certificate_pem = alice.cert_pem;
  config.client_key_pem = alice.key_pem;
  config.client_certificate_file = write("tls.crt", alice.cert_pem);
  config.client_key_file = write("tls.key", alice.key_pem);
  ASSERT_TRUE(make());
  EXPECT_EQ(get(), "200");
  EXPECT_EQ(dialler.dials, 1);
  write("tls.crt", bob.cert_pem);
  write("tls.key", bob.key_pem);
  world.run_for(25s);
  EXPECT_EQ(get(), "200");
  EXPECT_EQ(dialler.dials, 1);
  world.run_for(26s);
  EXPECT_EQ(get(), "200");
  EXPECT_EQ(dialler.dials, 2) << "another identity, another connection";
  // Half of a pair is there for a moment: an error that says so, and it heals.
  write("tls.crt", alice.cert_pem);
  world.run_for(60s);
  EXPECT_NE(get().find("client certificate"), std::string::npos) << get();
  write("tls.key", alice.key_pem);
  world.run_for(60s);
  EXPECT_EQ(get(), "200");
}

TEST_F(ClusterConnectorTest, AnExpiredClientCertificateIsSaidInWords) {
  server_options.client_certificate = net::ClientCertificate::kRequired;
  secure.set_options(server_options);
  test::CertOptions options;
  options.common_name = "alice";
  options.not_after = -60;
  const KeyPair expired = test::make_cert(options, &ca);
  config.client_certificate_pem = expired.cert_pem;
  config.client_key_pem = expired.key_pem;
  ASSERT_TRUE(make());
  EXPECT_NE(get().find("expired"), std::string::npos) << get();
  // An API server lets the handshake pass and answers 401.
  const Error refusal = transport->explain_refusal(Error(Code::kUnauthorized, "Unauthorized"));
  EXPECT_TRUE(refusal.message.starts_with("Unauthorized; our client certificate expired at 20")) << refusal.message;
}

TEST_F(ClusterConnectorTest, GoesThroughAProxyWithItsCredentials) {
  config.proxy_url = "http://user:pass@proxy.example:3128";
  dialler.acceptor = nullptr;
  ASSERT_TRUE(make());
  std::string outcome;
  TaskScope scope(loop);
  const auto send = [](HttpTransport& t, std::string& out) -> Task<void> {
    auto sending = t.send(Request("GET", "/version"));
    const auto answer = co_await sending;
    out = answer ? std::to_string(answer->status) : answer.error().message;
  };
  scope.spawn(send(*transport, outcome));
  world.run_for(1s);
  EXPECT_EQ(dialler.last, net::Endpoint("proxy.example", 3128));
  ASSERT_EQ(dialler.peers.size(), 1u);
  EXPECT_TRUE(dialler.peers[0]->received.starts_with("CONNECT api.example:6443 HTTP/1.1\r\n")) << dialler.peers[0]->received;
  EXPECT_NE(dialler.peers[0]->received.find("Basic dXNlcjpwYXNz"), std::string::npos);
  dialler.peers[0]->stream->write("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  world.run_for(1s);
  EXPECT_NE(outcome.find("407"), std::string::npos) << outcome;
  EXPECT_EQ(outcome.find("pass"), std::string::npos) << outcome;
}

TEST(ProxyFromEnvironment, IsReadAsGoReadsIt) {
  struct Row {
    const char* https_proxy;
    const char* http_proxy;
    const char* no_proxy;
    const char* server;
    const char* expected;
  };
  const Row rows[] = {
      {"", "", "", "https://a.example", ""},
      {"http://p:1", "", "", "https://a.example", "http://p:1"},
      {"http://p:1", "", "", "http://a.example", ""},
      {"", "http://q:1", "", "http://a.example", "http://q:1"},
      {"http://p:1", "", "a.example", "https://a.example", ""},
      {"http://p:1", "", "10.0.0.0/8", "https://10.2.3.4:6443", ""},
      {"http://p:1", "", "10.0.0.0/8", "https://11.2.3.4:6443", "http://p:1"},
      {"http://p:1", "", "*", "https://a.example", ""},
      {"http://p:1", "", "", "https://127.0.0.1:6443", ""},
      {"http://p:1", "", "", "https://localhost:6443", ""},
  };
  for (const char* name : {"https_proxy", "http_proxy", "no_proxy"}) ::unsetenv(name);
  for (const Row& row : rows) {
    ::setenv("HTTPS_PROXY", row.https_proxy, 1);
    ::setenv("HTTP_PROXY", row.http_proxy, 1);
    ::setenv("NO_PROXY", row.no_proxy, 1);
    EXPECT_EQ(proxy_from_environment(parse_server_url(row.server).value()), row.expected) << row.server << " " << row.no_proxy;
  }
  for (const char* name : {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}) ::unsetenv(name);
}

}  // namespace
}  // namespace gs::kube
