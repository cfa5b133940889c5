#include <fmt/format.h>

#include "daemon/apiserver.h"
#include "daemon/flags.h"
#include "daemon/mcp.h"
#include "daemon/up.h"

int main(int argc, char** argv) {
  using gs::daemon::Command;
  const Command command = gs::daemon::parse_command_line(argc, argv);
  switch (command.kind) {
    case Command::Kind::kMcp: return gs::daemon::run_mcp(command.mcp);
    case Command::Kind::kApiServer: return gs::daemon::run_apiserver(command.apiserver);
    case Command::Kind::kUp: return gs::daemon::run_up(command.up);
    case Command::Kind::kVersion: fmt::print("gulfstream {}\n", gs::daemon::kVersion); return 0;
    case Command::Kind::kExit: return command.exit_code;
  }
}
