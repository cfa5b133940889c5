#include "delegate/client_set.h"

#include <algorithm>

namespace gs::delegate {

ClientSet::Handle ClientSet::acquire(const kube::ServerUrl& url, const std::string& tenant, bool shared) {
  // A tenant is a namespace's name: "*" is none.
  const std::string key = url.text + " " + (shared ? "*" : tenant);
  Slot& slot = slots_[key];
  if (!slot.client) slot.client = std::make_unique<Client>(loop_, DelegateId(next_id_++), make_dialer_(url), options_, observer_);
  ++slot.users;
  return Handle(this, slot.client.get());
}

void ClientSet::for_each(const std::function<void(Client&)>& visit) const {
  for (const auto& [key, slot] : slots_) visit(*slot.client);
}

SessionStats ClientSet::counts() const {
  SessionStats out = departed_;
  for (const auto& [key, slot] : slots_) out += slot.client->counts();
  return out;
}

void ClientSet::drain(MonoTime deadline) {
  for (auto& [key, slot] : slots_) scope_.spawn(slot.client->drain(deadline));
}

void ClientSet::release(Client& client) {
  const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const auto& entry) { return entry.second.client.get() == &client; });
  if (--found->second.users > 0) return;
  std::unique_ptr<Client> last = std::move(found->second.client);
  slots_.erase(found);
  scope_.spawn(let_go(std::move(last)));
}

// Streams end in good order: Drain, then the end of our side, then the delegate's.
Task<void> ClientSet::let_go(std::unique_ptr<Client> client) {
  const MonoTime deadline = saturating_add(loop_.now(), kGoodbye);
  co_await client->drain(deadline);
  while (client->streams() > 0 && loop_.now() < deadline) {
    co_await sleep_for(loop_, std::chrono::milliseconds(50));
  }
  departed_ += client->counts();
}

}  // namespace gs::delegate
