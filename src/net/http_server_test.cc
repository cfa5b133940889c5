// Our client against our server, over both protocols and any chunking; and the server against bytes.
#include "net/http_server.h"

#include <tuple>

#include "net/http_test_util.h"

namespace gs::net {
namespace {

// {HTTP/2?, chunking: 0 whole, 1 one byte, 2 random}
class HttpRoundTripTest : public HttpTest, public ::testing::WithParamInterface<std::tuple<bool, int>> {
 protected:
  bool http2() const { return std::get<0>(GetParam()); }
  std::unique_ptr<HttpConnection> dial() {
    PipeStream::Chunker chunker;
    if (std::get<1>(GetParam()) == 1) chunker = one_byte();
    if (std::get<1>(GetParam()) == 2) chunker = random_chunks(world.random());
    return connect(http2(), std::move(chunker));
  }
};
INSTANTIATE_TEST_SUITE_P(Protocols, HttpRoundTripTest, ::testing::Combine(::testing::Bool(), ::testing::Values(0, 1, 2)));

TEST_P(HttpRoundTripTest, ABodyGoesThereAndBack) {
  auto connection = dial();
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{200'000}}) {
    const auto answer = fetch(*connection, "POST", "/echo", std::string(size, 'x'));
    ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body.size(), size);
    EXPECT_EQ(*find_header(answer->headers, "x-method"), "POST");
    EXPECT_EQ(handler.last.authority, "server.example");
    settle();
  }
  EXPECT_TRUE(connection->available());
  EXPECT_EQ(connection->active(), 0u);
  EXPECT_EQ(server->connections(), 1u) << "kept alive";
  EXPECT_EQ(server->exchanges(), 0u);
}

TEST_P(HttpRoundTripTest, AStreamedAnswerHasItsTrailers) {
  auto connection = dial();
  const auto answer = fetch(*connection, "GET", "/stream");
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_EQ(answer->body.size(), 10'000u);
  ASSERT_NE(find_header(answer->trailers, "x-checksum"), nullptr);
  EXPECT_EQ(*find_header(answer->trailers, "x-checksum"), "42");
}

TEST_P(HttpRoundTripTest, AnAnswerLargerThanAllWindowsArrivesWhole) {
  auto connection = dial();
  if (std::get<1>(GetParam()) == 1) handler.big_size = 300'000;
  const auto answer = fetch(*connection, "GET", "/big");
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_EQ(answer->body.size(), handler.big_size);
  EXPECT_EQ(*find_header(answer->headers, "content-length"), std::to_string(handler.big_size));
}

TEST_P(HttpRoundTripTest, AnswersWithoutABody) {
  auto connection = dial();
  const auto head = fetch(*connection, "HEAD", "/big");
  ASSERT_TRUE(head.has_value()) << head.error().to_string();
  EXPECT_EQ(*find_header(head->headers, "content-length"), std::to_string(handler.big_size));
  EXPECT_EQ(head->body, "");
  settle();
  const auto empty = fetch(*connection, "GET", "/empty");
  ASSERT_TRUE(empty.has_value()) << empty.error().to_string();
  EXPECT_EQ(empty->status, 204);
  settle();
  EXPECT_TRUE(connection->available());
}

TEST_P(HttpRoundTripTest, AHandlerWithoutAnAnswerIs500AndOneThatStopsHalfwayIsAnError) {
  auto connection = dial();
  const auto nothing = fetch(*connection, "GET", "/nothing");
  ASSERT_TRUE(nothing.has_value()) << nothing.error().to_string();
  EXPECT_EQ(nothing->status, 500);
  settle();
  const auto cut = fetch(*connection, "GET", "/cut");
  ASSERT_FALSE(cut.has_value());
  EXPECT_EQ(cut.error().code, Code::kUnavailable) << cut.error().to_string();
}

TEST_P(HttpRoundTripTest, ABodyOverTheHandlersLimitIsRefused) {
  auto connection = dial();
  const auto answer = fetch(*connection, "POST", "/limited", std::string(100, 'x'));
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_EQ(answer->status, 413);
}

TEST_P(HttpRoundTripTest, AClientThatGoesAwayIsNoticed) {
  auto connection = dial();
  auto stream = open(*connection, "GET", "/gone");
  settle();
  EXPECT_EQ(handler.started, 1);
  stream.reset();
  settle();
  EXPECT_EQ(handler.gone, 1);
  EXPECT_EQ(server->exchanges(), 0u);
  EXPECT_EQ(connection->closed(), !http2()) << "HTTP/1.1 cannot give up an exchange alone";
  auto again = dial();
  auto other = open(*again, "GET", "/gone");
  settle();
  again.reset();
  settle();
  EXPECT_EQ(handler.gone, 2);
  const auto answer = wait(read_answer(*other, kNoDeadline));
  EXPECT_FALSE(answer.has_value());
}

TEST_P(HttpRoundTripTest, ASlowReaderHoldsTheWriterAndLittleMemory) {
  if (std::get<1>(GetParam()) == 1) GTEST_SKIP() << "slow one byte at a time";
  handler.parts = 1000;
  handler.part_size = 50'000;
  auto connection = dial();
  auto stream = open(*connection, "GET", "/stream");
  world.run_for(1s);
  EXPECT_LT(handler.written, 4u << 20) << "the writer waits";
  const size_t before = handler.written;
  world.run_for(1s);
  EXPECT_EQ(handler.written, before);
  const auto answer = wait(read_answer(*stream, kNoDeadline));
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_EQ(answer->body.size(), 50'000'000u);
}

TEST_P(HttpRoundTripTest, DeadlinesOfHeadAndBody) {
  auto connection = dial();
  auto stream = open(*connection, "GET", "/wait");
  const auto head = wait(stream->head(loop.now() + 3s));
  ASSERT_FALSE(head.has_value());
  EXPECT_EQ(head.error().code, Code::kDeadlineExceeded);
  handler.go.set();
  const auto answer = wait(read_answer(*stream, loop.now() + 3s));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->body, "went");
}

TEST_P(HttpRoundTripTest, DrainLetsWhatIsInFlightFinish) {
  auto connection = dial();
  auto stream = open(*connection, "GET", "/wait");
  settle();
  Task<bool> drain = server->drain(loop.now() + 60s);
  ASSERT_FALSE(drain.start([](void*) {}, nullptr));
  world.run_for(1s);
  EXPECT_FALSE(drain.done());
  EXPECT_EQ(connection->closed(), http2()) << "GOAWAY";
  handler.go.set();
  const auto answer = wait(read_answer(*stream, kNoDeadline));
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  connection.reset();
  world.run_for(10s);
  ASSERT_TRUE(drain.done());
  EXPECT_TRUE(drain.take_result());
}

TEST_P(HttpRoundTripTest, DrainGivesUpAtItsDeadline) {
  auto connection = dial();
  auto stream = open(*connection, "GET", "/wait");
  settle();
  EXPECT_FALSE(wait(server->drain(loop.now() + 5s)));
  server.reset();
  const auto answer = wait(read_answer(*stream, kNoDeadline));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
}

// Anything is destroyed at any point; the sanitizers watch.
TEST_P(HttpRoundTripTest, DestroyedAtAnyPoint) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    auto connection = dial();
    std::vector<std::unique_ptr<HttpStream>> streams;
    std::vector<Task<Result<Answer>>> readers;
    const char* const paths[] = {"/echo", "/stream", "/big", "/gone", "/cut", "/nothing"};
    handler.big_size = 50'000;
    for (int i = 0; i < 6 && connection->available(); ++i) {
      streams.push_back(open(*connection, "POST", paths[random.below(6)], std::string(random.below(3000), 'p')));
    }
    for (auto& stream : streams) {
      readers.push_back(read_answer(*stream, kNoDeadline));
      readers.back().start([](void*) {}, nullptr);
    }
    size_t steps = random.below(60);
    world.run_until([&] { return steps-- == 0; }, world.now() + 1ms);
    if (random.chance(0.3)) connection.reset();
    while (!streams.empty()) {
      readers.erase(readers.begin());
      streams.erase(streams.begin());
      size_t more = random.below(4);
      world.run_until([&] { return more-- == 0; }, world.now() + 1ms);
      if (random.chance(0.1)) server = std::make_unique<HttpServer>(loop, handler);
    }
    connection.reset();
    settle();
    EXPECT_EQ(server->exchanges(), 0u) << seed;
  }
}

