// A reviewer that does what a test tells it to, and a target of it.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/sim_loop.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"
#include "webhook/target.h"

namespace gs::webhook {

// What the fake does with each review; shared with the test, which outlives the reviewer.
struct Script {
  Duration delay{};         // before it answers
  bool hang = false;        // never answers
  std::optional<Error> error;
  AdmissionAnswer answer{true};
  ConversionAnswer converted;  // objects empty: each object with the wanted apiVersion
  std::string revision = "r1";
  bool known = true;  // the revision, before anything was asked
  int asked = 0;
  int at_once = 0;
  int most_at_once = 0;
  int finished = 0;
  std::vector<size_t> objects;  // of each conversion asked
  bool dry_run = false;         // of the last
};

class FakeReviewer final : public Reviewer {
 public:
  FakeReviewer(Loop& loop, Script& script) : loop_(loop), script_(script) {}

  Task<Result<AdmissionAnswer>> admit(const AdmissionRequest& request, MonoTime) override {
    script_.dry_run = request.dry_run;
    const Busy busy(script_);
    co_await work();
    ++script_.finished;
    if (script_.error) co_return fail(Error(*script_.error));
    co_return script_.answer;
  }
  Task<Result<ConversionAnswer>> convert(const ConversionRequest& request, MonoTime) override {
    script_.objects.push_back(request.objects.size());
    const std::string revision = script_.revision;
    const Busy busy(script_);
    co_await work();
    ++script_.finished;
    if (script_.error) co_return fail(Error(*script_.error));
    ConversionAnswer answer = script_.converted;
    answer.revision = revision;
    script_.known = true;
    if (!answer.objects.empty() || !answer.failure.empty()) co_return answer;
    for (const std::string_view object : request.objects) {
      std::string text(object);
      const size_t at = text.find("example.com/v1");
      text.replace(at, 14, request.desired_api_version);
      answer.objects.push_back(std::move(text));
    }
    co_return answer;
  }
  std::string revision() const override { return script_.known ? script_.revision : ""; }

 private:
  struct Busy {
    explicit Busy(Script& s) : script(s) {
      ++script.asked;
      script.most_at_once = std::max(script.most_at_once, ++script.at_once);
    }
    ~Busy() { --script.at_once; }
    Script& script;
  };
  Task<void> work() {
    const MonoTime until = script_.hang ? kNoDeadline : loop_.now() + script_.delay;
    if (until <= loop_.now()) co_return;
    co_await sleep_until(loop_, until);
  }

  Loop& loop_;
  Script& script_;
};

}  // namespace gs::webhook
