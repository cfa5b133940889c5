#include "delegate/wire.h"

#include <algorithm>

#include "base/strings.h"
#include "delegate/session.h"
#include "json/value.h"

namespace gs::delegate {
namespace {

constexpr size_t kMaxMessageText = 1024;
constexpr size_t kMaxRefusalText = 4096;
constexpr size_t kMaxWarningText = 256;  // API servers cut there
constexpr size_t kMaxReviewNotes = 64;
constexpr int kMaxEvents = 25;  // client-go's spam filter's burst

void set_resource(pb::GroupVersionResource& out, const cache::GroupVersionResource& resource) {
  out.set_group(resource.group);
  out.set_version(resource.version);
  out.set_resource(resource.resource);
}

pb::Reason reason_of(queue::Priority priority) {
  switch (priority) {
    case queue::Priority::kEvent: return pb::REASON_EVENT;
    case queue::Priority::kRequeue: return pb::REASON_REQUEUE;
    case queue::Priority::kInitialList: return pb::REASON_INITIAL_LIST;
    case queue::Priority::kResync: return pb::REASON_RESYNC;
  }
  return pb::REASON_UNSPECIFIED;
}

std::string bytes_of(const kube::ObjectRef& object) { return object ? std::string(object->json()) : std::string(); }

void set_primary(pb::Reconcile& out, const Attempt& attempt) {
  switch (attempt.state) {
    case PrimaryState::kPresent: out.set_object(bytes_of(attempt.primary)); break;
    case PrimaryState::kUnmatched: out.mutable_unmatched()->set_object(bytes_of(attempt.primary)); break;
    case PrimaryState::kGone: out.mutable_gone()->set_last_state(bytes_of(attempt.primary)); break;
  }
}

void failure(AttemptResult& out, queue::Outcome outcome, const pb::Failure& failure) {
  out.outcome = outcome;
  out.reason = truncate_utf8(failure.reason(), 128);
  out.message = truncate_utf8(failure.message(), kMaxMessageText);
}

}  // namespace

pb::PlaneMessage open_message(uint32_t number, const PairDescription& description) {
  pb::PlaneMessage message;
  pb::Open& open = *message.mutable_open();
  open.set_pair(number);
  open.set_controller(description.controller);
  open.set_webhook(description.webhook);
  open.set_generation(description.generation);
  pb::Cluster& cluster = *open.mutable_cluster();
  cluster.set_tenant(description.tenant);
  cluster.set_name(description.cluster);
  cluster.set_uid(description.cluster_uid);
  cluster.set_observed_id(description.observed_id);
  cluster.set_kubernetes_version(description.kubernetes_version);
  if (description.webhook.empty()) set_resource(*open.mutable_primary(), description.primary);
  return message;
}

pb::PlaneMessage config_message(uint32_t number, const ConfigSet& configs) {
  pb::PlaneMessage message;
  pb::Config& config = *message.mutable_config();
  config.set_pair(number);
  config.set_revision(configs.revision);
  for (const ConfigObject& object : configs.objects) {
    pb::ConfigObject& out = *config.add_objects();
    out.mutable_reference()->set_api_version(object.api_version);
    out.mutable_reference()->set_kind(object.kind);
    out.mutable_reference()->set_namespace_(object.ns);
    out.mutable_reference()->set_name(object.name);
    out.set_absent(!object.object);
    out.set_object(bytes_of(object.object));
  }
  return message;
}

pb::PlaneMessage reconcile_message(uint64_t id, uint32_t pair, uint64_t config_revision, const Attempt& attempt) {
  pb::PlaneMessage message;
  pb::Reconcile& out = *message.mutable_reconcile();
  out.set_id(id);
  out.set_pair(pair);
  out.set_namespace_(attempt.ns);
  out.set_name(attempt.name);
  out.set_attempt(attempt.number);
  out.set_deadline_ms(static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(attempt.time_limit).count()));
  out.set_reason(reason_of(attempt.reason));
  out.set_config_revision(config_revision);
  set_primary(out, attempt);
  size_t size = attempt.primary ? attempt.primary->json().size() : 0;
  for (const Prefetched& read : attempt.prefetched) {
    const size_t more = (read.object ? read.object->json().size() : 0) + read.name.size() + read.ns.size() + 128;
    if (size + more > kMaxReconcile) continue;
    size += more;
    pb::Prefetched& one = *out.add_prefetched();
    set_resource(*one.mutable_resource(), read.resource);
    one.set_namespace_(read.ns);
    one.set_name(read.name);
    one.set_absent(!read.object);
    one.set_object(bytes_of(read.object));
  }
  return message;
}

pb::PlaneMessage call_result(uint64_t id, int status, const std::string& content_type, std::string_view body, bool end) {
  pb::PlaneMessage message;
  pb::CallResult& out = *message.mutable_call_result();
  out.set_id(id);
  out.set_status(static_cast<uint32_t>(status));
  out.set_content_type(content_type);
  out.set_body(std::string(body));
  out.set_end(end);
  return message;
}

