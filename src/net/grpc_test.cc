#include "net/grpc.h"

#include <zlib.h>

#include "net/http_test_util.h"

namespace gs::net {
namespace {

std::string gzip(std::string_view bytes) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, bytes.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}
std::string compressed_frame(std::string_view bytes) {
  std::string out = grpc_frame(gzip(bytes));
  out[0] = 1;
  return out;
}

TEST(GrpcFrameDecoderTest, CutsMessagesHoweverTheyArrive) {
  const std::string bytes = grpc_frame("one") + grpc_frame("") + compressed_frame(std::string(10'000, 'z'));
  for (const size_t step : {size_t{1}, size_t{3}, size_t{7}, bytes.size()}) {
    GrpcFrameDecoder decoder;
    std::vector<std::string> got;
    for (size_t at = 0; at < bytes.size(); at += step) {
      decoder.feed(std::string_view(bytes).substr(at, step));
      while (true) {
        auto message = decoder.next();
        ASSERT_TRUE(message.has_value());
        if (!*message) break;
        got.push_back(**message);
      }
    }
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[0], "one");
    EXPECT_EQ(got[1], "");
    EXPECT_EQ(got[2], std::string(10'000, 'z'));
    EXPECT_TRUE(decoder.empty());
  }
}

TEST(GrpcFrameDecoderTest, RefusesWhatIsTooLargeOrBroken) {
  const std::pair<std::string, Code> cases[] = {
      {std::string("\0\x7f\xff\xff\xff", 5), Code::kTooLarge},
      {std::string("\2\0\0\0\1x", 6), Code::kInternal},
      {std::string("\1\0\0\0\1x", 6), Code::kInternal},
      {compressed_frame(std::string(kMaxGrpcMessage + 1, 'b')), Code::kTooLarge},
      {[] {
         std::string cut = grpc_frame(gzip("hello hello hello").substr(0, 20));
         cut[0] = 1;
         return cut;
       }(),
       Code::kInternal},
  };
  for (const auto& [bytes, code] : cases) {
    GrpcFrameDecoder decoder;
    decoder.feed(bytes);
    const auto got = decoder.next();
    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().code, code) << got.error().to_string();
  }
}

class GrpcHandler final : public HttpHandler {
 public:
  Task<void> handle(HttpExchange& exchange) override {
    last = exchange.request();
    if (exchange.request().target == "/page") {
      exchange.respond(HttpHead(503), "not gRPC");
      co_return;
    }
    GrpcServerStream stream(exchange);
    if (exchange.request().target == "/refuse") {
      stream.finish(GrpcCode::kPermissionDenied, "no entry: 100 % \xC3\xBC\n");
      co_return;
    }
    if (exchange.request().target == "/compressed") {
      stream.start();
      auto status = co_await exchange.write(compressed_frame("squeezed"), kNoDeadline);
      stream.finish(status ? GrpcCode::kOk : GrpcCode::kInternal);
      co_return;
    }
    while (true) {
      auto message = co_await stream.receive();
      if (!message) {
        error = message.error();
        stream.finish(grpc_code_of(message.error().code), message.error().message);
        co_return;
      }
      if (!*message) break;
      const std::string reply = "re: " + **message;
      auto sent = co_await stream.send(reply);
      if (!sent) co_return;
    }
    stream.finish(exchange.request().target == "/fail" ? GrpcCode::kAborted : GrpcCode::kOk, "done");
  }
  HttpRequest last;
  std::optional<Error> error;
};

class GrpcTest : public HttpTest {
 protected:
  GrpcTest() : grpc_server(loop, grpc) {
    auto [client, remote] = PipeStream::make(loop, random_chunks(world.random()));
    grpc_server.accepted(std::move(remote));
    connection = make_http2_connection(loop, std::move(client));
  }
  std::unique_ptr<GrpcClientStream> call(const std::string& path, MonoTime deadline = kNoDeadline) {
    Headers metadata;
    metadata.emplace_back("authorization", "Bearer t");
    auto stream = GrpcClientStream::open(loop, *connection, "delegate:443", path, metadata, deadline);
    EXPECT_TRUE(stream.has_value());
    return *std::move(stream);
  }
  GrpcHandler grpc;
  HttpServer grpc_server;
  std::unique_ptr<HttpConnection> connection;
};

TEST_F(GrpcTest, PingPong) {
  auto stream = call("/pkg.Service/Method");
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(stream->send(fmt::format("message {}", i)).has_value());
    const auto reply = wait(stream->receive());
    ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
    EXPECT_EQ(**reply, fmt::format("re: message {}", i));
  }
  stream->close_send();
  const auto end = wait(stream->receive());
  ASSERT_TRUE(end.has_value()) << end.error().to_string();
  EXPECT_FALSE(end->has_value());
  EXPECT_EQ(*find_header(grpc.last.headers, "te"), "trailers");
  EXPECT_EQ(*find_header(grpc.last.headers, "content-type"), "application/grpc+proto");
  EXPECT_EQ(*find_header(grpc.last.headers, "authorization"), "Bearer t");
  EXPECT_EQ(find_header(grpc.last.headers, "grpc-timeout"), nullptr);
}

TEST_F(GrpcTest, LargeMessagesBothWays) {
  auto stream = call("/x");
  const std::string large(kMaxGrpcMessage - 4, 'L');
  ASSERT_TRUE(stream->send(large).has_value());
  const auto reply = wait(stream->receive());
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ((*reply)->size(), kMaxGrpcMessage);
  EXPECT_EQ(stream->send(std::string(kMaxGrpcMessage + 1, 'L')).error().code, Code::kTooLarge);
  // The reply would be four bytes too long: the handler ends, and so does the call.
  ASSERT_TRUE(stream->send(std::string(kMaxGrpcMessage, 'L')).has_value());
  EXPECT_FALSE(wait(stream->receive()).has_value());
}

TEST_F(GrpcTest, StatusInTrailersAndTrailersOnly) {
  auto fail = call("/fail");
  fail->close_send();
  const auto aborted = wait(fail->receive());
  ASSERT_FALSE(aborted.has_value());
  EXPECT_EQ(aborted.error().code, Code::kConflict) << aborted.error().to_string();
  auto refuse = call("/refuse");
  for (int i = 0; i < 2; ++i) {
    const auto refused = wait(refuse->receive());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::kForbidden);
    EXPECT_NE(refused.error().message.find("no entry: 100 % \xC3\xBC\n"), std::string::npos) << refused.error().message;
  }
}

TEST_F(GrpcTest, CompressedMessagesAndPagesThatAreNotGrpc) {
  auto stream = call("/compressed");
  EXPECT_EQ(**wait(stream->receive()), "squeezed");
  EXPECT_FALSE(wait(stream->receive())->has_value());
  auto page = call("/page");
  EXPECT_EQ(wait(page->receive()).error().code, Code::kUnavailable);
}

TEST_F(GrpcTest, DeadlinesAreToldAndKept) {
  auto stream = call("/x", loop.now() + 5s);
  const auto reply = wait(stream->receive());
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, Code::kDeadlineExceeded);
  EXPECT_EQ(*find_header(grpc.last.headers, "grpc-timeout"), "5000m");
  stream.reset();
  settle();
  EXPECT_EQ(grpc_server.exchanges(), 0u);
}

}  // namespace
}  // namespace gs::net