class Http2RoundTripTest : public HttpTest {};

TEST_F(Http2RoundTripTest, ManyStreamsAtOnce) {
  auto connection = connect(true, random_chunks(world.random()));
  settle();
  std::vector<std::unique_ptr<HttpStream>> streams;
  for (int i = 0; i < 250; ++i) streams.push_back(open(*connection, "POST", "/echo", std::string(1000 + i, 'x')));
  EXPECT_FALSE(connection->available()) << "the server allows 250";
  HttpRequest request("GET", "/echo");
  EXPECT_EQ(connection->open(request, false).error().code, Code::kUnavailable);
  for (int i = 0; i < 250; ++i) {
    const auto answer = wait(read_answer(*streams[i], kNoDeadline));
    ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
    EXPECT_EQ(answer->body.size(), 1000u + i);
  }
  EXPECT_TRUE(connection->available());
}

TEST_F(Http2RoundTripTest, TwoWaysAtOnce) {
  auto connection = connect(true);
  auto stream = open(*connection, "POST", "/echo", "one ", true);
  settle();
  stream->write("two ");
  settle();
  stream->write("three");
  stream->end();
  const auto answer = wait(read_answer(*stream, kNoDeadline));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->body, "one two three");
}

TEST_F(Http2RoundTripTest, AWriterSeesWhatIsUnsentAndWaits) {
  auto connection = connect(true);
  auto stream = open(*connection, "POST", "/gone", {}, true);  // the handler reads nothing
  settle();
  stream->write(std::string(2 << 20, 'x'));
  settle();
  EXPECT_GT(stream->unsent(), 1u << 20);
  EXPECT_LT(stream->unsent(), 2u << 20);
  const auto status = wait(stream->wait_unsent(1000, loop.now() + 5s));
  EXPECT_EQ(status.error().code, Code::kDeadlineExceeded);
}

