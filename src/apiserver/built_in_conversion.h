// Conversion of the built-in types that are served in two versions, as k8s.io/kubernetes/pkg/apis/*/v1/conversion.go does it:
// events.k8s.io/v1 Events from and to core/v1, autoscaling/v1 HorizontalPodAutoscalers from and to v2, with the annotations
// that carry what v1 cannot hold. Pure.
#pragma once

#include "apiserver/resource_table.h"
#include "json/value.h"

namespace gs::apiserver {

// `type`: the version that is not stored; `to_stored`: from it, or to it.
void convert_built_in(const ResourceType& type, bool to_stored, json::Value& object);

// autoscaling/v1 and v2.
void autoscaler_to_v2(json::Value& object);
void autoscaler_to_v1(json::Value& object);

}  // namespace gs::apiserver
