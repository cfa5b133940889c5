#include "apiserver/admission/admission.h"

#include <algorithm>

namespace gs::apiserver::admission {
namespace {

// Whether a decision about the one is one about the other.
bool same(const Attributes& a, const Attributes& b) {
  return a.type == b.type && a.operation == b.operation && a.subresource == b.subresource && a.ns == b.ns && a.name == b.name && a.object == b.object &&
         a.old_object == b.old_object;
}

}  // namespace

const RequestGate::Decided* RequestGate::find(Phase phase, const Attributes& attributes) const {
  const auto found = std::find_if(decided_.rbegin(), decided_.rend(), [&](const Decided& one) { return one.phase == phase && same(one.asked, attributes); });
  return found != decided_.rend() ? &*found : nullptr;
}

std::optional<Answer> RequestGate::pass(Phase phase, Attributes& attributes) {
  if (is_exempt(*attributes.type)) return std::nullopt;
  if (const Decided* known = find(phase, attributes)) {
    if (known->decision.refusal) return known->decision.refusal;
    if (phase == Phase::kMutating && known->decision.changed) {
      attributes.object = known->decision.object;
      attributes.changed = true;
    }
    return std::nullopt;
  }
  if (!dispatcher_.concerns(phase, attributes)) return std::nullopt;
  pending_.emplace(phase, attributes);
  return undecided();
}

Task<void> RequestGate::decide(MonoTime deadline) {
  if (!pending_) co_return;
  auto deciding = dispatcher_.decide(pending_->first, pending_->second, user_, deadline);
  Decision decision = co_await std::move(deciding);
  for (const std::string& warning : decision.warnings) {
    if (!warning.empty() && std::find(warnings_.begin(), warnings_.end(), warning) == warnings_.end()) warnings_.push_back(warning);
  }
  // One object passes each phase once, or again when it was overtaken: what was decided then is of no use.
  std::erase_if(decided_, [&](const Decided& one) { return one.phase == pending_->first; });
  Decided made{pending_->first, std::move(pending_->second), std::move(decision)};
  decided_.push_back(std::move(made));
  pending_.reset();
}

}  // namespace gs::apiserver::admission
