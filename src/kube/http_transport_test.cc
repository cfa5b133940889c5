#include "kube/http_transport.h"

#include "runtime/sim_loop.h"
#include "test/support/fake_api.h"
#include "test/support/http2_frames.h"
#include "test/support/pipe_connector.h"

namespace gs::kube {
namespace {

using namespace std::chrono_literals;
using test::CannedAnswer;
using test::FakeApi;

// Tokens one after the other, each until it is invalidated; the last for good.
class Tokens final : public CredentialSource {
 public:
  explicit Tokens(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}
  CredentialPtr current() override {
    auto credential = std::make_shared<Credential>();
    credential->authorization = "Bearer " + tokens_[at_];
    credential->generation = at_ + 1;
    credential->identity = 1;
    return credential;
  }
  Task<Result<CredentialPtr>> get(MonoTime) override { co_return current(); }
  void invalidate(uint64_t generation) override {
    ++refusals;
    if (generation == at_ + 1 && at_ + 1 < tokens_.size()) ++at_;
  }
  int refusals = 0;

 private:
  std::vector<std::string> tokens_;
  size_t at_ = 0;
};

class PlainConnector final : public SecureConnector {
 public:
  explicit PlainConnector(net::Connector& lower) : lower_(lower) {}
  Task<Result<std::unique_ptr<net::ByteStream>>> connect(net::Endpoint endpoint, MonoTime deadline) override {
    return lower_.connect(std::move(endpoint), deadline);
  }
  Status set_identity(const std::string&, const std::string&) override { return ok(); }
  bool watches_files() const override { return false; }
  Task<void> refresh() override { co_return; }
  uint64_t generation() const override { return generation_number; }
  uint64_t generation_number = 1;

 private:
  net::Connector& lower_;
};

// A write whose answer, and a watch whose event, wait until the test says so.
class WaitingApi final : public net::HttpHandler {
 public:
  explicit WaitingApi(Loop& loop) : server(loop, *this), answer(loop), event(loop) {}
  Task<void> handle(net::HttpExchange& exchange) override {
    net::HttpHead head(200);
    if (exchange.request().target == "/write") {
      co_await answer.wait();
      exchange.respond(head, "{}");
      co_return;
    }
    exchange.start(head);
    co_await event.wait();
    auto writing = exchange.write("{}", kNoDeadline);
    const Status written = co_await writing;
    if (!written) co_return;
    co_await exchange.wait_client_gone();
  }
  net::HttpServer server;
  Event answer, event;
};

class HttpTransportTest : public testing::TestWithParam<HttpProtocol> {
 protected:
  HttpTransportTest() : world(5), loop(world.add_loop()), api(loop), dialler(loop) { dialler.acceptor = &api.acceptor(); }

  static ConnectionConfig config() {
    ConnectionConfig out;
    out.server = parse_server_url("http://api.example:6443").value();
    out.token = "secret";
    return out;
  }
  HttpTransportOptions options(HttpProtocol protocol) {
    HttpTransportOptions out;
    out.without_alpn = protocol;
    out.writes_on_watches = writes_on_watches;
    return out;
  }
  void make(HttpProtocol protocol = HttpProtocol::kHttp2, ConnectionConfig connection = config()) {
    transport = std::make_unique<HttpTransport>(loop, dialler, std::move(connection), options(protocol));
  }
  Tokens& make_with_tokens(std::vector<std::string> names) {
    auto credentials = std::make_unique<Tokens>(std::move(names));
    Tokens& out = *credentials;
    transport = std::make_unique<HttpTransport>(loop, std::make_unique<PlainConnector>(dialler), std::move(credentials), config(),
                                                options(HttpProtocol::kHttp2));
    return out;
  }
  template <class T>
  T wait(Task<T> task, Duration limit = 1h) {
    bool done = false;
    if (!task.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done)) {
      EXPECT_TRUE(world.run_until([&] { return done; }, world.now() + limit));
    }
    return task.take_result();
  }
  static Task<void> store(Task<Result<Response>> task, std::optional<Result<Response>>& out) {
    auto got = co_await task;
    out.emplace(std::move(got));
  }
  static Request read(const std::string& target) { return Request("GET", target); }
  static Request write(const std::string& target) {
    Request out("POST", target);
    out.content_type = "application/json";
    out.body = "{}";
    out.repeatable = false;
    return out;
  }
  Result<Response> send(Request request) { return wait(transport->send(std::move(request))); }
  Result<std::unique_ptr<ResponseStream>> open_watch(const std::string& target) {
    Request request("GET", target);
    request.lane = Lane::kWatch;
    return wait(transport->open(std::move(request)));
  }
  static std::string header(const net::HttpRequest& request, std::string_view name) {
    const std::string* value = net::find_header(request.headers, name);
    return value == nullptr ? "" : *value;
  }

