#include "apiserver/admission/dispatcher.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/conversion/conversion_memo.h"
#include "apiserver/respond.h"
#include "apiserver/strategy.h"
#include "apiserver/version_view.h"
#include "base/log.h"
#include "json/patch.h"
#include "runtime/task_scope.h"
#include "schema/go_json.h"

namespace gs::apiserver::admission {
namespace {

using json::Value;

Answer timed_out() { return failure(504, "Timeout", "Timeout: request did not complete within requested timeout", "{}"); }

// An object of the request's type as another version of it has it.
Value as_kind(const Attributes& attributes, const Invocation& invocation, Value object) {
  if (object.is_null() || invocation.kind == attributes.kind) return object;
  if (attributes.type->custom) {
    object["apiVersion"] = invocation.type->api_version();
    return object;
  }
  to_judged(*attributes.type, object);
  from_judged(*invocation.type, object);
  return object;
}

Value from_kind(const Attributes& attributes, const Invocation& invocation, Value object) {
  if (invocation.kind == attributes.kind) return object;
  if (attributes.type->custom) {
    object["apiVersion"] = attributes.type->api_version();
    return object;
  }
  to_judged(*invocation.type, object);
  from_judged(*attributes.type, object);
  return object;
}

}  // namespace

struct Dispatcher::Call {
  Call(Invocation i, const Attributes& attributes) : invocation(std::move(i)) {
    if (by_webhook(attributes)) return;  // Dispatcher::convert()
    object = as_kind(attributes, invocation, attributes.object);
    old_object = as_kind(attributes, invocation, attributes.old_object);
  }
  // Another version, which takes a conversion webhook.
  bool by_webhook(const Attributes& attributes) const { return attributes.type->converter != nullptr && invocation.kind != attributes.kind; }
  Invocation invocation;
  Value object, old_object;
  ReviewResponse response;
  std::string failure;             // why it could not be called; empty: it answered
  std::optional<Answer> refusal;   // whatever the failure policy is
  const WebhookAccessor& hook() const { return *invocation.webhook; }
  // `failed calling webhook "x": why`.
  std::string words() const { return fmt::format("failed calling webhook \"{}\": {}", hook().name, failure); }
};

// Where mutation stands: who is to be asked again since a later one has changed the object.
struct Dispatcher::Round {
  Round(Attributes a, UserInfo u) : attributes(std::move(a)), user(std::move(u)) {}
  Attributes attributes;
  UserInfo user;
  Decision decision;
  bool again = false;      // this is the second round
  bool wanted = false;     // a second round is
  std::set<std::string> asked_before, ask_again;

