// AdmissionReviews, and the answers of webhook servers. What is read agrees with a whole parse, and whatever is answered is
// valid JSON that reads back as it was meant.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "json/value.h"
#include "webhook/review.h"

namespace {

using namespace gs;
using namespace gs::webhook;

void require(bool holds) {
  if (!holds) std::abort();
}

const AdmissionRequest& known_request() {
  static const AdmissionRequest request =
      *parse_admission_review(R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","operation":"CREATE","resource":{"resource":"pods"}}})");
  return request;
}

void read_request(const std::string& text) {
  const auto request = parse_admission_review(text);
  if (!request) return;
  const auto whole = json::parse(text);
  require(whole.has_value());
  require(whole->text("request.uid") == request->uid && whole->text("request.name") == request->name);
  require(whole->text("request.operation") == request->operation && whole->text("request.namespace") == request->ns);
  require(whole->text("request.resource.resource") == request->resource.name);
  if (!request->object.empty()) require(*json::parse(request->object) == *whole->at("request.object"));
  AdmissionAnswer answer(text.size() % 2 == 0);
  answer.message = text;
  answer.warnings = {text};
  answer.audit_annotations.emplace_back("k", text);
  const auto answered = json::parse(to_json(*request, answer));
  require(answered && answered->text("response.uid") == request->uid);
}

void read_answer(const std::string& text) {
  const auto answer = parse_admission_answer(text, known_request());
  if (!answer || !check_answer(*answer, true)) return;
  const auto again = parse_admission_answer(to_json(known_request(), *answer), known_request());
  require(again && again->allowed == answer->allowed && again->patch == answer->patch && again->warnings == answer->warnings);
  require(again->message == answer->message && again->audit_annotations == answer->audit_annotations);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  read_request(text);
  read_answer(text);
  return 0;
}