AttemptResult read_result(const pb::Result& result) {
  AttemptResult out;
  switch (result.outcome_case()) {
    case pb::Result::kOk: out.outcome = queue::Outcome::kOk; break;
    case pb::Result::kSkip: out.outcome = queue::Outcome::kSkip; break;
    case pb::Result::kRequeueAfter: {
      constexpr uint64_t kLongest = 1000ull * 3600 * 24 * 365;
      out.outcome = queue::Outcome::kRequeueAfter;
      out.after = std::chrono::milliseconds(std::min<uint64_t>(result.requeue_after().milliseconds(), kLongest));
      break;
    }
    case pb::Result::kConflict: failure(out, queue::Outcome::kConflict, result.conflict()); break;
    case pb::Result::kTransient: failure(out, queue::Outcome::kTransient, result.transient()); break;
    case pb::Result::kPermanent: failure(out, queue::Outcome::kPermanent, result.permanent()); break;
    case pb::Result::OUTCOME_NOT_SET:
      out.outcome = queue::Outcome::kTransient;
      out.reason = "InvalidResult";
      out.message = "the delegate's Result has no outcome that this plane knows";
      break;
  }
  out.pure = result.pure();
  for (const pb::RecordedEvent& event : result.events()) {
    if (out.events.size() >= static_cast<size_t>(kMaxEvents)) break;
    out.events.push_back({event.type() == "Warning" ? "Warning" : "Normal", truncate_utf8(event.reason(), 128),
                          truncate_utf8(event.message(), kMaxMessageText)});
  }
  for (const pb::Read& read : result.reads()) {
    const pb::GroupVersionResource& resource = read.resource();
    out.reads.push_back({cache::GroupVersionResource(resource.group(), resource.version(), resource.resource()), read.namespace_(),
                         read.name(), read.label_selector()});
  }
  return out;
}

pb::PlaneMessage cancel_message(uint64_t id, const std::string& why) {
  pb::PlaneMessage message;
  message.mutable_cancel()->set_id(id);
  message.mutable_cancel()->set_why(why);
  return message;
}

pb::PlaneMessage admit_message(const Admission& admission) {
  pb::PlaneMessage message;
  pb::Admit& admit = *message.mutable_admit();
  admit.set_dry_run(admission.dry_run);
  admit.set_request(admission.request.data(), admission.request.size());
  return message;
}

pb::PlaneMessage convert_message(const Conversion& conversion) {
  pb::PlaneMessage message;
  pb::Convert& convert = *message.mutable_convert();
  convert.set_desired_api_version(conversion.desired_api_version.data(), conversion.desired_api_version.size());
  for (const std::string_view object : conversion.objects) convert.add_objects(object.data(), object.size());
  return message;
}

AdmissionVerdict read_admitted(const pb::Admitted& admitted) {
  AdmissionVerdict out;
  switch (admitted.outcome_case()) {
    case pb::Admitted::kAllowed:
      out.outcome = AdmissionVerdict::Outcome::kAllowed;
      out.patch = admitted.allowed().patch();
      break;
    case pb::Admitted::kRefused: {
      const pb::Refused& refused = admitted.refused();
      out.outcome = AdmissionVerdict::Outcome::kRefused;
      out.code = refused.code() >= 400 && refused.code() <= 599 ? static_cast<int>(refused.code()) : 403;
      out.reason = truncate_utf8(refused.reason(), 128);
      out.message = truncate_utf8(refused.message(), kMaxRefusalText);
      break;
    }
    case pb::Admitted::kUndecided:
      out.reason = truncate_utf8(admitted.undecided().reason(), 128);
      out.message = truncate_utf8(admitted.undecided().message(), kMaxMessageText);
      break;
    case pb::Admitted::OUTCOME_NOT_SET:
      out.outcome = AdmissionVerdict::Outcome::kInvalid;
      out.message = "the delegate's Admitted has no outcome that this plane knows";
      break;
  }
  for (const std::string& warning : admitted.warnings()) {
    if (out.warnings.size() >= kMaxReviewNotes) break;
    out.warnings.push_back(truncate_utf8(warning, kMaxWarningText));
  }
  for (const auto& [key, value] : admitted.audit_annotations()) {
    if (key.empty() || key.size() > 63) continue;
    out.audit_annotations.emplace_back(key, truncate_utf8(value, kMaxRefusalText));
  }
  // A map of protobuf has no order.
  std::sort(out.audit_annotations.begin(), out.audit_annotations.end());
  if (out.audit_annotations.size() > kMaxReviewNotes) out.audit_annotations.resize(kMaxReviewNotes);
  return out;
}

ConversionVerdict read_converted(pb::Converted& converted) {
  ConversionVerdict out;
  const auto explain = [&out](const pb::Failure& failure) {
    out.reason = truncate_utf8(failure.reason(), 128);
    out.message = truncate_utf8(failure.message(), kMaxMessageText);
  };
  switch (converted.outcome_case()) {
    case pb::Converted::kConverted:
      out.outcome = ConversionVerdict::Outcome::kConverted;
      for (std::string& object : *converted.mutable_converted()->mutable_objects()) out.objects.push_back(std::move(object));
      break;
    case pb::Converted::kFailed:
      out.outcome = ConversionVerdict::Outcome::kFailed;
      explain(converted.failed());
      break;
    case pb::Converted::kUndecided: explain(converted.undecided()); break;
    case pb::Converted::OUTCOME_NOT_SET:
      out.outcome = ConversionVerdict::Outcome::kInvalid;
      out.message = "the delegate's Converted has no outcome that this plane knows";
      break;
  }
  return out;
}

std::string status_body(int status, std::string_view reason, const std::string& message) {
  json::Value body;
  body["kind"] = "Status";
  body["apiVersion"] = "v1";
  body["metadata"].make_object();
  body["status"] = "Failure";
  body["message"] = message;
  body["reason"] = reason;
  body["code"] = status;
  return body.dump();
}

}  // namespace gs::delegate
