// gRPC frames from a hostile peer: the messages do not depend on how the bytes are cut, and none is
// over the limit.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "net/grpc.h"

namespace {

struct Outcome {
  std::vector<std::string> messages;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

constexpr size_t kLimit = 100'000;

Outcome decode(std::string_view bytes, size_t step) {
  Outcome outcome;
  gs::net::GrpcFrameDecoder decoder(kLimit);
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, step);
    bytes.remove_prefix(part.size());
    decoder.feed(part);
    while (true) {
      auto message = decoder.next();
      if (!message) {
        outcome.failed = true;
        return outcome;
      }
      if (!*message) break;
      GS_CHECK((*message)->size() <= kLimit);
      outcome.messages.push_back(**std::move(message));
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  GS_CHECK(decode(bytes, bytes.size() + 1) == decode(bytes, size_t{1} + data[0]));
  return 0;
}
