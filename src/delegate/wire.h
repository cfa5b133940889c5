// Our types to and from the messages of proto/gulfstream/delegate/v1.
#pragma once

#include <string>
#include <string_view>

#include "delegate/review.h"
#include "gulfstream/delegate/v1/delegate.pb.h"

namespace gs::delegate {

pb::PlaneMessage open_message(uint32_t number, const PairDescription& description);
pb::PlaneMessage config_message(uint32_t number, const ConfigSet& configs);
// Leaves out prefetched objects that do not fit kMaxReconcile.
pb::PlaneMessage reconcile_message(uint64_t id, uint32_t pair, uint64_t config_revision, const Attempt& attempt);
pb::PlaneMessage call_result(uint64_t id, int status, const std::string& content_type, std::string_view body, bool end);
pb::PlaneMessage cancel_message(uint64_t id, const std::string& why);
// Without id, pair, deadline and config revision.
pb::PlaneMessage admit_message(const Admission& admission);
pb::PlaneMessage convert_message(const Conversion& conversion);
AdmissionVerdict read_admitted(const pb::Admitted& admitted);
ConversionVerdict read_converted(pb::Converted& converted);
AttemptResult read_result(const pb::Result& result);
// A metav1.Status, as an API server would answer.
std::string status_body(int status, std::string_view reason, const std::string& message);

}  // namespace gs::delegate
