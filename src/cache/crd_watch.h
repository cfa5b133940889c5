// CrdWatch: tells of CustomResourceDefinitions that appear or change, so that an informer whose resource is
// missing need not wait until it looks again. Watches their metadata only, keeps nothing, and runs only
// while something is missing. Where a credential may not watch them, informers heal by looking.
#pragma once

#include <functional>
#include <string_view>

#include "cache/reflector.h"
#include "runtime/task_scope.h"

namespace gs::cache {

class CrdWatch final : private ReflectorSink {
 public:
  // Called with "widgets.example.com", on the loop; must not destroy the watch.
  using Changed = std::function<void(std::string_view name)>;

  CrdWatch(Loop& loop, kube::KubeTransport& transport, ReflectorOptions options, Changed changed);

 private:
  void replace_begin() override {}
  void replace_item(kube::ObjectRef object) override { changed_(object->name()); }
  void replace_abandoned() override {}
  void replace_finish() override {}
  void changed(EventType type, kube::ObjectRef object) override {
    if (type != EventType::kDeleted) changed_(object->name());
  }
  void health_changed() override {}

  Changed changed_;
  Reflector reflector_;
  TaskScope scope_;
};

}  // namespace gs::cache
