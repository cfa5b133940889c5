// `gulfstream apiserver`: embedded clusters and nothing else.
#pragma once

#include "daemon/flags.h"
#include "embedded/host.h"

namespace gs::daemon {

// Runs until SIGTERM or SIGINT; the exit code.
int run_apiserver(const ApiServerFlags& flags);

// What the flags mean together. Makes the data directory; `name`: of the default one. Errors name the flag.
Result<embedded::HostOptions> host_options(const ApiServerFlags& flags, const std::string& name);
// All files that --preload names.
Result<std::vector<embedded::Manifest>> preloaded(const ApiServerFlags& flags);

}  // namespace gs::daemon
