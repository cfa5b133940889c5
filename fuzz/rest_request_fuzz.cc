// Whatever a delegate asks for: what is understood must survive being rebuilt, and nothing crashes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/strings.h"
#include "gateway/rest_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gs;
  const auto parts = split(std::string_view(reinterpret_cast<const char*>(data), size), '\n');
  if (parts.size() < 4) return 0;
  const auto request = gateway::parse_rest_request(parts[0], parts[1], parts[2], parts[3]);
  if (!request) return 0;
  const std::string target = gateway::canonical_target(*request);
  const size_t mark = target.find('?');
  const auto again = gateway::parse_rest_request(request->method(), target.substr(0, mark),
                                                 mark == std::string::npos ? "" : target.substr(mark + 1), parts[3]);
  if (!again || !(*again == *request)) std::abort();
  return 0;
}
