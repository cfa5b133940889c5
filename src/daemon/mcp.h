// `gulfstream mcp`: the only place that constructs production objects.
#pragma once

#include "daemon/flags.h"

namespace gs::daemon {

// Runs until SIGTERM or SIGINT; the exit code.
int run_mcp(const McpFlags& flags);

}  // namespace gs::daemon
