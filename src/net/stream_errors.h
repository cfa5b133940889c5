// How a stream says that its peer finished in good order; layers above tell it from a failure.
#pragma once

#include "base/error.h"

namespace gs::net {

inline constexpr std::string_view kClosedByPeer = "connection closed by peer";

inline Error closed_by_peer() { return Error(Code::kUnavailable, std::string(kClosedByPeer)); }
inline bool is_closed_by_peer(const Error& error) {
  return error.code == Code::kUnavailable && error.message == kClosedByPeer;
}

}  // namespace gs::net
