// AdmissionReview, v1 and v1beta1: what a webhook is asked, and what it answers
// (k8s.io/apiserver/pkg/admission/plugin/webhook/request/admissionreview.go). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/admission/matcher.h"
#include "apiserver/authenticator.h"

namespace gs::apiserver::admission {

// The version that both know, the webhook's preferred first; empty: there is none.
std::string review_version(const WebhookAccessor& webhook);

// `object` and `old_object`: as the invocation's kind.
std::string write_review(std::string_view uid, std::string_view version, const Invocation& invocation, const Attributes& attributes, const json::Value& object,
                         const json::Value& old_object, const UserInfo& user);

struct ReviewResponse {
  bool allowed = false;
  std::string patch;  // a JSON patch; empty: none
  json::Value status;  // metav1.Status; null: none was given
  std::vector<std::string> warnings;
};
// Errors are the reason of "failed calling webhook", in Kubernetes' words.
Result<ReviewResponse> read_response(std::string_view uid, std::string_view version, bool mutating, std::string_view body);

// A refusal with the webhook's own code, reason and details (webhook/errors/statuserror.go).
Answer denied(std::string_view webhook, const json::Value& status);
// What an HTTP answer without success says of itself (client-go's rest.Request). `content_type` as it came.
std::string server_error(int status, std::string_view content_type, std::string_view body);

}  // namespace gs::apiserver::admission
