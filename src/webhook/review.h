// The reviews that API servers send (AdmissionReview of admission.k8s.io, ConversionReview of apiextensions.k8s.io, v1 and
// v1beta1 of each) and the answers to them, in the version that was asked in. Bodies are validated once and read in place:
// no tree, and views into the body where others would copy. Pure; any thread.
#pragma once

#include <cstdint>
#include <forward_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace gs::webhook {

enum class ReviewKind { kAdmission, kConversion };
enum class ReviewVersion { kV1, kV1beta1 };

// "admission.k8s.io/v1", ...
std::string_view api_version_of(ReviewKind kind, ReviewVersion version);

// What holds the bytes that a request's views point to. Moving it leaves them where they are.
class ReviewBody {
 public:
  explicit ReviewBody(std::string body);
  const std::string& text() const { return *text_; }
  // A JSON string's content: within the body, or kept here where it was written with escapes.
  std::string_view string(std::string_view raw);

 private:
  std::unique_ptr<std::string> text_;
  std::forward_list<std::string> unescaped_;
};

// metav1.GroupVersionResource and GroupVersionKind; the last is the resource or the kind.
struct GroupVersionName {
  std::string_view group, version, name;
  bool operator==(const GroupVersionName&) const = default;
};

// Views are valid as long as the request is (moved or not). Absent strings are empty.
struct AdmissionRequest {
  explicit AdmissionRequest(std::string b) : body(std::move(b)) {}
  ReviewBody body;
  ReviewVersion version = ReviewVersion::kV1;
  std::string_view uid;
  std::string_view operation;  // CREATE, UPDATE, DELETE, CONNECT
  std::string_view name, ns;   // the name may be empty on CREATE (generateName)
  // As the Webhook's rules matched them, converted where matchPolicy is Equivalent; and as the caller asked.
  GroupVersionName kind, resource;
  std::string_view subresource;
  GroupVersionName request_kind, request_resource;  // equal to the above where the server sends none (before 1.15)
  std::string_view request_subresource;
  bool dry_run = false;
  std::string_view user_name;
  // Raw JSON, empty where absent or null.
  std::string_view object, old_object, options, user_info;
  std::string_view request;  // the whole of .request
};

struct AdmissionAnswer {
  AdmissionAnswer() = default;
  explicit AdmissionAnswer(bool a) : allowed(a) {}
  bool allowed = false;
  // Of a refusal, as kubectl shows it; below 400 or empty: the API server's own (400, "without explanation").
  int code = 0;
  std::string reason, message;
  int retry_after_seconds = 0;  // clients try again by themselves after it
  std::string patch;  // a JSON array of RFC 6902 operations, or empty
  std::vector<std::string> warnings;
  // The API server prefixes the keys with the webhook's name: no slash in them.
  std::vector<std::pair<std::string, std::string>> audit_annotations;
};

struct ConversionRequest {
  explicit ConversionRequest(std::string b) : body(std::move(b)) {}
  ReviewBody body;
  ReviewVersion version = ReviewVersion::kV1;
  std::string_view uid;
  std::string_view desired_api_version;   // "example.com/v2"
  // What is to be converted, raw JSON objects; servers send one at a time but for lists. A reviewer is asked for these, which
  // may be fewer than the body has: the others were converted before.
  std::vector<std::string_view> objects;
};

struct ConversionAnswer {
  std::vector<std::string> objects;  // in the order asked; or
  std::string failure;               // why there are none, for status and the API server's log
  // It depends on more than the objects and the configs (the delegate read from the cluster): never cached.
  bool made_reads = false;
  std::string revision;  // Reviewer::revision() of what converted; empty: unknown, then it is not cached
};

// kInvalid says what is wrong and where ("request.uid: is required"); kUnsupported: another kind or version of review.
Result<AdmissionRequest> parse_admission_review(std::string body);
Result<ConversionRequest> parse_conversion_review(std::string body);

// The review that answers, byte-valid JSON: uid echoed, patch in base64 with its patchType, never a patch with a refusal.
std::string to_json(const AdmissionRequest& request, const AdmissionAnswer& answer);
std::string to_json(const ConversionRequest& request, const ConversionAnswer& answer);

// What a delegate answers must be before it goes out. kInvalid or kTooLarge, in words for the delegate's author.
// `mutating`: a validating configuration's API server refuses an answer that has a patch.
Status check_answer(const AdmissionAnswer& answer, bool mutating);

// The answer of an API that speaks reviews itself (ReviewReviewer's side): the body of its HTTP answer. `uid` must be the
// request's, the version the one that was sent. Not yet check_answer()ed.
Result<AdmissionAnswer> parse_admission_answer(std::string_view body, const AdmissionRequest& request);
Result<ConversionAnswer> parse_conversion_answer(std::string_view body, const ConversionRequest& request);

// An answer larger than this is refused: API servers read at most 3 MiB of an object, and a patch is about one.
inline constexpr size_t kMaxAnswerBytes = 7 * 1024 * 1024;
inline constexpr size_t kMaxWarnings = 64;

}  // namespace gs::webhook
