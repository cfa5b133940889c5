// Which changes are a key's own writes coming back, for delegates that ignore those. An API server may send the change
// on the watch before it answers the write, so what a key's change is can be open until its reconcile ends. Pure; one a pair.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "kube/object.h"

namespace gs::control {

class Echoes {
 public:
  // Own writes whose echoes are still waited for; above it the least by name is given up, and its echo requeues.
  static constexpr size_t kMaxWritten = 4096;
  // Changes of one key that wait for its reconcile's end; above it the next is somebody else's.
  static constexpr size_t kMaxHeld = 64;

  enum class Verdict {
    kChange,  // somebody else's: requeue
    kEcho,    // its own write's
    kHeld,    // known when its reconcile ends: settle() tells
  };

  // `key` wrote the object, and was answered that it is now as `object`. True where that change was held: it is an echo.
  bool wrote(KeyId key, const std::string& resource, const kube::Object& object);
  // A change that concerns `key`; `in_flight`: its reconcile runs.
  Verdict seen(KeyId key, const std::string& resource, const kube::Object& object, bool in_flight);
  // The reconcile of `key` is over, all its writes are answered or given up: whether what was held has somebody else's.
  bool settle(KeyId key);
  size_t size() const { return written_.size(); }

 private:
  using Name = std::tuple<std::string, std::string, std::string>;  // resource, namespace, name
  static Name name_of(const std::string& resource, const kube::Object& object);

  struct Written {
    KeyId key;
    std::string version;
  };
  struct Held {
    Name name;
    std::string version;
  };
  std::map<Name, Written> written_;
  std::map<uint32_t, std::vector<Held>> held_;  // by key; only keys in flight
};

}  // namespace gs::control