TEST_F(Http2RoundTripTest, AConnectionThatNobodyAnswersOnIsFoundDead) {
  auto [client, remote] = PipeStream::make(loop);
  PipeStream* frozen = client.get();
  server->accepted(std::move(remote));
  auto connection = make_http2_connection(loop, std::move(client));
  auto stream = open(*connection, "GET", "/gone");
  world.run_for(300s);
  EXPECT_FALSE(connection->closed()) << "PINGs are answered";
  frozen->freeze(true);
  const MonoTime before = loop.now();
  const auto head = wait(stream->head(kNoDeadline));
  EXPECT_EQ(head.error().code, Code::kUnavailable);
  EXPECT_NE(head.error().message.find("PING"), std::string::npos) << head.error().message;
  EXPECT_LE(loop.now() - before, 46s);
  EXPECT_TRUE(connection->closed());
}

TEST_F(Http2RoundTripTest, HeadersOverTheLimitAre431) {
  auto connection = connect(true);
  HttpRequest request("GET", "/echo");
  request.authority = "a";
  for (int i = 0; i < 2000; ++i) request.headers.emplace_back(fmt::format("x-{}", i), "v");
  auto stream = connection->open(request, false);
  ASSERT_TRUE(stream.has_value());
  const auto answer = wait(read_answer(**stream, kNoDeadline));
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_EQ(answer->status, 431);
  EXPECT_EQ(handler.started, 0);
  EXPECT_TRUE(fetch(*connection, "GET", "/empty").has_value()) << "the connection goes on";
}