  SimWorld world;
  SimLoop& loop;
  FakeApi api;
  test::PipeConnector dialler;
  size_t writes_on_watches = 0;
  std::unique_ptr<HttpTransport> transport;
};

INSTANTIATE_TEST_SUITE_P(Protocols, HttpTransportTest, testing::Values(HttpProtocol::kHttp1, HttpProtocol::kHttp2),
                         [](const auto& i) { return i.param == HttpProtocol::kHttp1 ? "Http1" : "Http2"; });

TEST_P(HttpTransportTest, SaysWhoItIsAndWhatItWants) {
  ConnectionConfig connection = config();
  connection.server = parse_server_url("http://api.example:6443/k8s/clusters/c-1").value();
  connection.impersonation = {{"impersonate-user", "alice"}, {"impersonate-group", "a"}, {"impersonate-group", "b"}};
  make(GetParam(), connection);
  const auto answer = send(write("/api/v1/namespaces/a/configmaps?fieldManager=x"));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 404);
  ASSERT_EQ(api.requests.size(), 1u);
  const net::HttpRequest& seen = api.requests[0];
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/k8s/clusters/c-1/api/v1/namespaces/a/configmaps?fieldManager=x");
  EXPECT_EQ(seen.authority, "api.example:6443");
  EXPECT_EQ(seen.body, "{}");
  EXPECT_EQ(header(seen, "authorization"), "Bearer secret");
  EXPECT_EQ(header(seen, "accept"), "application/json");
  EXPECT_EQ(header(seen, "content-type"), "application/json");
  EXPECT_EQ(header(seen, "user-agent"), default_user_agent());
  EXPECT_EQ(header(seen, "impersonate-user"), "alice");
  const auto groups = std::count_if(seen.headers.begin(), seen.headers.end(), [](const auto& h) { return h.name == "impersonate-group"; });
  EXPECT_EQ(groups, 2);
}

TEST_P(HttpTransportTest, PassesOnRetryAfterAndWarnings) {
  make(GetParam());
  api.script = [](const net::HttpRequest&) {
    CannedAnswer answer(429, FakeApi::status(429, "TooManyRequests", "busy"));
    answer.headers.emplace_back("retry-after", "7");
    answer.headers.emplace_back("warning", "299 - \"a\"");
    answer.headers.emplace_back("warning", "299 - \"b\"");
    return answer;
  };
  const auto answer = send(read("/x"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->retry_after, "7");
  EXPECT_EQ(answer->warning, "299 - \"a\", 299 - \"b\"");
  const auto stream = open_watch("/x");
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, Code::kTooManyRequests);
  EXPECT_EQ(stream.error().message, "busy");
  EXPECT_EQ(stream.error().retry_after, 7s);
}