  void object_changed() {
    ask_again.merge(asked_before);
    asked_before.clear();
    wanted = true;
    attributes.changed = true;
  }
};

bool Dispatcher::concerns(Phase phase, const Attributes& attributes) {
  const std::vector<WebhookPtr>& hooks = configurations_.of(phase);
  return std::any_of(hooks.begin(), hooks.end(), [&](const WebhookPtr& hook) {
    const Checked<std::optional<Invocation>> matched = matcher_.match(hook, attributes);
    return !matched || *matched;
  });
}

Task<std::optional<Answer>> Dispatcher::convert(Call& call, const Attributes& attributes) {
  if (!call.by_webhook(attributes)) co_return std::nullopt;
  conversion::Memo memo(loop_, clients_);
  const std::string version = call.invocation.type->api_version();
  auto converting = memo.convert_object(attributes.type->converter, attributes.object, version);
  auto object = co_await std::move(converting);
  if (!object) co_return internal_error(object.error().message);
  auto converting_old = memo.convert_object(attributes.type->converter, attributes.old_object, version);
  auto old_object = co_await std::move(converting_old);
  if (!old_object) co_return internal_error(old_object.error().message);
  call.object = *std::move(object);
  call.old_object = *std::move(old_object);
  co_return std::nullopt;
}

Task<Decision> Dispatcher::decide(Phase phase, Attributes attributes, UserInfo user, MonoTime deadline) {
  auto deciding = phase == Phase::kMutating ? mutate(std::move(attributes), std::move(user), deadline) : validate(std::move(attributes), std::move(user), deadline);
  co_return co_await std::move(deciding);
}

Task<Decision> Dispatcher::mutate(Attributes attributes, UserInfo user, MonoTime deadline) {
  Round round(std::move(attributes), std::move(user));
  auto first = mutate_round(round, deadline);
  co_await std::move(first);
  if (round.wanted && !round.decision.refusal) {
    round.again = true;
    auto second = mutate_round(round, deadline);
    co_await std::move(second);
  }
  round.decision.object = std::move(round.attributes.object);
  round.decision.changed = round.attributes.changed;
  co_return std::move(round.decision);
}

Task<void> Dispatcher::mutate_round(Round& round, MonoTime deadline) {
  // As they are now: a configuration may change while one of them is asked.
  const std::vector<WebhookPtr> hooks = configurations_.of(Phase::kMutating);
  for (const WebhookPtr& hook : hooks) {
    Checked<std::optional<Invocation>> matched = matcher_.match(hook, round.attributes);
    if (!matched) {
      round.decision.refusal = std::move(matched).error();
      co_return;
    }
    if (!*matched || (round.again && !round.ask_again.contains(hook->uid))) continue;
    Call call(**std::move(matched), round.attributes);
    auto converting = convert(call, round.attributes);
    call.refusal = co_await std::move(converting);
    if (call.refusal) {
      round.decision.refusal = std::move(call.refusal);
      co_return;
    }
    auto asking = ask(call, round.attributes, round.user, true, deadline);
    co_await std::move(asking);
    for (std::string& warning : call.response.warnings) round.decision.warnings.push_back(std::move(warning));
    if (call.failure.empty() && !call.refusal && take_patch(call)) {
      auto back = convert_back(round, call);
      co_await std::move(back);
    }
    if (hook->reinvocable) round.asked_before.insert(hook->uid);
    if (!call.failure.empty() && !hook->ignore_failures) call.refusal = internal_error(call.words());
    if (!call.failure.empty() && !call.refusal && loop_.now() >= deadline) call.refusal = timed_out();
    if (call.refusal) {
      round.decision.refusal = std::move(call.refusal);
      co_return;
    }
  }
}

Task<void> Dispatcher::convert_back(Round& round, Call& call) {
  if (call.by_webhook(round.attributes)) {
    conversion::Memo memo(loop_, clients_);
    auto converting = memo.convert_object(round.attributes.type->converter, std::move(call.object), round.attributes.type->api_version());
    auto converted = co_await std::move(converting);
    if (!converted) {
      call.refusal = internal_error(converted.error().message);
      co_return;
    }
    round.attributes.object = *std::move(converted);
  } else {
    round.attributes.object = from_kind(round.attributes, call.invocation, std::move(call.object));
  }
  round.object_changed();
}

bool Dispatcher::take_patch(Call& call) {
  if (call.response.patch.empty()) return false;
  const Result<Value> patch = json::parse(call.response.patch);
  if (!patch || !patch->is_array()) {
    const std::string why = patch ? fmt::format("json: cannot unmarshal {} into Go value of type jsonpatch.Patch", schema::go_json_kind(*patch)) : patch.error().message;
    call.failure = "received undecodable patch in webhook response: " + why;
    return false;
  }
  if (patch->array()->empty()) return false;
  if (call.object.is_null()) {
    call.refusal = internal_error(fmt::format("admission webhook \"{}\" attempted to modify the object, which is not supported for this operation", call.hook().name));
    return false;
  }
  const Invocation& invocation = call.invocation;
  Checked<Value> patched = apply_patch(*invocation.type, gateway::PatchType::kJson, call.object, *patch);
  if (!patched) {
    const Result<Value> strict = json::apply_json_patch(call.object, *patch);
    call.refusal = internal_error(strict ? "the patch is too large" : strict.error().message);
    return false;
  }
  // Read as a body is: unknown fields go, defaults come. What is no object of the type itself is as it is.
  if (invocation.kind.kind == invocation.type->kind) {
    Checked<Prepared> read = decode(*invocation.type, *std::move(patched), "", FieldValidation::kIgnore);
    if (!read) {
      const Result<Value> status = json::parse(read.error().body);
      call.refusal = internal_error(status ? std::string(status->text("message")) : "the patched object cannot be read");
      return false;
    }
    patched = std::move(read->object);
  }
  if (*patched == call.object) return false;
  call.object = *std::move(patched);
  return true;
}

Task<Decision> Dispatcher::validate(Attributes attributes, UserInfo user, MonoTime deadline) {
  Decision out;
  std::vector<std::unique_ptr<Call>> calls;
  for (const WebhookPtr& hook : configurations_.of(Phase::kValidating)) {
    Checked<std::optional<Invocation>> matched = matcher_.match(hook, attributes);
    if (!matched) {
      out.refusal = std::move(matched).error();
      co_return out;
    }
    if (*matched) calls.push_back(std::make_unique<Call>(**std::move(matched), attributes));
  }
  {
    TaskScope asking(loop_);
    for (const auto& call : calls) asking.spawn(validate_one(*call, attributes, user, deadline));
    auto joining = asking.join();
    co_await std::move(joining);
  }
  for (const auto& call : calls) {
    for (std::string& warning : call->response.warnings) out.warnings.push_back(std::move(warning));
    if (call->refusal && !out.refusal) out.refusal = std::move(call->refusal);
  }
  co_return out;
}

Task<void> Dispatcher::validate_one(Call& call, const Attributes& attributes, const UserInfo& user, MonoTime deadline) {
  auto converting = convert(call, attributes);
  call.refusal = co_await std::move(converting);
  if (call.refusal) co_return;
  auto asking = ask(call, attributes, user, false, deadline);
  co_await std::move(asking);
  if (!call.failure.empty() && !call.hook().ignore_failures) call.refusal = internal_error(call.words());
}

Task<void> Dispatcher::ask(Call& call, const Attributes& attributes, const UserInfo& user, bool mutating, MonoTime deadline) {
  const WebhookAccessor& hook = call.hook();
  if (attributes.dry_run && !hook.dry_runnable) {
    call.refusal = bad_request(fmt::format("admission webhook \"{}\" does not support dry run", hook.name));
    co_return;
  }
  const std::string version = review_version(hook);
  if (version.empty()) {
    call.failure = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
    co_return;
  }
  deadline = std::min(deadline, saturating_add(loop_.now(), hook.timeout));
  auto acquiring = calls_.acquire(deadline);
  auto permit = co_await std::move(acquiring);
  if (!permit) {
    call.failure = "failed to call webhook: context deadline exceeded";
    co_return;
  }
  const std::string uid = random_uuid(loop_.random());
  auto posting = clients_.post(hook.client, write_review(uid, version, call.invocation, attributes, call.object, call.old_object, user), deadline);
  auto body = co_await std::move(posting);
  if (!body) {
    call.failure = body.error().message.starts_with("could not get REST client") ? body.error().message : "failed to call webhook: " + body.error().message;
    log::debug("failed calling webhook", {{"webhook", hook.name}, {"err", body.error().message}});
    co_return;
  }
  Result<ReviewResponse> response = read_response(uid, version, mutating, *body);
  if (!response) {
    call.failure = response.error().message;
    co_return;
  }
  call.response = *std::move(response);
  if (!call.response.allowed) call.refusal = denied(hook.name, call.response.status);
}

}  // namespace gs::apiserver::admission
