// Runs a sequence on both servers, step by step, and hands over what each answered.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "json/value.h"
#include "test/differential/sequence.h"
#include "test/differential/server.h"

namespace gs::differential {

struct Outcome {
  Reply reply;
  json::Value body;                 // null where it is no JSON
  std::vector<json::Value> events;  // of a watch
  bool watch_ended = false;         // by the server, before the sequence ended
};

// What one server made of a sequence: an outcome for each step.
using Transcript = std::vector<Outcome>;

struct Transcripts {
  Transcript theirs, ours;
};

class Runner {
 public:
  Runner(UvLoop& loop, Server& theirs, Server& ours, std::string prefix) : loop_(loop), servers_{&theirs, &ours}, prefix_(std::move(prefix)) {}
  // In a namespace of its own. Blocks: runs the loop.
  Transcripts run(const Sequence& sequence);
  // Of the last run.
  const std::string& ns() const { return ns_; }
  uint64_t requests() const { return requests_; }

 private:
  // What one server said so far, for what later requests take from it.
  struct Side {
    Transcript transcript;
    std::map<std::string, json::Value> named;
    std::map<size_t, std::shared_ptr<Watch>> watches;  // by step
  };
  Task<void> run_steps(const Sequence& sequence, Server& server, size_t at, Side& side);
  Task<Outcome> send(const Step& step, Server& server, const Side& side);
  Task<void> until_quiet(Side& theirs, Side& ours);
  Task<void> all(const Sequence& sequence, Side& theirs, Side& ours);

  UvLoop& loop_;
  Server* servers_[2];
  std::string prefix_;
  std::string ns_;
  uint64_t sequences_ = 0;
  uint64_t requests_ = 0;
};

}  // namespace gs::differential
