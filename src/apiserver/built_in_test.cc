// What built-in types refuse and fill in, in the words of a kube-apiserver 1.36 (test/differential compares many more with it).
#include <gtest/gtest.h>

#include "apiserver/strategy.h"

namespace gs::apiserver {
namespace {

using json::Value;

ResourceTypePtr type_of(const std::string& group, const std::string& resource) {
  ResourceTable table;
  ResourceTypePtr out = table.find(group, resource);
  EXPECT_NE(out, nullptr) << resource;
  return out;
}

// What a create makes of a body; the message of the refusal where it is refused.
Checked<Prepared> made(const ResourceType& type, const std::string& body, const Value* old = nullptr) {
  Checked<Prepared> decoded = decode(type, *json::parse(body), body, FieldValidation::kStrict);
  if (!decoded) return decoded;
  decoded->object["metadata"]["uid"] = "u";
  return prepare(type, old == nullptr ? Operation::kCreate : Operation::kUpdate, std::move(decoded->object), old);
}

struct Refused {
  const char* group;
  const char* resource;
  const char* body;
  const char* message;
};

constexpr Refused kRefused[] = {
    {"", "services", R"({"metadata":{"name":"s"},"spec":{}})", R"(Service "s" is invalid: spec.ports: Required value)"},
    {"", "services", R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80},{"port":81}]}})",
     R"(Service "s" is invalid: [spec.ports[0].name: Required value, spec.ports[1].name: Required value])"},
    {"", "services", R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80}],"type":"Foo"}})",
     R"(Service "s" is invalid: spec.type: Unsupported value: "Foo": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort")"},
    {"", "configmaps", R"({"metadata":{"name":"c"},"data":{"a":"x"},"binaryData":{"a":"eA=="}})", R"(ConfigMap "c" is invalid: data[a]: Invalid value: "a": duplicate of key present in binaryData)"},
    {"", "secrets", R"({"metadata":{"name":"c"},"type":"kubernetes.io/tls"})", R"(Secret "c" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value])"},
    {"", "pods", R"({"metadata":{"name":"r"}})", R"(Pod "r" is invalid: spec.containers: Required value)"},
    {"", "events", R"({"metadata":{"name":"r","namespace":"default"},"involvedObject":{"namespace":"other"}})",
     R"(Event "r" is invalid: involvedObject.namespace: Invalid value: "other": does not match event.namespace)"},
    {"", "configmaps", R"({"metadata":{"name":"c","labels":{"a":"-"}}})",
     "ConfigMap \"c\" is invalid: metadata.labels: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
     "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
    {"", "configmaps", R"({"metadata":{"name":"c","finalizers":["x"]}})",
     R"(ConfigMap "c" is invalid: metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified)"},
    {"apps", "deployments", R"({"metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"x":"y"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})",
     R"(Deployment.apps "a" is invalid: spec.template.metadata.labels: Invalid value: {"x":"y"}: `selector` does not match template `labels`)"},
    {"apps", "deployments", R"({"metadata":{"name":"a"}})",
     R"(Deployment.apps "a" is invalid: [spec.selector: Required value, spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`, spec.template.spec.containers: Required value])"},
    {"batch", "cronjobs", R"({"metadata":{"name":"j"},"spec":{"schedule":"foo","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}})",
     R"(CronJob.batch "j" is invalid: spec.schedule: Invalid value: "foo": expected exactly 5 fields, found 1: [foo])"},
    {"rbac.authorization.k8s.io", "roles", R"({"metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""]}]})",
     R"(Role.rbac.authorization.k8s.io "r" is invalid: rules[0].resources: Required value: resource rules must supply at least one resource)"},
    {"coordination.k8s.io", "leases", R"({"metadata":{"name":"r"},"spec":{"leaseDurationSeconds":0}})", R"(Lease.coordination.k8s.io "r" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0)"},
    {"policy", "poddisruptionbudgets", R"({"metadata":{"name":"r"},"spec":{"minAvailable":1,"maxUnavailable":1}})",
     R"(PodDisruptionBudget.policy "r" is invalid: spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":1,"UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set)"},
    {"autoscaling", "horizontalpodautoscalers", R"({"metadata":{"name":"h"},"spec":{"minReplicas":3,"maxReplicas":2,"scaleTargetRef":{"kind":"Deployment","name":"d"}}})",
     R"(HorizontalPodAutoscaler.autoscaling "h" is invalid: [spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`, spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group])"},
    {"networking.k8s.io", "ingresses", R"({"metadata":{"name":"i"},"spec":{"rules":[{"http":{"paths":[{"path":"x","pathType":"Prefix","backend":{"service":{"name":"s","port":{}}}}]}}]}})",
     R"(Ingress.networking.k8s.io "i" is invalid: [spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path, spec.rules[0].http.paths[0].backend: Required value: port name or number is required])"},
    {"discovery.k8s.io", "endpointslices", R"({"metadata":{"name":"e"},"addressType":"IPv4","endpoints":[{"addresses":["2001:db8::1"]}]})",
     R"(EndpointSlice.discovery.k8s.io "e" is invalid: endpoints[0].addresses: Invalid value: "2001:db8::1": must be an IPv4 address)"},
    {"", "persistentvolumes", R"({"metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"}}})",
     R"(PersistentVolume "v" is invalid: spec: Required value: must specify a volume type)"},
    {"", "services", R"({"metadata":{"name":"s"},"spec":{"ipFamilyPolicy":"RequireDualStack","ports":[{"port":80}]}})",
     R"(Service "s" is invalid: spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services)"},
    {"", "configmaps", R"({"kind":"Secret","apiVersion":"v1","metadata":{"name":"c"}})", R"(Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion)"},
    {"", "configmaps", R"({"kind":"ConfigMap","apiVersion":"v2","metadata":{"name":"c"}})",
     R"(ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2" in scheme "pkg/runtime/scheme.go:111")"},
    {"", "configmaps", R"({"metadata":{"name":"c"},"data":{"k":5}})", R"(ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string)"},
    {"", "configmaps", R"({"metadata":{"name":"c"},"extra":1})", R"(ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "extra")"},
};