TEST_F(Http2RoundTripTest, ARequestWithHugeHeadersIsNotSent) {
  auto connection = connect(true);
  HttpRequest request("GET", "/" + std::string(70'000, 'p'));
  EXPECT_EQ(connection->open(request, false).error().code, Code::kTooLarge);
}

TEST_F(Http2RoundTripTest, AnAnnouncedBodyOverTheLimitIs413) {
  HttpServerOptions options;
  options.max_body_bytes = 1000;
  reset_server(options);
  for (const bool http2 : {true, false}) {
    auto connection = connect(http2);
    const auto answer = fetch(*connection, "POST", "/echo", std::string(1001, 'x'));
    ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
    EXPECT_EQ(answer->status, 413);
    EXPECT_EQ(handler.started, 0);
  }
}

TEST_F(Http2RoundTripTest, IdleConnectionsAreClosed) {
  auto connection = connect(true);
  auto plain = connect(false);
  EXPECT_TRUE(fetch(*connection, "GET", "/empty").has_value());
  EXPECT_TRUE(fetch(*plain, "GET", "/empty").has_value());
  world.run_for(400s);
  EXPECT_TRUE(connection->closed());
  EXPECT_TRUE(plain->closed());
  EXPECT_EQ(server->connections(), 0u);
}

class HttpServerBytesTest : public HttpTest {
 protected:
  // Sends the bytes, lets things happen, returns what came back.
  std::string talk(std::string_view bytes, Duration time = 1s) {
    RawPeer peer(to_server());
    peer.stream->write(bytes);
    world.run_for(time);
    closed = peer.closed;
    return peer.received;
  }
  bool closed = false;
};

TEST_F(HttpServerBytesTest, PipelinedRequestsAreAnsweredInOrder) {
  const std::string got = talk(
      "GET /empty HTTP/1.1\r\nhost: a\r\n\r\n"
      "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"
      "GET /other HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(got.find("HTTP/1.1 204"), 0u) << got;
  EXPECT_NE(got.find("\r\n\r\nabcHTTP/1.1 404"), std::string::npos) << got;
  EXPECT_NE(got.find("connection: close"), std::string::npos);
  EXPECT_TRUE(closed);
}

TEST_F(HttpServerBytesTest, AnEmptyChunkedBodyMayComeInAnyPieces) {
  RawPeer peer(to_server(one_byte()));
  peer.stream->write("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
  settle();
  EXPECT_EQ(peer.received.find("HTTP/1.1 200"), 0u) << peer.received;
  EXPECT_NE(peer.received.find("HTTP/1.1 404"), std::string::npos) << peer.received;
}

TEST_F(HttpServerBytesTest, Expect100Continue) {
  RawPeer peer(to_server());
  peer.stream->write("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n");
  settle();
  EXPECT_EQ(peer.received, "HTTP/1.1 100 Continue\r\n\r\n");
  peer.stream->write("body");
  settle();
  EXPECT_TRUE(peer.received.ends_with("\r\n\r\nbody")) << peer.received;
}

TEST_F(HttpServerBytesTest, Http10) {
  const std::string got = talk("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(got.find("HTTP/1.1 200"), 0u);
  EXPECT_EQ(got.find("chunked"), std::string::npos);
  EXPECT_TRUE(closed) << "only the end of the connection ends the body";
}

TEST_F(HttpServerBytesTest, MalformedRequestsAreRefused) {
  const std::pair<const char*, int> cases[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400},
      {"GET / HTTP/3.7\r\nhost: a\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -3\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400},
      {"GET / HTTP/1.1\nhost: a\n\n", 400},
      {"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n0\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \vchunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 4\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nhost: a\r\n\r\n", 400},
  };
  for (const auto& [bytes, status] : cases) {
    const std::string got = talk(bytes);
    EXPECT_EQ(got.find(fmt::format("HTTP/1.1 {} ", status)), 0u) << bytes << "\n-> " << got;
    EXPECT_TRUE(closed) << bytes;
  }
  EXPECT_EQ(handler.started, 0);
}

TEST_F(HttpServerBytesTest, HeadersOverTheLimitAre431) {
  const std::string got = talk("GET / HTTP/1.1\r\nhost: a\r\nx: " + std::string(70'000, 'x'));
  EXPECT_EQ(got.find("HTTP/1.1 431 "), 0u) << got;
}

TEST_F(HttpServerBytesTest, AMalformedChunkEndsTheExchangeWith400) {
  std::string got = talk("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
  EXPECT_EQ(got.find("HTTP/1.1 400 "), 0u) << got;
  EXPECT_TRUE(closed);
  // Also where the handler has begun already, and the answer has not.
  RawPeer peer(to_server());
  peer.stream->write("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
  settle();
  EXPECT_EQ(peer.received, "");
  peer.stream->write("zz\r\n");
  settle();
  EXPECT_EQ(peer.received.find("HTTP/1.1 400 "), 0u) << peer.received;
  EXPECT_TRUE(peer.closed);
  EXPECT_EQ(server->exchanges(), 0u);
}

TEST_F(HttpServerBytesTest, WhoSaysNothingIsClosed) {
  EXPECT_EQ(talk("", 30s), "");
  EXPECT_TRUE(closed);
  talk("GET / HT", 30s);
  EXPECT_TRUE(closed);
  talk("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 30s);
  EXPECT_TRUE(closed);
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(HttpServerBytesTest, GarbageAfterThePrefaceGetsAGoaway) {
  const std::string got = talk("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(100, 'x'));
  EXPECT_TRUE(closed);
  EXPECT_EQ(handler.started, 0);
}

constexpr std::string_view kGreeting("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
std::string http2_frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out;
  for (const int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
  return out.append(payload);
}
std::string http2_get(uint32_t stream) { return http2_frame(1, 5, stream, "\x82\x87\x84\x41\x01" "a"); }

TEST_F(HttpServerBytesTest, ARequestThatIsResetInTheBytesThatBringItBothersNoHandler) {
  std::string bytes(kGreeting);
  for (uint32_t id = 1; id < 1000; id += 2) bytes += http2_get(id) + http2_frame(3, 0, id, std::string_view("\0\0\0\x08", 4));
  talk(bytes);
  EXPECT_EQ(handler.started, 0);
  EXPECT_EQ(server->exchanges(), 0u);
}

TEST_F(HttpServerBytesTest, AClientThatAsksAndNeverReadsIsDropped) {
  RawPeer peer(to_server());
  static_cast<PipeStream&>(*peer.stream).freeze(true);
  peer.stream->write(kGreeting);  // and never acknowledges the server's SETTINGS
  uint32_t id = 1;
  for (int turn = 0; turn < 40; ++turn) {
    std::string bytes;
    for (int i = 0; i < 1000; ++i, id += 2) bytes += http2_get(id);
    peer.stream->write(bytes);
    world.run_for(100ms);
  }
  world.run_for(6s);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_EQ(server->exchanges(), 0u);
}

TEST_F(HttpServerBytesTest, ConnectionsAreLimited) {
  HttpServerOptions options;
  options.max_connections = 2;
  reset_server(options);
  auto a = connect(true);
  auto b = connect(false);
  auto c = connect(true);
  settle();
  EXPECT_FALSE(a->closed());
  EXPECT_FALSE(b->closed());
  EXPECT_TRUE(c->closed());
}

}  // namespace
}  // namespace gs::net