TEST_P(HttpTransportTest, FollowsNoRedirect) {
  make(GetParam());
  api.script = [](const net::HttpRequest&) {
    CannedAnswer answer(302, "");
    answer.headers.emplace_back("location", "https://elsewhere.example/");
    return answer;
  };
  const auto answer = send(read("/x"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 302);
  const auto stream = open_watch("/x");
  ASSERT_FALSE(stream);
  EXPECT_NE(stream.error().message.find("redirects are not followed"), std::string::npos) << stream.error().message;
  EXPECT_EQ(api.requests.size(), 2u);
  EXPECT_EQ(dialler.last.host, "api.example");
}

TEST_P(HttpTransportTest, RefusesBodiesThatAreTooLargeOrEncoded) {
  HttpTransportOptions small = options(GetParam());
  small.max_request = 10;
  small.max_response = 1000;
  transport = std::make_unique<HttpTransport>(loop, dialler, config(), small);
  Request large = write("/x");
  large.body = std::string(11, 'x');
  EXPECT_EQ(send(large).error().code, Code::kTooLarge);
  EXPECT_TRUE(api.requests.empty());
  api.script = [](const net::HttpRequest& r) {
    CannedAnswer answer(200, std::string(r.target == "/large" ? 1001 : 10, 'x'));
    if (r.target == "/gzip") answer.headers.emplace_back("content-encoding", "gzip");
    return answer;
  };
  EXPECT_EQ(send(read("/large")).error().code, Code::kTooLarge);
  EXPECT_EQ(send(read("/gzip")).error().code, Code::kInternal);
  EXPECT_EQ(open_watch("/gzip").error().code, Code::kInternal);
}

TEST_P(HttpTransportTest, WatchesHaveAConnectionOfTheirOwnAndTheOtherClosesWhenIdle) {
  make(GetParam());
  api.script = [](const net::HttpRequest& r) {
    CannedAnswer answer(200, "{}");
    answer.hold = r.target == "/watch";
    return answer;
  };
  const auto watch = open_watch("/watch");
  ASSERT_TRUE(watch);
  ASSERT_TRUE(send(read("/a")));
  ASSERT_TRUE(send(read("/b")));
  EXPECT_EQ(dialler.dials, 2);
  EXPECT_EQ(transport->connections(), 2u);
  world.run_for(40s);
  EXPECT_EQ(transport->connections(), 1u) << "the request lane is closed";
  EXPECT_EQ(wait((*watch)->read(kNoDeadline)), "{}") << "the watch lives on";
  const auto second = open_watch("/watch");
  ASSERT_TRUE(second);
  EXPECT_EQ(dialler.dials, GetParam() == HttpProtocol::kHttp2 ? 2 : 3) << "HTTP/1.1 takes one for each watch";
}

TEST_P(HttpTransportTest, ASmallWriteTakesTheWatchesConnectionWhereItCarriesMoreThanOne) {
  writes_on_watches = 2;
  make(GetParam());
  api.script = [](const net::HttpRequest& r) {
    CannedAnswer answer(200, "{}");
    answer.hold = r.target == "/watch";
    return answer;
  };
  const auto watch = open_watch("/watch");
  ASSERT_TRUE(watch);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(send(write("/small")));
  EXPECT_EQ(dialler.dials, GetParam() == HttpProtocol::kHttp2 ? 1 : 2);
  Request large = write("/large");
  large.body = std::string(20'000, 'x');
  ASSERT_TRUE(send(std::move(large)));
  ASSERT_TRUE(send(read("/a")));
  EXPECT_EQ(dialler.dials, 2) << "what is large, or brings much, has its own";
  world.run_for(40s);
  ASSERT_TRUE(send(write("/small")));
  EXPECT_EQ(transport->connections(), GetParam() == HttpProtocol::kHttp2 ? 1u : 2u);
}

TEST_P(HttpTransportTest, AnUnusedWatchLaneIsClosedToo) {
  make(GetParam());
  api.script = [](const net::HttpRequest&) { return CannedAnswer(200, "{}"); };
  auto watch = open_watch("/watch");
  ASSERT_TRUE(watch);
  EXPECT_EQ(wait((*watch)->read(kNoDeadline)), "{}");
  EXPECT_EQ(wait((*watch)->read(kNoDeadline)), "");
  watch->reset();
  world.run_for(5min);
  EXPECT_EQ(transport->connections(), 0u);
}

TEST_P(HttpTransportTest, AStreamMayOutliveTheTransportAndThenFails) {
  make(GetParam());
  api.script = [](const net::HttpRequest&) {
    CannedAnswer answer(200, "{}");
    answer.hold = true;
    return answer;
  };
  auto watch = open_watch("/watch");
  ASSERT_TRUE(watch);
  transport.reset();
  (void)wait((*watch)->read(kNoDeadline));
  EXPECT_FALSE(wait((*watch)->read(loop.now() + 1min)));
  watch->reset();
}

TEST_P(HttpTransportTest, AReadIsRepeatedOnAFreshConnectionAWriteIsNot) {
  make(GetParam());
  std::optional<Result<Response>> answer;
  TaskScope scope(loop);
  const auto meet_a_restart = [&](Request request) {
    answer.reset();
    api.requests.clear();
    api.script = [](const net::HttpRequest& r) {
      CannedAnswer none;
      none.never = r.target != "/version";
      none.status = none.never ? 200 : 0;
      return none;
    };
    ASSERT_TRUE(send(read("/version"))) << "the connection works";
    scope.spawn(store(transport->send(std::move(request)), answer));
    world.run_for(1s);
    ASSERT_EQ(api.requests.size(), 2u);
    ASSERT_FALSE(answer);
    api.script = nullptr;
    api.restart();
    dialler.acceptor = &api.acceptor();
    world.run_for(1s);
    ASSERT_TRUE(answer);
  };
  meet_a_restart(read("/r"));
  ASSERT_TRUE(*answer) << answer->error().message;
  EXPECT_EQ((*answer)->status, 404);
  EXPECT_EQ(api.requests.size(), 3u);
  meet_a_restart(write("/w"));
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().code, Code::kUnknownOutcome);
  EXPECT_NE(answer->error().message.find("the outcome of the write is unknown"), std::string::npos) << answer->error().message;
  EXPECT_EQ(api.requests.size(), 2u);
}

TEST_P(HttpTransportTest, AWriteThatTimesOutSaysWhetherItLeft) {
  make(GetParam());
  dialler.acceptor = nullptr;
  Request sent = write("/w");
  sent.deadline = loop.now() + 5s;
  EXPECT_EQ(send(sent).error().code, Code::kDeadlineExceeded) << "it was sent: the outcome is unknown";
  dialler.error = Error(Code::kUnavailable, "no route to host");
  make(GetParam());
  Request unsent = write("/w");
  unsent.deadline = loop.now() + 5s;
  EXPECT_EQ(send(unsent).error().code, Code::kUnavailable) << "it never left";
}

TEST_P(HttpTransportTest, FailedDialsAreSharedAndBackOff) {
  make(GetParam());
  dialler.error = Error(Code::kUnavailable, "no route to host");
  for (int i = 0; i < 600; ++i) {
    const auto answer = send(read("/x"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().message, "connecting to api.example:6443: no route to host");
    world.run_for(100ms);
  }
  EXPECT_GE(dialler.dials, 6);
  EXPECT_LE(dialler.dials, 15) << "in one minute";
  dialler.error.reset();
  world.run_for(20s);
  EXPECT_TRUE(send(read("/version")));
}

TEST_P(HttpTransportTest, AServerThatAcceptsAndHangsUpIsNotDialledByEachRequest) {
  make(GetParam());
  struct HangUp final : net::Listener::Acceptor {
    void accepted(std::unique_ptr<net::ByteStream> stream) override { stream.reset(); }
  } hang_up;
  dialler.acceptor = &hang_up;
  for (int i = 0; i < 600; ++i) {
    EXPECT_FALSE(send(read("/x")));
    world.run_for(100ms);
  }
  EXPECT_LE(dialler.dials, 40) << "in one minute";
}

// Over HTTP/2 only.
class Http2TransportTest : public HttpTransportTest {
 protected:
  // What came of the first attempt's connection, and of the request.
  struct Outcome {
    std::optional<Result<Response>> answer;
    int dials = 0;
    size_t repeated = 0;  // requests that the second connection saw
  };
  // Sends over a raw connection, which answers with `frames` and then serves new connections properly.
  Outcome meet(Request request, const std::string& frames, bool hang_up) {
    Outcome out;
    api.requests.clear();
    dialler.dials = 0;
    make();
    dialler.acceptor = nullptr;
    TaskScope scope(loop);
    scope.spawn(store(transport->send(std::move(request)), out.answer));
    EXPECT_TRUE(world.run_until([&] { return !dialler.peers.empty() && dialler.peers.back()->received.size() > 60; }, world.now() + 1min));
    dialler.acceptor = &api.acceptor();
    test::BytePeer& peer = *dialler.peers.back();
    peer.stream->write(test::h2::settings() + frames);
    const size_t before = peer.received.size();
    world.run_for(1ms);
    // It may come again on the same connection.
    const std::string request_again = test::h2::number(3);
    if (peer.received.find(request_again, before) != std::string::npos) {
      ++out.repeated;
      peer.stream->write(test::h2::head200(3) + test::h2::data(3, "ok", true));
    }
    if (hang_up) dialler.peers.clear();
    world.run_for(1s);
    out.dials = dialler.dials;
    out.repeated += api.requests.size();
    transport.reset();
    dialler.peers.clear();
    return out;
  }
};

TEST_F(Http2TransportTest, OnlyWhatWasProvablyNotProcessedIsRepeatedForAWrite) {
  struct Row {
    const char* what;
    std::string frames;
    bool hang_up;
    bool write_is_repeated;
  };
  const Row rows[] = {
      {"REFUSED_STREAM", test::h2::reset(1, 7), false, true},
      {"GOAWAY below the stream", test::h2::goaway(0), false, true},
      {"GOAWAY below the stream with ENHANCE_YOUR_CALM", test::h2::goaway(0, 11), false, true},
      {"GOAWAY that includes it, then the end", test::h2::goaway(1), true, false},
      {"INTERNAL_ERROR", test::h2::reset(1, 2), false, false},
      {"CANCEL", test::h2::reset(1, 8), false, false},
      {"a connection that breaks", "", true, false},
      {"an answer that breaks off", test::h2::head200(1) + test::h2::data(1, "part", false), true, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    const Outcome wrote = meet(write("/w"), row.frames, row.hang_up);
    ASSERT_TRUE(wrote.answer);
    EXPECT_EQ(wrote.repeated, row.write_is_repeated ? 1u : 0u);
    EXPECT_EQ(wrote.answer->has_value(), row.write_is_repeated);
    if (!*wrote.answer) {
      EXPECT_EQ(wrote.answer->error().code, Code::kUnknownOutcome);
    }
    const Outcome got = meet(read("/r"), row.frames, row.hang_up);
    ASSERT_TRUE(got.answer);
    EXPECT_TRUE(got.answer->has_value()) << "a read is repeated: " << got.answer->error().message;
  }
}

TEST_F(Http2TransportTest, WhatAGoawayLetsThroughIsFinishedAndTheNextDialsAnew) {
  make();
  dialler.acceptor = nullptr;
  std::optional<Result<Response>> answer;
  TaskScope scope(loop);
  scope.spawn(store(transport->send(read("/r")), answer));
  world.run_for(1s);
  ASSERT_EQ(dialler.peers.size(), 1u);
  dialler.peers[0]->stream->write(test::h2::settings() + test::h2::goaway(1));
  world.run_for(1s);
  EXPECT_FALSE(answer);
  dialler.peers[0]->stream->write(test::h2::head200(1) + test::h2::data(1, "late", true));
  world.run_for(1s);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->body, "late");
  dialler.acceptor = &api.acceptor();
  EXPECT_TRUE(send(read("/version")));
  EXPECT_EQ(dialler.dials, 2);
}

TEST_F(Http2TransportTest, A401RenewsTheCredentialOnce) {
  const auto accept = [](std::string token) {
    return [token](const net::HttpRequest& r) {
      const std::string* sent = net::find_header(r.headers, "authorization");
      if (sent != nullptr && *sent == "Bearer " + token) return CannedAnswer(201, "{}");
      return CannedAnswer(401, FakeApi::status(401, "Unauthorized", "Unauthorized"));
    };
  };
  Tokens& two = make_with_tokens({"old", "new"});
  api.script = accept("new");
  const auto renewed = send(write("/w"));
  ASSERT_TRUE(renewed);
  EXPECT_EQ(renewed->status, 201) << "a 401 was not processed, so a write goes again too";
  EXPECT_EQ(api.requests.size(), 2u);
  EXPECT_EQ(two.refusals, 1);

  make_with_tokens({"old", "older", "oldest"});
  api.requests.clear();
  EXPECT_EQ(send(read("/r"))->status, 401);
  EXPECT_EQ(api.requests.size(), 2u) << "once, not until one fits";

  make_with_tokens({"only"});
  api.requests.clear();
  EXPECT_EQ(send(read("/r"))->status, 401);
  EXPECT_EQ(api.requests.size(), 1u) << "there is no other";

  make_with_tokens({"old", "new"});
  api.requests.clear();
  EXPECT_TRUE(open_watch("/w"));
  EXPECT_EQ(api.requests.size(), 2u);

  make_with_tokens({"only"});
  EXPECT_EQ(open_watch("/w").error().code, Code::kUnauthorized);
}

TEST_F(Http2TransportTest, ConnectionsOfAnOlderIdentityAreNotUsedAndEndWithTheirLastExchange) {
  auto connector = std::make_unique<PlainConnector>(dialler);
  PlainConnector& secure = *connector;
  std::vector<std::string> names{"t"};
  transport = std::make_unique<HttpTransport>(loop, std::move(connector), std::make_unique<Tokens>(names), config(), options(HttpProtocol::kHttp2));
  api.script = [](const net::HttpRequest& r) {
    CannedAnswer answer(200, "{}");
    answer.hold = r.target == "/watch";
    return answer;
  };
  auto watch = open_watch("/watch");
  ASSERT_TRUE(watch);
  secure.generation_number = 2;
  const auto second = open_watch("/watch");
  ASSERT_TRUE(second);
  EXPECT_EQ(dialler.dials, 2);
  EXPECT_EQ(transport->connections(), 2u) << "the old watch is not torn down";
  watch->reset();
  world.run_for(5min);
  EXPECT_EQ(transport->connections(), 1u);
}

TEST_F(Http2TransportTest, MoreStreamsThanAConnectionTakesOpenAnother) {
  make();
  api.script = [](const net::HttpRequest&) {
    CannedAnswer answer(200, "{}");
    answer.hold = true;
    return answer;
  };
  std::vector<std::unique_ptr<ResponseStream>> watches;
  for (int i = 0; i < 300; ++i) {
    auto watch = open_watch("/watch");
    ASSERT_TRUE(watch) << i;
    watches.push_back(*std::move(watch));
  }
  EXPECT_EQ(dialler.dials, 2) << "the server takes 250 each";
}

TEST_F(HttpTransportTest, MoreWritesAtOnceThanTheWatchesConnectionIsToCarryOpenTheirOwn) {
  writes_on_watches = 2;
  WaitingApi waiting(loop);
  dialler.acceptor = &waiting.server;
  waiting.event.set();
  make();
  auto watch = open_watch("/watch");
  ASSERT_TRUE(watch);
  std::optional<Result<Response>> answers[3];
  TaskScope scope(loop);
  for (int i = 0; i < 3; ++i) {
    loop.post([&, i] { scope.spawn(store(transport->send(write("/write")), answers[i])); });
    world.run_for(1s);
    EXPECT_EQ(dialler.dials, i < 2 ? 1 : 2);
  }
  waiting.answer.set();
  world.run_for(1s);
  for (const auto& answer : answers) EXPECT_TRUE(answer && *answer);
  world.run_for(40s);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(send(write("/write")));
  EXPECT_EQ(dialler.dials, 2) << "those that ended count no more";
  watch->reset();
  transport.reset();
}

// Whoever wrote something must know its version when the watch shows it, or it takes it for another's.
class AnswersAndEvents : public HttpTransportTest {
 protected:
  void answer_comes_before_event();
};
TEST_F(AnswersAndEvents, AnAnswerThatCameBeforeAWatchEventIsHandedOnBeforeIt) { answer_comes_before_event(); }
TEST_F(AnswersAndEvents, AlsoOnOneConnection) {
  writes_on_watches = 1;
  answer_comes_before_event();
}

void AnswersAndEvents::answer_comes_before_event() {
  WaitingApi waiting(loop);
  dialler.acceptor = &waiting.server;
  make();
  auto watch = open_watch("/watch");
  ASSERT_TRUE(watch);
  std::string order;
  const auto write_it = [](HttpTransport& to, std::string& seen) -> Task<void> {
    auto sending = to.send(write("/write"));
    const auto response = co_await sending;
    seen += response ? "answer " : "error ";
  };
  const auto read_it = [](ResponseStream& from, std::string& seen) -> Task<void> {
    auto reading = from.read(kNoDeadline);
    const auto bytes = co_await reading;
    seen += bytes ? "event " : "error ";
  };
  TaskScope scope(loop);
  loop.post([&] {
    scope.spawn(write_it(*transport, order));
    scope.spawn(read_it(**watch, order));
  });
  world.run_for(1s);
  loop.post([&] {
    waiting.answer.set();
    waiting.event.set();
  });
  world.run_for(1s);
  EXPECT_EQ(order, "answer event ");
  EXPECT_EQ(dialler.dials, writes_on_watches > 0 ? 1 : 2);
  watch->reset();
  transport.reset();
}

}  // namespace
}  // namespace gs::kube
