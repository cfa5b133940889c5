// Sequences that nobody thought of, from a seed, shrunk where they fail.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "test/differential/sequence.h"

namespace gs::differential {

// Runs so many sequences; `differs` says what differed, empty where nothing did. False where one failed; it is
// printed as it would stand in a file of cases, as small as it could be made.
bool run_generated(uint64_t seed, int count, const std::function<std::string(const Sequence&)>& differs);

}  // namespace gs::differential
