// Webhooks called about one write: mutating ones one after the other, each on what the one before made of the object;
// validating ones side by side (k8s.io/apiserver/pkg/admission/plugin/webhook/{mutating,validating}/dispatcher.go).
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apiserver/admission/client_manager.h"
#include "apiserver/admission/configurations.h"
#include "apiserver/admission/review.h"
#include "runtime/sync.h"

namespace gs::apiserver::admission {

struct Decision {
  Decision() = default;  // an aggregate must not be what a coroutine gives back
  std::optional<Answer> refusal;
  json::Value object;  // what mutating webhooks made of it
  bool changed = false;
  std::vector<std::string> warnings;
};

class Dispatcher {
 public:
  // Calls at one time; others wait, within their deadline.
  static constexpr size_t kMaxCalls = 1000;

  Dispatcher(Loop& loop, const ResourceTable& table, const Store& store, Configurations& configurations, WebhookClients& clients)
      : loop_(loop), matcher_(table, store), configurations_(configurations), clients_(clients), calls_(loop, kMaxCalls) {}

  // Whether a webhook would be called, or it cannot be said which.
  bool concerns(Phase phase, const Attributes& attributes);
  // Takes no longer than the deadline; may be destroyed at any await.
  Task<Decision> decide(Phase phase, Attributes attributes, UserInfo user, MonoTime deadline);

 private:
  struct Call;
  struct Round;
  Task<Decision> mutate(Attributes attributes, UserInfo user, MonoTime deadline);
  Task<void> mutate_round(Round& round, MonoTime deadline);
  Task<Decision> validate(Attributes attributes, UserInfo user, MonoTime deadline);
  Task<void> validate_one(Call& call, const Attributes& attributes, const UserInfo& user, MonoTime deadline);
  // Asks one webhook; what it said, or a failure or refusal, is in the call.
  Task<void> ask(Call& call, const Attributes& attributes, const UserInfo& user, bool mutating, MonoTime deadline);
  // The patch of an answer, applied to the call's object; whether that changed it.
  static bool take_patch(Call& call);
  Task<void> convert_back(Round& round, Call& call);
  Task<std::optional<Answer>> convert(Call& call, const Attributes& attributes);

  Loop& loop_;
  Matcher matcher_;
  Configurations& configurations_;
  WebhookClients& clients_;
  Semaphore calls_;
};

}  // namespace gs::apiserver::admission
