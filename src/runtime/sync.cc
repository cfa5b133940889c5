#include "runtime/sync.h"

namespace gs {

Task<bool> Event::wait(MonoTime deadline) {
  while (!set_) {
    const bool woken = co_await queue_.wait(deadline);
    if (!woken) co_return set_;
  }
  co_return true;
}

namespace internal {

void wake_event(void* event) { static_cast<Event*>(event)->set(); }

}  // namespace internal
}  // namespace gs
