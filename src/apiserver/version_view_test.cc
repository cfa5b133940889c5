#include "apiserver/version_view.h"

#include <gtest/gtest.h>

#include "apiserver/crd_strategy.h"

namespace gs::apiserver {
namespace {

using json::Value;

Value parsed(std::string_view text) { return *json::parse(text); }

ResourceTypePtr autoscalers(const char* version) { return ResourceTable().find("autoscaling", version, "horizontalpodautoscalers"); }

constexpr std::string_view kOfV2 = R"({"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"a"},
  "spec":{"minReplicas":1,"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"},
    "behavior":{"scaleUp":{"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[{"type":"Pods","value":4,"periodSeconds":15}]},
                "scaleDown":{"selectPolicy":"Max","policies":[{"type":"Percent","value":100,"periodSeconds":15}]}},
    "metrics":[{"type":"Pods","pods":{"metric":{"name":"qps"},"target":{"type":"AverageValue","averageValue":"10"}}},
               {"type":"External","external":{"metric":{"name":"queue"},"target":{"type":"Value","value":"30"}}},
               {"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}}]},
  "status":{"desiredReplicas":2,"currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":40,"averageValue":"100m"}}}],
            "conditions":[{"type":"AbleToScale","status":"True","lastTransitionTime":"2020-01-01T00:00:00Z"}]}})";

TEST(VersionViewTest, AnAutoscalerOfV2SurvivesTheWayThroughV1) {
  Value object = parsed(kOfV2);
  const Value before = object;
  from_judged(*autoscalers("v1"), object);
  EXPECT_EQ(object.text("apiVersion"), "autoscaling/v1");
  EXPECT_EQ(object.at("spec.targetCPUUtilizationPercentage")->integer(), 50);
  EXPECT_EQ(object.at("status.currentCPUUtilizationPercentage")->integer(), 40);
  EXPECT_EQ(object.at("spec.metrics"), nullptr);
  EXPECT_EQ(*object.at("metadata.annotations")->find("autoscaling.alpha.kubernetes.io/metrics"),
            Value(R"([{"type":"Pods","pods":{"metricName":"qps","targetAverageValue":"10"}},{"type":"External","external":{"metricName":"queue","targetValue":"30"}}])"));
  to_judged(*autoscalers("v1"), object);
  EXPECT_EQ(object.at("metadata.annotations"), nullptr);
  for (const char* path : {"spec.metrics", "spec.behavior.scaleUp", "spec.behavior.scaleDown.policies", "status.currentMetrics", "status.conditions"}) {
    ASSERT_NE(object.at(path), nullptr) << path;
    EXPECT_EQ(*object.at(path), *before.at(path)) << path;
  }
}

TEST(VersionViewTest, AnEventHasItsFieldsUnderBothNames) {
  const ResourceTypePtr events = ResourceTable().find("events.k8s.io", "v1", "events");
  ASSERT_TRUE(events);
  EXPECT_EQ(events->storage_type().group, "");
  Value object = parsed(R"({"metadata":{"name":"a"},"regarding":{"kind":"Pod"},"note":"n","reportingController":"c","deprecatedCount":3})");
  to_judged(*events, object);
  EXPECT_EQ(object.text("apiVersion"), "v1");
  EXPECT_EQ(object.text("involvedObject.kind"), "Pod");
  EXPECT_EQ(object.text("message"), "n");
  EXPECT_EQ(object.at("count")->integer(), 3);
  from_judged(*events, object);
  EXPECT_EQ(object.text("reportingController"), "c");
  EXPECT_EQ(object.text("regarding.kind"), "Pod");
}

constexpr std::string_view kCrd = R"({"metadata":{"name":"things.x.io","generation":1},"spec":{"group":"x.io","scope":"Namespaced","versions":[
  {"name":"v1","served":false,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer","default":1}}}}},
  {"name":"v2","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object","properties":{"a":{"type":"string"},"c":{"type":"integer","default":2}}}}}]},
  "status":{"acceptedNames":{"plural":"things","kind":"Thing"}}})";

TEST(VersionViewTest, ACustomResourceIsPrunedAndDefaultedAsItIsRead) {
  const std::vector<ResourceType> types = types_of_crd(parsed(kCrd));
  ASSERT_EQ(types.size(), 1u);  // the stored version is not served, and known all the same
  const ResourceType& v2 = types[0];
  const Stored old("ns", "a", 5, R"({"metadata":{"name":"a","resourceVersion":"5"},"a":"x","gone":true})", nullptr);
  EXPECT_FALSE(shown_as_stored(v2, old));
  EXPECT_EQ(shown(v2, old), parsed(R"({"apiVersion":"x.io/v2","kind":"Thing","metadata":{"name":"a","resourceVersion":"5"},"a":"x"})"));
  EXPECT_EQ(shown(v2.storage_type(), old).at("b")->integer(), 1);
  Value written = parsed(R"({"apiVersion":"x.io/v2","kind":"Thing","metadata":{"name":"a"},"a":"x","c":2})");
  to_storage(v2, written);
  EXPECT_EQ(written.find("c"), nullptr);
}

TEST(VersionViewTest, BytesOfThePresentSchemaAreShownAsTheyAre) {
  const ResourceType v1 = types_of_crd(parsed(kCrd))[0].storage_type();
  const Stored fresh("ns", "a", 5, R"({"metadata":{"name":"a"},"kept":1})", nullptr, v1.shape);
  EXPECT_TRUE(shown_as_stored(v1, fresh));
  EXPECT_EQ(shown_json(v1, fresh), fresh.json);
  // The definition was written again: another shape.
  EXPECT_FALSE(shown_as_stored(types_of_crd(parsed(kCrd))[0].storage_type(), fresh));
}

}  // namespace
}  // namespace gs::apiserver
