// Admission by webhooks, as a server has it: whether there is any, and the gate of one write.
#pragma once

#include <deque>
#include <vector>

#include "apiserver/admission/dispatcher.h"

namespace gs::apiserver::admission {

class Admission {
 public:
  // How long one write may take altogether (kube-apiserver's --request-timeout).
  static constexpr Duration kRequestTime = std::chrono::minutes(1);

  Admission(Loop& loop, const ResourceTable& table, const Store& store, WebhookClients& clients)
      : configurations_(table, store), dispatcher_(loop, table, store, configurations_, clients) {}

  Configurations& configurations() { return configurations_; }
  // False: a write is one synchronous step as if this did not exist.
  bool any() { return configurations_.any(); }
  Dispatcher& dispatcher() { return dispatcher_; }

 private:
  Configurations configurations_;
  Dispatcher dispatcher_;
};

// What was decided about one request so far.
class RequestGate final : public Gate {
 public:
  RequestGate(Dispatcher& dispatcher, UserInfo user) : dispatcher_(dispatcher), user_(std::move(user)) {}

  std::optional<Answer> pass(Phase phase, Attributes& attributes) override;
  // Decides what the last step stopped at; the step is to be run again.
  Task<void> decide(MonoTime deadline);
  // What webhooks warned of, each once; in the order in which they did.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  struct Decided {
    Phase phase;
    Attributes asked;
    Decision decision;
  };
  const Decided* find(Phase phase, const Attributes& attributes) const;

  Dispatcher& dispatcher_;
  UserInfo user_;
  std::deque<Decided> decided_;
  std::optional<std::pair<Phase, Attributes>> pending_;
  std::vector<std::string> warnings_;
};

}  // namespace gs::apiserver::admission
