// What differs between two servers' answers to the same sequence, and the list of what is known to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "test/differential/run.h"

namespace gs::differential {

struct Difference {
  std::string sequence;
  size_t step = 0;      // from 1
  std::string request;  // "GET /api/v1/namespaces/$ns/configmaps"
  std::string field;    // "status", "header content-type", "body.metadata.name", "events", "events[2].object.data"
  std::string theirs;
  std::string ours;
};
std::string to_text(const Difference& difference);

// Of normalised transcripts; at most so many of one step.
std::vector<Difference> compare(const Sequence& sequence, const Transcript& theirs, const Transcript& ours, size_t most_per_step = 30);

// docs/reference/apiserver-differences.md: each list item that begins with `sequence > request > field` (in
// backquotes, * stands for anything) is a known difference, only where the real server says so with a fourth part
// (`> theirs`); the rest is for people.
class KnownDifferences {
 public:
  static Result<KnownDifferences> parse(std::string_view markdown);
  // Counts as seen where it is known.
  bool known(const Difference& difference);
  // Entries that no difference was seen for: they are to be taken out of the list.
  std::vector<std::string> unseen() const;
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string text, sequence, request, field, theirs = "*";
    bool seen = false;
  };
  std::vector<Entry> entries_;
};

// Entries for all of them, an answer that differs in many fields as one.
std::string to_list(const std::vector<Difference>& differences);

// `*` stands for any text.
bool glob(std::string_view pattern, std::string_view text);

}  // namespace gs::differential
