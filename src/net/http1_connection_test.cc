// The HTTP/1.1 client against bytes.
#include "net/http1_connection.h"

#include "net/http_test_util.h"

namespace gs::net {
namespace {

class Http1ConnectionTest : public HttpTest {
 protected:
  void dial(PipeStream::Chunker chunker = {}) {
    auto [client, remote] = PipeStream::make(loop, std::move(chunker));
    peer = std::make_unique<RawPeer>(std::move(remote));
    connection = make_http1_connection(loop, std::move(client));
  }
  // A request, the server's bytes, the answer.
  Result<Answer> ask(const std::string& bytes, const std::string& method = "GET", bool then_close = false) {
    auto stream = open(*connection, method, "/path?q=1");
    settle();
    peer->stream->write(bytes);
    if (then_close) peer->stream->shutdown();
    return wait(read_answer(*stream, loop.now() + 1s));
  }
  std::unique_ptr<RawPeer> peer;
  std::unique_ptr<HttpConnection> connection;
};

TEST_F(Http1ConnectionTest, BodiesInAllForms) {
  for (const bool slowly : {false, true}) {
    dial(slowly ? one_byte() : PipeStream::Chunker());
    auto got = ask("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX-Name: v\r\n\r\nhello");
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    EXPECT_EQ(got->body, "hello");
    EXPECT_EQ(*find_header(got->headers, "x-name"), "v");
    got = ask("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nx-end: t\r\n\r\n");
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    EXPECT_EQ(got->body, "abc0123456789");
    EXPECT_EQ(*find_header(got->trailers, "x-end"), "t");
    got = ask("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    EXPECT_EQ(got->body, "");
    got = ask("HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_EQ(got->status, 204);
    got = ask("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n", "HEAD");
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    got = ask("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\nx");
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    EXPECT_EQ(got->status, 201);
    EXPECT_EQ(got->body, "x");
    EXPECT_TRUE(connection->available());
    got = ask("HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET", true);
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    EXPECT_EQ(got->body, "until the end");
    EXPECT_TRUE(connection->closed());
    EXPECT_EQ(peer->received.find("GET /path?q=1 HTTP/1.1\r\nhost: server.example\r\n"), 0u) << peer->received;
  }
}

TEST_F(Http1ConnectionTest, OneExchangeAtATime) {
  dial();
  auto stream = open(*connection, "GET", "/");
  EXPECT_FALSE(connection->available());
  HttpRequest request("GET", "/");
  EXPECT_EQ(connection->open(request, false).error().code, Code::kUnavailable);
  stream.reset();
  EXPECT_TRUE(connection->closed());
  dial();
  EXPECT_EQ(connection->open(request, true).error().code, Code::kUnsupported);
}

TEST_F(Http1ConnectionTest, ConnectionCloseIsHeeded) {
  dial();
  EXPECT_TRUE(ask("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").has_value());
  EXPECT_TRUE(connection->closed());
}

TEST_F(Http1ConnectionTest, AConnectionClosedBetweenIsUnusable) {
  dial();
  EXPECT_TRUE(ask("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").has_value());
  peer->stream->shutdown();
  settle();
  EXPECT_TRUE(connection->closed());
}

TEST_F(Http1ConnectionTest, ClosedBeforeTheAnswerIsOfUnknownOutcome) {
  dial();
  const auto got = ask("", "POST", true);
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Code::kUnavailable);
  dial();
  auto stream = open(*connection, "POST", "/");
  settle();
  peer.reset();
  EXPECT_FALSE(wait(stream->head(kNoDeadline)).has_value());
  EXPECT_TRUE(stream->may_have_been_processed());
}

TEST_F(Http1ConnectionTest, MalformedAnswersAreClearErrors) {
  const std::pair<std::string, Code> cases[] = {
      {"\x15\x03\x01 not http\r\n\r\n", Code::kInternal},
      {"HTTP/1.1 abc OK\r\n\r\n", Code::kInternal},
      {"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", Code::kInternal},
      {"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", Code::kInternal},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", Code::kInternal},
      {"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", Code::kUnsupported},
      {"HTTP/1.1 200 OK\r\nx: " + std::string(80'000, 'x'), Code::kTooLarge},
  };
  for (const auto& [bytes, code] : cases) {
    dial();
    const auto got = ask(bytes);
    ASSERT_FALSE(got.has_value()) << bytes;
    EXPECT_EQ(got.error().code, code) << got.error().to_string();
    EXPECT_TRUE(connection->closed());
  }
  for (const char* bytes : {"HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel"}) {
    dial();
    const auto got = ask(bytes, "GET", true);
    ASSERT_FALSE(got.has_value()) << bytes;
    EXPECT_EQ(got.error().code, Code::kUnavailable) << got.error().to_string();
  }
}

TEST_F(Http1ConnectionTest, ABodyThatOnlyTheEndEndsIsNotCompleteWhereTheConnectionBroke) {
  dial();
  auto stream = open(*connection, "GET", "/");
  settle();
  peer->stream->write("HTTP/1.1 200 OK\r\n\r\nhalf of i");
  settle();
  peer.reset();
  const auto got = wait(read_answer(*stream, loop.now() + 1s));
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Code::kUnavailable) << got.error().to_string();
}

TEST_F(Http1ConnectionTest, AnAnswerWithoutARequestClosesTheConnection) {
  dial();
  peer->stream->write("HTTP/1.1 200 OK\r\n\r\n");
  settle();
  EXPECT_TRUE(connection->closed());
}

TEST_F(Http1ConnectionTest, ASlowReaderPausesTheServer) {
  auto [client, remote] = PipeStream::make(loop);
  PipeStream* ours = client.get();
  peer = std::make_unique<RawPeer>(std::move(remote));
  connection = make_http1_connection(loop, std::move(client));
  auto stream = open(*connection, "GET", "/");
  settle();
  peer->stream->write("HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n");
  for (int i = 0; i < 40; ++i) {
    peer->stream->write(std::string(100'000, 'x'));
    settle();
  }
  EXPECT_TRUE(ours->paused());
  EXPECT_GT(peer->stream->buffered(), 2'000'000u);
  const auto got = wait(read_answer(*stream, kNoDeadline));
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->body.size(), 4'000'000u);
  EXPECT_TRUE(connection->available());
}

}  // namespace
}  // namespace gs::net
