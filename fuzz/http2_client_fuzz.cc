// An HTTP/2 client with three requests against a hostile server.
#include "fuzz/http_fuzz.h"
#include "net/http2_connection.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gs;
  using std::string_view_literals::operator""sv;
  auto make = [](Loop& loop, std::unique_ptr<net::ByteStream> stream) {
    return net::make_http2_connection(loop, std::move(stream));
  };
  fuzz::answer_with_bytes(data, size, "\0\0\0\4\0\0\0\0\0"sv, 3, make);
  return 0;
}
