// How often each address may ask for what is not there: a token bucket for each, over a bounded number of addresses of which
// the one that asked longest ago is forgotten first. Pure; the owner passes time.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/strings.h"
#include "base/time.h"

namespace gs::webhook {

struct PeerLimitOptions {
  double per_second = 5;
  double burst = 20;
  size_t max_peers = 4096;
};

class PeerLimit {
 public:
  explicit PeerLimit(PeerLimitOptions options) : options_(options) {}
  // Takes one; false where the address has none left.
  bool take(std::string_view address, MonoTime now);
  size_t size() const { return peers_.size(); }

 private:
  struct Peer {
    std::string address;
    double tokens = 0;
    MonoTime at{};
  };
  PeerLimitOptions options_;
  std::list<Peer> order_;  // the last to ask first
  std::unordered_map<std::string_view, std::list<Peer>::iterator> peers_;
};

}  // namespace gs::webhook
