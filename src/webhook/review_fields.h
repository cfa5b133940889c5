// Reading members of known types out of validated JSON, the first mistake remembered with its path. Internal to src/webhook.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "webhook/review.h"

namespace gs::webhook {

inline tl::unexpected<Error> wrong_type(std::string_view where, std::string_view wanted) {
  return fail(Code::kInvalid, "{}: must be {}", where, wanted);
}

// null is absent, as in Go.
class Fields {
 public:
  // `where`: the path of the object whose members are read, for messages; empty at the top.
  Fields(ReviewBody& body, std::string_view where) : body_(body), where_(where) {}

  void string(std::string_view key, std::string_view raw, std::string_view& out) {
    if (!first(key) || raw == "null") return;
    if (raw.front() != '"') return mistake(key, "a string");
    out = body_.string(raw);
  }
  void boolean(std::string_view key, std::string_view raw, bool& out) {
    if (!first(key) || raw == "null") return;
    if (raw != "true" && raw != "false") return mistake(key, "true or false");
    out = raw == "true";
  }
  // False, and a mistake: a member that is known is there twice. Parsers differ in which of the two they take.
  bool first(std::string_view key) {
    if (std::find(seen_.begin(), seen_.end(), key) == seen_.end()) return seen_.emplace_back(key), true;
    if (status_) status_ = fail(Code::kInvalid, "{}: is there twice", path(key));
    return false;
  }
  // An object or an array, raw.
  void nested(std::string_view key, std::string_view raw, char open, std::string_view& out) {
    if (!first(key) || raw == "null") return;
    if (raw.front() != open) return mistake(key, open == '{' ? "an object" : "an array");
    out = raw;
  }
  void mistake(std::string_view key, std::string_view wanted) {
    if (status_) status_ = wrong_type(path(key), wanted);
  }
  const Status& status() const { return status_; }

 private:
  std::string path(std::string_view key) const { return where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key); }

  ReviewBody& body_;
  std::string_view where_;
  std::vector<std::string> seen_;
  Status status_;
};

}  // namespace gs::webhook
