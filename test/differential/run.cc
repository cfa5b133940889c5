#include "test/differential/run.h"

namespace gs::differential {
namespace {

using std::chrono::milliseconds;

json::Value parse_or_null(std::string_view text) {
  auto value = json::parse(text);
  return value ? *std::move(value) : json::Value();
}

std::string text_at(const std::map<std::string, json::Value>& named, const std::string& label, const std::string& pointer) {
  const auto found = named.find(label);
  const json::Value* value = found == named.end() ? nullptr : found->second.pointer(pointer);
  if (value == nullptr) return "";
  return value->string() != nullptr ? *value->string() : value->dump();
}

void take_events(Outcome& outcome, const Watch& watch) {
  for (const std::string_view event : watch.events()) outcome.events.push_back(parse_or_null(event));
  outcome.watch_ended = watch.ended;
}

}  // namespace

Transcripts Runner::run(const Sequence& sequence) {
  ns_ = fmt::format("{}-{}", prefix_, ++sequences_);
  Side theirs, ours;
  bool begun = false;
  TaskScope scope(loop_);
  loop_.post([&] {
    begun = true;
    scope.spawn(all(sequence, theirs, ours));
  });
  loop_.run_until([&] { return begun && scope.empty(); });
  Transcripts out;
  out.theirs = std::move(theirs.transcript);
  out.ours = std::move(ours.transcript);
  out.theirs.erase(out.theirs.begin());
  out.ours.erase(out.ours.begin());
  return out;
}

Task<void> Runner::all(const Sequence& sequence, Side& theirs, Side& ours) {
  Step make_namespace;
  make_namespace.method = "POST";
  make_namespace.target = "/api/v1/namespaces";
  make_namespace.body = R"({"metadata":{"name":"$ns"}})";
  make_namespace.headers.emplace_back("content-type", "application/json");
  make_namespace.as = "ns";
  Sequence whole;
  whole.steps.push_back(std::move(make_namespace));
  whole.steps.insert(whole.steps.end(), sequence.steps.begin(), sequence.steps.end());
  // Step by step, so that what they answer in the same moment is about the same state.
  for (size_t i = 0; i < whole.steps.size(); ++i) {
    auto their_step = run_steps(whole, *servers_[0], i, theirs);
    co_await their_step;
    auto our_step = run_steps(whole, *servers_[1], i, ours);
    co_await our_step;
  }
  auto quiet = until_quiet(theirs, ours);
  co_await quiet;
  for (Side* side : {&theirs, &ours}) {
    for (auto& [step, watch] : side->watches) take_events(side->transcript[step], *watch);
    side->watches.clear();
  }
}

Task<void> Runner::run_steps(const Sequence& sequence, Server& server, size_t at, Side& side) {
  const Step& step = sequence.steps[at];
  ++requests_;
  if (step.watch()) {
    const auto value = [&side](const std::string& label, const std::string& pointer) { return text_at(side.named, label, pointer); };
    auto opening = server.watch(substitute(step.target, ns_, value), step.headers, step.anonymous);
    std::shared_ptr<Watch> watch = co_await opening;
    Outcome outcome;
    outcome.reply = watch->reply;
    outcome.body = parse_or_null(watch->reply.body);
    if (watch->reply.status == 200) side.watches[at] = std::move(watch);
    side.transcript.push_back(std::move(outcome));
    co_return;
  }
  const MonoTime give_up = loop_.now() + std::chrono::seconds(5);
  for (;;) {
    auto sending = send(step, server, side);
    Outcome outcome = co_await sending;
    const json::Value* found = outcome.body.pointer(step.until_pointer);
    const std::string text = found == nullptr ? "" : found->string() != nullptr ? *found->string() : found->dump();
    if (step.until_pointer.empty() || text == step.until_value || loop_.now() > give_up) {
      if (!step.as.empty() && outcome.reply.status < 300) side.named[step.as] = outcome.body;
      side.transcript.push_back(std::move(outcome));
      co_return;
    }
    auto pause = sleep_for(loop_, milliseconds(20));
    co_await pause;
  }
}

Task<Outcome> Runner::send(const Step& step, Server& server, const Side& side) {
  const auto value = [&side](const std::string& label, const std::string& pointer) { return text_at(side.named, label, pointer); };
  std::string target = substitute(step.target, ns_, value), body = substitute(step.body, ns_, value);
  net::Headers headers = step.headers;
  for (net::Header& header : headers) header.value = substitute(header.value, ns_, value);
  auto asking = server.ask(step.method, std::move(target), std::move(headers), std::move(body), step.anonymous);
  Outcome outcome;
  Reply reply = co_await asking;
  outcome.reply = std::move(reply);
  outcome.body = parse_or_null(outcome.reply.body);
  co_return outcome;
}

// Both have said as much and nothing more comes, or one has had two seconds to say more.
Task<void> Runner::until_quiet(Side& theirs, Side& ours) {
  if (theirs.watches.empty() && ours.watches.empty()) co_return;
  const MonoTime began = loop_.now();
  for (;;) {
    MonoTime last = began;
    bool same = true;
    for (Side* side : {&theirs, &ours}) {
      for (const auto& [step, watch] : side->watches) {
        last = std::max(last, watch->last);
        const auto& others = (side == &theirs ? ours : theirs).watches;
        const auto other = others.find(step);
        if (other == others.end()) continue;  // refused there: that is the difference
        same = same && other->second->events().size() == watch->events().size() && other->second->ended == watch->ended;
      }
    }
    if (loop_.now() - last > (same ? milliseconds(60) : milliseconds(2000))) co_return;
    auto pause = sleep_for(loop_, milliseconds(10));
    co_await pause;
  }
}

}  // namespace gs::differential
