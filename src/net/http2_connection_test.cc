// The HTTP/2 client against frames made by hand.
#include "net/http2_connection.h"

#include "net/http_test_util.h"
#include "test/support/http2_frames.h"

namespace gs::net {
namespace {

using test::h2::data;
using test::h2::frame;
using test::h2::goaway;
using test::h2::head200;
using test::h2::number;
using test::h2::reset;
using test::h2::settings;

class Http2ConnectionTest : public HttpTest {
 protected:
  void dial(Http2ClientOptions options = {}, PipeStream::Chunker chunker = {}) {
    auto [client, remote] = PipeStream::make(loop, std::move(chunker));
    peer = std::make_unique<RawPeer>(std::move(remote));
    connection = make_http2_connection(loop, std::move(client), options);
    say(settings());
  }
  void say(const std::string& bytes) {
    peer->stream->write(bytes);
    settle();
  }
  Result<Answer> answer(HttpStream& stream) { return wait(read_answer(stream, loop.now() + 1s)); }

  std::unique_ptr<RawPeer> peer;
  std::unique_ptr<HttpConnection> connection;
};

TEST_F(Http2ConnectionTest, AGoawayRefusesWhatIsAboveAndLetsTheRestFinish) {
  dial();
  auto first = open(*connection, "GET", "/1");
  auto second = open(*connection, "GET", "/2");
  settle();
  say(goaway(1));
  EXPECT_TRUE(connection->closed());
  EXPECT_FALSE(connection->available());
  const auto refused = answer(*second);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_FALSE(second->may_have_been_processed());
  say(head200(1) + data(1, "hello", true));
  const auto finished = answer(*first);
  ASSERT_TRUE(finished.has_value()) << finished.error().to_string();
  EXPECT_EQ(finished->body, "hello");
  settle();
  EXPECT_TRUE(peer->closed) << "closed with its last exchange";
}

TEST_F(Http2ConnectionTest, ARequestThatMeetsAGoawayOnItsWayWasNotProcessed) {
  dial();
  auto stream = open(*connection, "GET", "/");
  peer->stream->write(goaway(0));
  settle();
  const auto got = answer(*stream);
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Code::kUnavailable);
  EXPECT_FALSE(stream->may_have_been_processed());
}

TEST_F(Http2ConnectionTest, ResetsBecomeErrors) {
  const std::tuple<uint32_t, Code, bool> cases[] = {
      {7, Code::kUnavailable, false},    // REFUSED_STREAM
      {8, Code::kUnavailable, true},     // CANCEL
      {2, Code::kUnavailable, true},     // INTERNAL_ERROR
      {1, Code::kInternal, true},        // PROTOCOL_ERROR
      {11, Code::kTooManyRequests, true},  // ENHANCE_YOUR_CALM
      {13, Code::kUnsupported, true},    // HTTP_1_1_REQUIRED
  };
  dial();
  uint32_t id = 1;
  for (const auto& [code, expected, processed] : cases) {
    auto stream = open(*connection, "GET", "/");
    settle();
    say(reset(id, code));
    const auto got = answer(*stream);
    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().code, expected) << code;
    EXPECT_EQ(stream->may_have_been_processed(), processed) << code;
    id += 2;
  }
  EXPECT_FALSE(connection->closed());
}

TEST_F(Http2ConnectionTest, DataBeforeAResetIsGivenFirst) {
  dial();
  auto stream = open(*connection, "GET", "/");
  settle();
  say(head200(1) + data(1, "some", false) + reset(1, 2));
  EXPECT_EQ(wait(stream->head(kNoDeadline))->status, 200);
  EXPECT_EQ(*wait(stream->read(kNoDeadline)), "some");
  EXPECT_EQ(wait(stream->read(kNoDeadline)).error().code, Code::kUnavailable);
}

TEST_F(Http2ConnectionTest, InformationalAnswersAreSkipped) {
  dial({}, one_byte());
  auto stream = open(*connection, "GET", "/");
  settle();
  say(frame(1, 4, 1, std::string("\x08\x03") + "103") + head200(1) + data(1, "x", true));
  const auto got = answer(*stream);
  ASSERT_TRUE(got.has_value()) << got.error().to_string();
  EXPECT_EQ(got->status, 200);
}

TEST_F(Http2ConnectionTest, TheServersLimitOfStreamsHolds) {
  dial();
  say(settings(std::string("\0\x03", 2) + number(2)));
  auto a = open(*connection, "GET", "/");
  auto b = open(*connection, "GET", "/");
  EXPECT_FALSE(connection->available());
  EXPECT_FALSE(connection->closed());
  settle();
  say(head200(1, 5));
  EXPECT_TRUE(connection->available());
  b.reset();
  settle();
  EXPECT_EQ(connection->active(), 0u);
}

TEST_F(Http2ConnectionTest, AConnectionThatClosesEndsItsExchanges) {
  dial();
  auto sent = open(*connection, "GET", "/");
  settle();
  auto unsent = open(*connection, "GET", "/");
  peer.reset();
  // The end is seen before the second request leaves or after; certain is only what was never sent.
  settle();
  EXPECT_EQ(answer(*sent).error().code, Code::kUnavailable);
  EXPECT_TRUE(sent->may_have_been_processed());
  EXPECT_EQ(answer(*unsent).error().code, Code::kUnavailable);
  EXPECT_TRUE(connection->closed());
  HttpRequest request("GET", "/");
  EXPECT_EQ(connection->open(request, false).error().code, Code::kUnavailable);
}

