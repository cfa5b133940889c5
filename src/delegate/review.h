// One review (an admission or a conversion), as the session and its users see it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "delegate/attempt.h"

namespace gs::delegate {

// What is asked. Views live as long as the task that carries them.
struct Admission {
  Admission(std::string_view r, bool d) : request(r), dry_run(d) {}
  std::string_view request;  // raw JSON of the AdmissionReview's request
  bool dry_run;
};
struct Conversion {
  Conversion(std::string_view v, std::vector<std::string_view> o) : desired_api_version(v), objects(std::move(o)) {}
  std::string_view desired_api_version;
  std::vector<std::string_view> objects;
};

// What was answered, within the protocol's bounds; not looked into otherwise. kInvalid: with no outcome at all.
struct AdmissionVerdict {
  enum class Outcome { kAllowed, kRefused, kUndecided, kInvalid };
  Outcome outcome = Outcome::kUndecided;
  std::string patch;    // where allowed; empty: none
  int code = 0;         // where refused: 400 to 599
  std::string reason;   // where not allowed
  std::string message;  // likewise
  std::vector<std::string> warnings;
  std::vector<std::pair<std::string, std::string>> audit_annotations;  // sorted by key
};
struct ConversionVerdict {
  enum class Outcome { kConverted, kFailed, kUndecided, kInvalid };
  Outcome outcome = Outcome::kUndecided;
  std::vector<std::string> objects;
  std::string reason;   // where not converted
  std::string message;  // likewise
  bool made_calls = false;  // it may depend on what they read
  std::string revision;     // of the logic that answered
};

}  // namespace gs::delegate
