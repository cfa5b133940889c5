// An HTTP/1.1 server against a hostile client: it ends every exchange and connection.
#include "fuzz/http_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gs::fuzz::serve_bytes(data, size, {});
  return 0;
}
