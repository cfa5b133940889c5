#include "net/proxy.h"

#include <gtest/gtest.h>

#include "net/sim_net.h"
#include "net/stream_test_util.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "test/support/certs.h"

namespace gs::net {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::KeepAll;
using test::Recorder;
using test::run;

TEST(ProxyUrl, IsParsedAsInAKubeconfig) {
  struct Case {
    const char* text;
    const char* host;
    uint16_t port;
    bool tls;
    const char* authorization;
  };
  for (const auto& c : std::vector<Case>{{"http://proxy", "proxy", 80, false, ""},
                                         {"https://proxy/", "proxy", 443, true, ""},
                                         {"proxy:3128", "proxy", 3128, false, ""},
                                         {"http://[fd00::1]:3128", "fd00::1", 3128, false, ""},
                                         {"http://a%40b:c%3Ad@proxy", "proxy", 80, false, "Basic YUBiOmM6ZA=="}}) {
    const auto url = ProxyUrl::parse(c.text);
    ASSERT_TRUE(url.has_value()) << c.text;
    EXPECT_EQ(url->endpoint, Endpoint(c.host, c.port)) << c.text;
    EXPECT_EQ(url->tls, c.tls);
    EXPECT_EQ(url->authorization, c.authorization);
  }
  EXPECT_EQ(ProxyUrl::parse("socks5://proxy").error().code, Code::kUnsupported);
  EXPECT_NE(ProxyUrl::parse("socks5://proxy").error().message.find("not supported yet"), std::string::npos);
  for (const char* bad : {"", "ftp://proxy", "http://", "http://proxy:x", "http://proxy:0", "http://[::1", "http://a b"}) {
    EXPECT_FALSE(ProxyUrl::parse(bad).has_value()) << bad;
  }
}

// The cases of golang.org/x/net/http/httpproxy's own test, and ranges.
TEST(NoProxy, MatchesAsInGo) {
  const NoProxy list("foobar.com, .barbaz.net, *.wild.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, 2001:db8::52:0:1, "
                     "[2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, ports.org:80");
  struct Case {
    const char* host;
    uint16_t port;
    bool direct;
  };
  for (const auto& c : std::vector<Case>{{"localhost", 80, true},
                                         {"127.0.0.1", 80, true},
                                         {"127.0.0.2", 80, true},
                                         {"::1", 80, true},
                                         {"::2", 80, false},
                                         {"192.168.1.1", 80, true},
                                         {"192.168.1.2", 80, false},
                                         {"192.168.1.3", 80, true},
                                         {"192.168.1.4", 80, false},
                                         {"10.0.0.2", 80, true},
                                         {"10.0.0.4", 80, false},
                                         {"2001:db8::52:0:1", 80, true},
                                         {"2001:db8::52:0:2", 80, false},
                                         {"2001:db8::52:0:2", 443, true},
                                         {"2001:db8::52:0:3", 80, true},
                                         {"2002:db8:a::123", 80, true},
                                         {"fe80::424b:c8be:1643:a1b6", 80, false},
                                         {"barbaz.net", 80, false},
                                         {"www.barbaz.net", 80, true},
                                         {"foobar.com", 80, true},
                                         {"www.foobar.com", 80, true},
                                         {"FOOBAR.com", 80, true},
                                         {"foofoobar.com", 80, false},
                                         {"baz.com", 80, false},
                                         {"wild.io", 80, false},
                                         {"a.wild.io", 80, true},
                                         {"ports.org", 80, true},
                                         {"ports.org", 443, false}}) {
    EXPECT_EQ(list.matches(Endpoint(c.host, c.port)), c.direct) << c.host << ":" << c.port;
  }
  EXPECT_TRUE(NoProxy("*").matches(Endpoint("any", 1)));
  EXPECT_FALSE(NoProxy("").matches(Endpoint("any", 1)));
}

// Answers each connection's first bytes with a text, then records.
struct Scripted final : Listener::Acceptor {
  struct Peer final : ByteStream::Handler {
    void on_data(std::string_view bytes) override {
      received.append(bytes);
      if (answered || received.find("\r\n\r\n") == std::string::npos) return;
      answered = true;
      stream->write(answer);
    }
    void on_closed(const Error&) override {}
    std::string answer;
    std::string received;
    bool answered = false;
    std::unique_ptr<ByteStream> stream;
  };
  void accepted(std::unique_ptr<ByteStream> stream) override {
    peers.push_back(std::make_unique<Peer>());
    peers.back()->answer = answer;
    peers.back()->stream = std::move(stream);
    peers.back()->stream->start(*peers.back());
  }
  std::string answer;
  std::vector<std::unique_ptr<Peer>> peers;
};

struct Proxy : ::testing::Test {
  Result<std::unique_ptr<ByteStream>> dial(const std::string& url, const DestinationFilter* filter = nullptr,
                                           const std::string& host = "api.test") {
    ProxyConnector connector(loop, lower, *ProxyUrl::parse(url), filter);
    return run(loop, connector.connect(Endpoint(host, 6443), in(loop, 30s)));
  }
  std::string refusal() {
    auto result = dial("http://proxy:3128");
    return result ? "connected" : result.error().to_string();
  }
  SimWorld world{1};
  SimLoop& loop = world.add_loop();
  SimNet net{world};
  SimConnector lower{loop, net, "client"};
  Scripted proxy;
  std::unique_ptr<SimListener> listener = *SimListener::listen(loop, net, "proxy", 3128, proxy);
};

TEST_F(Proxy, AsksForTheDestinationAndPassesBytesOn) {
  proxy.answer = "HTTP/1.1 200 OK\r\nX: y\r\n\r\nearly ";
  Recorder client;
  client.take(*dial("http://u:p@proxy:3128"));
  client.stream->write("hello");
  ASSERT_TRUE(world.run_until([&] { return proxy.peers[0]->received.ends_with("hello"); }, world.now() + 1min));
  EXPECT_EQ(proxy.peers[0]->received,
            "CONNECT api.test:6443 HTTP/1.1\r\nHost: api.test:6443\r\nProxy-Authorization: Basic dTpw\r\n\r\nhello");
  proxy.peers[0]->stream->write("late");
  proxy.peers[0]->stream->shutdown();
  ASSERT_TRUE(world.run_until([&] { return client.closed.has_value(); }, world.now() + 1min));
  EXPECT_EQ(client.received, "early late");
}

TEST_F(Proxy, RefusalsSayWhatTheProxySaid) {
  const std::string where = "dial api.test:6443 through proxy proxy:3128: ";
  proxy.answer = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
  EXPECT_EQ(refusal(), "Unauthorized: " + where + "the proxy wants other credentials (407 Proxy Authentication Required)");
  proxy.answer = "HTTP/1.0 502 Bad Gateway\r\n\r\n";
  EXPECT_EQ(refusal(), "Unavailable: " + where + "the proxy answered 502 Bad Gateway");
  proxy.answer = "SSH-2.0\r\n\r\n";
  EXPECT_EQ(refusal(), "Unavailable: " + where + "the proxy does not speak HTTP");
  proxy.answer = std::string(20'000, 'x');
  EXPECT_NE(refusal().find("longer than"), std::string::npos);
  proxy.answer = "";
  EXPECT_NE(refusal().find("deadline exceeded"), std::string::npos);
}

TEST_F(Proxy, NumericDestinationsAreCheckedByTheRules) {
  const DestinationFilter filter(default_cluster_deny_cidrs());
  auto result = dial("http://proxy:3128", &filter, "169.254.169.254");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kForbidden);
  EXPECT_TRUE(proxy.peers.empty());
}

// A real one: TLS to the proxy, and TLS to the destination through it.
struct Forwarder final : Listener::Acceptor {
  struct Half final : ByteStream::Handler {
    void on_data(std::string_view bytes) override { other->write(bytes); }
    void on_closed(const Error&) override { other->shutdown(); }
    ByteStream* other = nullptr;
    std::unique_ptr<ByteStream> stream;
  };
  // Keeps the request; once to_target is set it is a pipe.
  struct Asked final : ByteStream::Handler {
    void on_data(std::string_view bytes) override {
      if (to_target.stream != nullptr) {
        to_target.stream->write(bytes);
        return;
      }
      received.append(bytes);
    }
    void on_closed(const Error&) override {}
    std::string received;
    Half to_target;
    std::unique_ptr<ByteStream> stream;
  };
  void accepted(std::unique_ptr<ByteStream> stream) override {
    asked.stream = std::move(stream);
    asked.stream->start(asked);
  }
  Asked asked;
};

TEST(ProxyOverTls, TlsInsideTlsWorks) {
  UvLoop loop;
  TlsContext context;
  const auto ca = gs::test::make_ca("ca");
  const auto cert = gs::test::make_server_cert(ca, {"api.test", "127.0.0.1"});
  CaresResolver resolver(loop);
  TcpConnector tcp(loop, resolver, nullptr);
  TlsServerOptions server;
  server.identity = *context.identity(cert.cert_pem, cert.key_pem);
  KeepAll acceptor;
  acceptor.echo = true;
  TlsAcceptor destination(loop, context, server, acceptor);
  auto destination_listener = *TcpListener::listen(loop, "127.0.0.1", 0, destination);
  Forwarder forwarder;
  TlsAcceptor proxy(loop, context, server, forwarder);
  auto proxy_listener = *TcpListener::listen(loop, "127.0.0.1", 0, proxy);

  TlsOptions options;
  options.trust = *context.trust(ca.cert_pem);
  TlsConnector to_proxy(loop, context, tcp, options);
  auto url = *ProxyUrl::parse(fmt::format("https://127.0.0.1:{}", proxy_listener->port()));
  ProxyConnector through(loop, to_proxy, url, nullptr);
  TlsConnector secure(loop, context, through, options);

  TaskScope scope(loop);
  std::optional<Result<std::unique_ptr<ByteStream>>> out;
  loop.post([&] { scope.spawn(test::store_result(secure.connect(Endpoint("api.test", 6443), in(loop, 10s)), out)); });
  ASSERT_TRUE(test::wait(loop, [&] { return forwarder.asked.received.ends_with("\r\n\r\n"); }));
  auto& asked = forwarder.asked;
  asked.to_target.other = asked.stream.get();
  asked.to_target.stream = *run(loop, tcp.connect(Endpoint("127.0.0.1", destination_listener->port()), in(loop, 5s)));
  asked.to_target.stream->start(asked.to_target);
  asked.stream->write("HTTP/1.1 200 OK\r\n\r\n");
  ASSERT_TRUE(test::wait(loop, [&] { return out.has_value(); }));
  ASSERT_TRUE(out->has_value()) << out->error().to_string();
  Recorder client;
  client.take(**std::move(out));
  const std::string data(1'000'000, 'x');
  client.stream->write(data);
  ASSERT_TRUE(test::wait(loop, [&] { return client.received.size() == data.size(); }));
}

}  // namespace
}  // namespace gs::net
