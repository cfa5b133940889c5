// An HTTP/2 server against a hostile client, from behind the preface.
#include "fuzz/http_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using std::string_view_literals::operator""sv;
  gs::fuzz::serve_bytes(data, size, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"sv);
  return 0;
}
