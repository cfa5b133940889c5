// What a request is answered with, and metav1.Status as API servers write it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "apiserver/resource_table.h"

namespace gs::apiserver {

struct Stored;

// The rest of a long body, written as it is sent.
class BodyParts {
 public:
  virtual ~BodyParts() = default;
  // Appends the next part; false: it was the last.
  virtual bool next(std::string& out) = 0;
};

struct Answer {
  Answer() = default;
  Answer(int s, std::string b) : status(s), body(std::move(b)) {}
  int status = 200;
  std::string body;
  int retry_after = 0;  // seconds; 0: no header
  std::string content_type = "application/json";
  std::string etag;                   // empty: no header
  std::vector<std::string> warnings;  // each is a Warning header
  // The body is one object of the type that was asked for, so it may be shown in another representation.
  bool is_object = false;
  // What was written, where it takes a webhook to say it in the version of the request: the body is made of it later.
  std::shared_ptr<const Stored> written;
  // What comes behind the body; null: nothing. Refers to the type that was asked for.
  std::shared_ptr<BodyParts> more;
};

// A value, or the answer that says why not.
template <class T>
using Checked = tl::expected<T, Answer>;
inline tl::unexpected<Answer> refuse(Answer answer) { return tl::unexpected<Answer>(std::move(answer)); }

// Warnings come first, also where what follows is refused.
Answer with_warnings(Answer answer, const std::vector<std::string>& warnings);
// metav1.StatusDetails of an object; `extra`: more members, raw.
std::string details_of(const ResourceType& type, std::string_view name, std::string_view extra = {});
// A failure; `details` is raw JSON of metav1.StatusDetails, or empty.
Answer failure(int code, std::string_view reason, const std::string& message, std::string_view details = {});
Answer not_found(const ResourceType& type, std::string_view name);
Answer already_exists(const ResourceType& type, std::string_view name);
Answer conflict(const ResourceType& type, std::string_view name, const std::string& why);
// 403 by a rule of the server; `causes`: raw JSON array, or empty.
Answer forbidden(const ResourceType& type, std::string_view name, const std::string& why, std::string_view causes = {});
// 422 with one cause.
Answer invalid(const ResourceType& type, std::string_view name, std::string_view field, const std::string& why);
Answer bad_request(const std::string& message);
// 410; the same Status is the object of a watch's ERROR event.
Answer expired(const std::string& message);
// 504: the version that was asked for is newer than any there is.
Answer too_large_version(uint64_t wanted, uint64_t current, bool exact = false);
// What is wrong with a resourceVersion that is no number.
std::string bad_version(std::string_view text);
// What every path is answered with that nothing serves; plain text, as Go's http.NotFound writes it.
Answer page_not_found();
// A path of a served group and version without such a resource.
Answer no_such_resource();
Answer method_not_allowed();
// metav1.Status of a delete that left nothing to show.
Answer deleted(const ResourceType& type, std::string_view name, std::string_view uid);
// metav1.Status of what was done and leaves nothing to show: a binding, an eviction.
Answer done(int code);

}  // namespace gs::apiserver
