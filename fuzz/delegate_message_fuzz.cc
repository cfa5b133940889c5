// What a delegate sends: messages of the protocol (frames have a fuzzer of their own, grpc_frame_fuzz).
#include <cstdint>

#include "base/check.h"
#include "delegate/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gs::delegate;
  pb::DelegateMessage message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  if (message.has_result()) read_result(message.result());
  if (message.has_converted()) read_converted(*message.mutable_converted());
  if (message.has_admitted()) {
    const AdmissionVerdict verdict = read_admitted(message.admitted());
    GS_CHECK(verdict.outcome == AdmissionVerdict::Outcome::kRefused ? verdict.code >= 400 && verdict.code <= 599 : verdict.code == 0);
    GS_CHECK(verdict.outcome == AdmissionVerdict::Outcome::kAllowed || verdict.patch.empty());
  }
  return 0;
}
