// An HTTP/1.1 client against a hostile server: its exchange ends, whatever comes.
#include "fuzz/http_fuzz.h"
#include "net/http1_connection.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gs;
  auto make = [](Loop& loop, std::unique_ptr<net::ByteStream> stream) {
    return net::make_http1_connection(loop, std::move(stream));
  };
  fuzz::answer_with_bytes(data, size, {}, 1, make);
  return 0;
}
