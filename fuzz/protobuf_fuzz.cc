// A body in protobuf from anybody: reading does no harm, and what was read is an object as JSON would have brought it, which is
// written and read again without a change.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "schema/decode.h"
#include "schema/kubernetes.h"
#include "schema/protobuf/decode.h"
#include "schema/protobuf/encode.h"

using namespace gs::schema;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  protobuf::Envelope envelope;
  if (!protobuf::read_envelope(std::string_view(reinterpret_cast<const char*>(data), size), envelope).empty()) return 0;
  const SchemaPtr schema = kubernetes_kind(envelope.api_version, envelope.kind);
  if (schema == nullptr) return 0;
  gs::json::Value value;
  if (!protobuf::decode(*schema, envelope.raw, value).empty()) return 0;
  // Through its text, as a request goes.
  auto typed = gs::json::parse(value.dump());
  std::vector<std::string> unknown;
  if (!typed) return 0;  // JSON within it made it too deep
  if (!decode(*schema, *typed, unknown).empty() || !unknown.empty()) std::abort();
  std::string bytes;
  protobuf::encode(*schema, value, bytes);
  gs::json::Value again;
  if (!protobuf::decode(*schema, bytes, again).empty() || !(again == value)) std::abort();
  return 0;
}
