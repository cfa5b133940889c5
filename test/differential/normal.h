// Makes what a server answered comparable with what another did: what must differ (uids, times, resource
// versions, generated names, addresses) is replaced by what must not (which one it is, in the order of its
// appearance). Resource versions keep their order and reuse: rv@3.1 is the first that was new in step 3, with "-"
// where it is smaller than one that was seen before; a list's version says behind which object's it is.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "test/differential/run.h"

namespace gs::differential {

class Normaliser {
 public:
  // Learns all that a server said in a sequence, and rewrites it.
  static void apply(Transcript& transcript, const Sequence& sequence = {});

 private:
  void learn(const Transcript& transcript);
  void learn_step(const std::string& step, const std::vector<const json::Value*>& values);
  void find_versions(const json::Value& value, std::set<uint64_t>& out) const;
  void find_names(const json::Value& value);
  void find_refused_name(const Step& step, const json::Value& answer);
  std::string version_label(std::string_view text, bool of_object) const;
  void rewrite(json::Value& value, std::string_view key, bool in_metadata_of_object);
  std::string rewrite_text(std::string text, std::string_view key);
  std::string name_uids(std::string_view text);

  std::map<uint64_t, std::string> versions_;     // of objects
  std::map<std::string, std::string> generated_;  // names from generateName
  std::map<std::string, std::string> uids_;
};

}  // namespace gs::differential