TEST(BuiltInTest, RefusesWhatKubernetesRefusesInItsWords) {
  for (const Refused& r : kRefused) {
    const Checked<Prepared> out = made(*type_of(r.group, r.resource), r.body);
    ASSERT_FALSE(out.has_value()) << r.body;
    EXPECT_EQ(json::parse(out.error().body)->text("message"), r.message) << r.body;
  }
}

TEST(BuiltInTest, FillsInWhatKubernetesFillsIn) {
  const auto out = made(*type_of("apps", "deployments"),
                        R"({"metadata":{"name":"a"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  ASSERT_TRUE(out.has_value()) << out.error().body;
  EXPECT_EQ(*out->object.find("spec"), *json::parse(R"({"replicas":1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i",
    "resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"Always"}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,
    "dnsPolicy":"ClusterFirst","securityContext":{},"schedulerName":"default-scheduler"}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}},
    "revisionHistoryLimit":10,"progressDeadlineSeconds":600})"));
  EXPECT_EQ(*out->object.find("status"), Value(json::Object()));
  EXPECT_EQ(out->object.at("metadata.generation")->integer(), 1);
}

TEST(BuiltInTest, TextOfASecretBecomesItsDataAndIsNotKept) {
  const auto out = made(*type_of("", "secrets"), R"({"metadata":{"name":"s"},"data":{"a":"eA=="},"stringData":{"b":"y"}})");
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(*out->object.find("data"), *json::parse(R"({"a":"eA==","b":"eQ=="})"));
  EXPECT_EQ(out->object.find("stringData"), nullptr);
  EXPECT_EQ(out->object.text("type"), "Opaque");
}

