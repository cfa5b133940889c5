#include "webhook/peer_limit.h"

#include <algorithm>

namespace gs::webhook {

bool PeerLimit::take(std::string_view address, MonoTime now) {
  auto found = peers_.find(address);
  if (found == peers_.end()) {
    if (order_.size() >= options_.max_peers) {
      peers_.erase(order_.back().address);
      order_.pop_back();
    }
    order_.push_front(Peer{std::string(address), options_.burst, now});
    found = peers_.emplace(order_.front().address, order_.begin()).first;
  }
  order_.splice(order_.begin(), order_, found->second);
  Peer& peer = *found->second;
  peer.tokens = std::min(options_.burst, peer.tokens + to_seconds(now - peer.at) * options_.per_second);
  peer.at = now;
  if (peer.tokens < 1) return false;
  peer.tokens -= 1;
  return true;
}

}  // namespace gs::webhook
