// `gulfstream up`: embedded API servers, one of them a hub, and the plane of that hub in the same process: the same code as
// `gulfstream mcp --hub-kubeconfig`, which reaches them over TLS as it would any other.
#pragma once

#include "daemon/flags.h"

namespace gs::daemon {

// Runs until SIGTERM or SIGINT; the exit code.
int run_up(const UpFlags& flags);

}  // namespace gs::daemon
