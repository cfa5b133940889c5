#include "cache/crd_watch.h"

#include <utility>

namespace gs::cache {
namespace {

InformerKey crds() {
  InformerKey key;
  key.resource = GroupVersionResource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
  return key;
}

ReflectorOptions metadata_only(ReflectorOptions options) {
  options.metadata_only = true;
  return options;
}

}  // namespace

CrdWatch::CrdWatch(Loop& loop, kube::KubeTransport& transport, ReflectorOptions options, Changed changed)
    : changed_(std::move(changed)), reflector_(loop, transport, crds(), *this, metadata_only(options)), scope_(loop) {
  scope_.spawn(reflector_.run());
}

}  // namespace gs::cache