TEST_F(Http2ConnectionTest, MalformedBytesAreAClearError) {
  const std::string cases[] = {
      std::string(64, 'G'),
      frame(0, 0, 1, "data before headers"),
      frame(1, 4, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
      frame(1, 4, 1, "\x82"),  // a request's pseudo-header
      frame(8, 0, 0, number(0)),
      frame(9, 4, 1),             // CONTINUATION out of nowhere
      settings("odd"),
  };
  for (const std::string& bytes : cases) {
    dial();
    auto stream = open(*connection, "GET", "/");
    settle();
    say(bytes);
    const auto got = answer(*stream);
    ASSERT_FALSE(got.has_value());
    EXPECT_TRUE(got.error().code == Code::kInternal || got.error().code == Code::kUnavailable)
        << static_cast<int>(bytes[3]) << ": " << got.error().to_string();
  }
}

// nghttp2 1.52 aborts on a frame of a wrong size that follows, in one read, what made it end the session.
TEST_F(Http2ConnectionTest, AFrameOfAWrongSizeAfterTheLastAnswerOfADrainIsHarmless) {
  dial();
  auto stream = open(*connection, "GET", "/");
  settle();
  say(goaway(1) + head200(1) + data(1, "bye", true) + settings("odd"));
  settle();
  EXPECT_TRUE(connection->closed());
}

TEST_F(Http2ConnectionTest, AFrameOfAWrongSizeAfterAHeaderBlockThatCannotBeReadIsHarmless) {
  const std::string wrong[] = {
      settings("odd"),       frame(4, 1, 0, std::string(6, 'a')), frame(2, 0, 1, "four"), frame(3, 0, 1, "abc"), frame(5, 4, 1, "abc"),
      frame(6, 0, 0, "1234567"), frame(7, 0, 0, "1234567"),       frame(8, 0, 0, "abc"),  frame(1, 4 | 0x20, 3, "four"),
      frame(1, 4 | 0x28, 3, std::string("\0four", 5)),
      frame(5, 4 | 8, 1, std::string("\0abc", 4)),
  };
  for (const std::string& bytes : wrong) {
    dial();
    auto stream = open(*connection, "GET", "/");
    settle();
    say(frame(1, 4, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") + bytes);
    EXPECT_FALSE(answer(*stream).has_value());
    EXPECT_TRUE(connection->closed());
  }
}

TEST_F(Http2ConnectionTest, AFloodOfHeadersEndsTheStream) {
  dial();
  auto stream = open(*connection, "GET", "/");
  settle();
  std::string fields = "\x88";
  for (int i = 0; i < 30; ++i) fields += std::string("\x00\x01x\x7f\xa1\x1e", 6) + std::string(4000, 'v');  // literal, 4000 bytes
  say(frame(1, 0, 1, fields.substr(0, 16000)));
  for (size_t at = 16000; at < fields.size(); at += 16000) {
    say(frame(9, at + 16000 >= fields.size() ? 4 : 0, 1, fields.substr(at, 16000)));
  }
  const auto got = answer(*stream);
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Code::kTooLarge) << got.error().to_string();
}

TEST_F(Http2ConnectionTest, AFloodOfPingsIsBounded) {
  dial();
  std::string pings;
  for (int i = 0; i < 100'000; ++i) pings += frame(6, 0, 0, "12345678");
  say(pings);
  EXPECT_TRUE(connection->closed());
}

TEST_F(Http2ConnectionTest, AReaderThatReadsNothingHoldsOneWindow) {
  Http2ClientOptions options;
  options.stream_window = 70'000;
  options.connection_window = 140'000;
  dial(options);
  auto stream = open(*connection, "GET", "/");
  settle();
  std::string much = head200(1);
  for (int i = 0; i < 10; ++i) much += data(1, std::string(10'000, 'x'), false);
  say(much);
  const auto head = wait(stream->head(kNoDeadline));
  size_t got = 0;
  Result<std::string> part = wait(stream->read(kNoDeadline));
  for (; part && !part->empty(); part = wait(stream->read(loop.now() + 1s))) got += part->size();
  EXPECT_LE(got, 70'000u);
  ASSERT_FALSE(part.has_value()) << "a server that ignores the window is cut off";
}

TEST_F(Http2ConnectionTest, WindowsOfStreamsThatWereGivenUpComeBack) {
  Http2ClientOptions options;
  options.stream_window = 65'535;
  options.connection_window = 65'535;
  dial(options);
  for (uint32_t id = 1; id < 41; id += 2) {
    auto stream = open(*connection, "GET", "/");
    settle();
    std::string much = head200(id);
    for (int i = 0; i < 5; ++i) much += data(id, std::string(10'000, 'x'), false);
    say(much);
    stream.reset();
    settle();
    EXPECT_FALSE(connection->closed()) << id;
  }
}

TEST_F(Http2ConnectionTest, RequestsThatAreNotValidAreNotSent) {
  dial();
  HttpRequest request("GET", "/a b");
  EXPECT_EQ(connection->open(request, false).error().code, Code::kInvalid);
  request.target = "/";
  request.headers.emplace_back("x", "a\r\nb: c");
  EXPECT_EQ(connection->open(request, false).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace gs::net