TEST(BuiltInTest, WhatIsImmutableStays) {
  const ResourceTypePtr maps = type_of("", "configmaps");
  const auto old = made(*maps, R"({"metadata":{"name":"c"},"data":{"a":"x"},"immutable":true})");
  ASSERT_TRUE(old.has_value());
  const auto changed = made(*maps, R"({"metadata":{"name":"c"},"data":{"a":"y"},"immutable":true})", &old->object);
  ASSERT_FALSE(changed.has_value());
  EXPECT_EQ(json::parse(changed.error().body)->text("message"), "ConfigMap \"c\" is invalid: data: Forbidden: field is immutable when `immutable` is set");
  const ResourceTypePtr services = type_of("", "services");
  const auto service = made(*services, R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}})");
  ASSERT_TRUE(service.has_value());
  const auto kept = made(*services, R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":81}]}})", &service->object);
  ASSERT_TRUE(kept.has_value()) << kept.error().body;
  EXPECT_EQ(kept->object.text("spec.clusterIP"), service->object.text("spec.clusterIP"));
}

TEST(BuiltInTest, AStatusIsWrittenAloneAndGenerationGrowsWithTheSpecOnly) {
  const ResourceTypePtr type = type_of("apps", "deployments");
  const std::string body = R"({"metadata":{"name":"a"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
  const auto old = made(*type, body);
  ASSERT_TRUE(old.has_value());
  Value wanted = old->object;
  wanted["spec"]["replicas"] = 5;
  wanted["status"]["replicas"] = 2;
  const auto status = prepare(*type, Operation::kUpdateStatus, wanted, &old->object);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->object.at("spec.replicas")->integer(), 2);
  EXPECT_EQ(status->object.at("status.replicas")->integer(), 2);
  EXPECT_EQ(status->object.at("metadata.generation")->integer(), 1);
  wanted["status"]["readyReplicas"] = 3;
  const auto refused = prepare(*type, Operation::kUpdateStatus, wanted, &old->object);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(json::parse(refused.error().body)->text("message"), "Deployment.apps \"a\" is invalid: status.readyReplicas: Invalid value: 3: cannot be greater than status.replicas");
  wanted["status"].make_object().erase("readyReplicas");
  const auto spec = prepare(*type, Operation::kUpdate, wanted, &status->object);
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->object.at("metadata.generation")->integer(), 2);
}

TEST(ResourceTableTest, VersionsArePreferredAsKubernetesPrefersThem) {
  EXPECT_TRUE(preferred_version("v2", "v1"));
  EXPECT_TRUE(preferred_version("v10", "v2"));
  EXPECT_TRUE(preferred_version("v1", "v2beta1"));
  EXPECT_TRUE(preferred_version("v1beta2", "v1beta1"));
  EXPECT_TRUE(preferred_version("v1beta1", "v3alpha1"));
  EXPECT_TRUE(preferred_version("v1alpha1", "foo"));
  EXPECT_TRUE(preferred_version("bar", "foo"));
  EXPECT_FALSE(preferred_version("v1", "v1"));
}

TEST(ResourceTableTest, BuiltInTypesAreSharedAndACustomOneHidesThem) {
  ResourceTable one, two;
  EXPECT_EQ(one.find("apps", "deployments"), two.find("apps", "deployments"));
  one.add(ResourceType("apps", "v1", "deployments", "Mine", true));
  EXPECT_EQ(one.find("apps", "deployments")->kind, "Mine");
  EXPECT_EQ(two.find("apps", "deployments")->kind, "Deployment");
  size_t seen = 0;
  one.for_each([&](const ResourceType& type) { seen += type.resource == "deployments" ? 1 : 0; });
  EXPECT_EQ(seen, 1u);
  one.remove("apps", "deployments");
  EXPECT_EQ(one.find("apps", "deployments")->kind, "Deployment");
}

}  // namespace
}  // namespace gs::apiserver
