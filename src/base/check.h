// CHECK: an invariant that holds in every build. A failed CHECK is a bug of ours, never bad input;
// it prints where and what, and aborts.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace gs {

[[noreturn]] inline void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, what);
  std::abort();
}

}  // namespace gs

#define GS_CHECK(condition)                                  \
  do {                                                       \
    if (!(condition)) [[unlikely]]                           \
      ::gs::check_failed(__FILE__, __LINE__, #condition);    \
  } while (false)
