// Where Controllers and Clusters come from: a directory (directory.h), or a Kubernetes API (hub_source.h)
// that is a hub, or hub and tenant at once. Lives on loop 0 and hands the whole of what is wanted to a
// sink, each time something of it changed.
#pragma once

#include <functional>
#include <string>

#include "control/engine.h"

namespace gs::control {

class Source {
 public:
  // Called on the source's loop, from a turn of its own.
  using Sink = std::function<void(Desired)>;

  virtual ~Source() = default;
  // Everything was read once, and the sink has it.
  virtual bool synced() const = 0;
  // Why the source cannot be read at present, and how to mend it; empty when all is well.
  virtual std::string problem() const = 0;
};

}  // namespace gs::control
