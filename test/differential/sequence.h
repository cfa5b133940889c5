// Sequences of requests as text: what people write into cases/*.http, and what the generators make, so that
// a generated sequence that failed can be put among the hand-picked ones as it was printed.
//
//   ## a config map is created and read          a sequence begins
//   # a remark
//   POST /api/v1/namespaces/$ns/configmaps       a request: method and target
//   as: made                                     headers, and the runner's own words (below)
//   metadata: {name: a}                          a body; YAML becomes JSON, what begins with { [ or ! stays
//
// In targets, headers and bodies: $ns is the sequence's own namespace (which exists already; also a prefix of
// names of cluster-scoped objects), $(made/metadata/uid) is a value out of the answer of an earlier request,
// $x(100) is a hundred x. Words: `as` names the answer; `until: /status/phase Active` repeats the request
// until a value is there (at most 5 s); `user: nobody` sends no credentials; `skip-body: yes` compares the
// status and headers only. WATCH is a GET whose events are read until the sequence ends. A body that begins with ! is raw.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http.h"

namespace gs::differential {

struct Step {
  std::string method;
  std::string target;
  net::Headers headers;  // with content-type where there is a body
  std::string body;
  std::string as;
  std::string until_pointer;  // empty: once
  std::string until_value;
  bool anonymous = false;
  bool skip_body = false;

  bool watch() const { return method == "WATCH"; }
  bool operator==(const Step&) const;
};

struct Sequence {
  std::string name;
  std::string file;  // where it was written; empty: generated
  std::vector<Step> steps;
};

// kInvalid names the line and what is wrong with it.
Result<std::vector<Sequence>> parse_sequences(const std::string& file, std::string_view text);
// The same text again.
std::string to_text(const Sequence& sequence);
std::string to_text(const Step& step);

// Puts in what $ns, $(label/pointer) and $x(count) stand for; `value` gives that of a label and pointer.
std::string substitute(std::string_view text, const std::string& ns,
                       const std::function<std::string(const std::string& label, const std::string& pointer)>& value);

}  // namespace gs::differential
