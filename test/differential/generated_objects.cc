#include "test/differential/generated_objects.h"

#include <rapidcheck.h>

#include "base/check.h"

namespace gs::differential {
namespace {

using json::Array;
using json::Value;

constexpr const char* kCustom = R"(## preparation
POST /apis/apiextensions.k8s.io/v1/customresourcedefinitions
metadata: {name: things.generated.example.com}
spec:
  group: generated.example.com
  scope: Namespaced
  names: {plural: things, kind: Thing}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns: [{name: Mode, type: string, jsonPath: .spec.mode}, {name: Replicas, type: integer, jsonPath: .spec.replicas}]
    selectableFields: [{jsonPath: .spec.mode}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              mode: {type: string, enum: [fast, slow]}
              replicas: {type: integer, minimum: 0, maximum: 10, default: 1}
              name: {type: string, minLength: 2, maxLength: 5, pattern: '^[a-z]+$'}
              ratio: {type: number}
              list: {type: array, maxItems: 3, items: {type: string}}
              unique: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [port]
                items: {type: object, required: [port], properties: {port: {type: integer}, name: {type: string, default: web}}}
              either: {x-kubernetes-int-or-string: true}
              anything: {type: object, x-kubernetes-preserve-unknown-fields: true}
              map: {type: object, additionalProperties: {type: integer}}
              nullable: {type: string, nullable: true, default: d}
              nested: {type: object, default: {}, properties: {x: {type: integer, default: 5}}}
          status:
            type: object
            properties: {replicas: {type: integer}, phase: {type: string}}
GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.generated.example.com
until: /status/conditions/1/status True
GET /apis/generated.example.com/v1/namespaces/$ns/things
until: /kind ThingList
)";

Value from(const char* text) {
  auto value = json::parse(text);
  if (!value) check_failed(__FILE__, __LINE__, text);
  return *std::move(value);
}

Value one_of(const std::vector<const char*>& choices) { return from(*rc::gen::elementOf(choices)); }
// Ranges of rapidcheck grow with the size of a test; ours do not.
size_t below(size_t end) { return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<size_t>(0, end)); }
bool chance(size_t percent) { return below(100) < percent; }

// A field and what it may be given; null is for merge patches.
struct Field {
  const char* path;  // JSON pointer
  std::vector<const char*> values;
};

const std::vector<Field>& metadata_fields() {
  static const std::vector<Field> fields = {
      {"/metadata/labels", {R"({"app":"x"})", R"({"app":"z"})", R"({"app":"x","tier":"front"})", "{}", R"({"app":"bad value!"})"}},
      {"/metadata/annotations", {R"({"a":"b"})", R"({"a":""})", "{}"}},
      {"/metadata/finalizers", {R"(["example.com/f"])", R"(["example.com/f","example.com/g"])", "[]", R"(["nonsense"])"}},
  };
  return fields;
}

const std::vector<Field>& fields_of(const Kind& kind) {
  static const std::vector<Field> config_map = {
      {"/data", {R"({"k":"v"})", R"({"k":"w","l":""})", "{}", R"({"k":1})", R"({"bad key":"x"})"}},
      {"/binaryData", {R"({"b":"eA=="})", R"({"k":"eA=="})", R"({"b":"!"})"}},
      {"/immutable", {"true", "false", R"("yes")"}},
      {"/unknown", {"1"}},
  };
  static const std::vector<Field> secret = {
      {"/data", {R"({"k":"dg=="})", R"({"k":"dw==","l":""})", "{}", R"({"k":"!"})"}},
      {"/stringData", {R"({"k":"text"})", R"({"m":""})"}},
      {"/type", {R"("Opaque")", R"("example.com/t")", R"("kubernetes.io/basic-auth")"}},
      {"/immutable", {"true", "false"}},
  };
  static const std::vector<Field> lease = {
      {"/spec", {R"({"holderIdentity":"me","leaseDurationSeconds":15})", R"({"holderIdentity":"you","leaseTransitions":1})", "{}", R"({"leaseDurationSeconds":0})"}},
      {"/spec/holderIdentity", {R"("me")", R"("you")", R"("")"}},
      {"/spec/renewTime", {R"("2020-01-01T00:00:00.000000Z")", R"("2020-01-01T00:00:01.500000Z")", R"("yesterday")"}},
      {"/spec/leaseDurationSeconds", {"15", "0", R"("x")"}},
  };
  static const std::vector<Field> service = {
      {"/spec/selector", {R"({"a":"b"})", R"({"a":"c","d":"e"})"}},
      {"/spec/ports", {R"([{"port":80}])", R"([{"name":"web","port":80,"targetPort":"web"},{"name":"tls","port":443}])", R"([{"port":80},{"port":81}])", R"([{"port":0}])"}},
      {"/spec/clusterIP", {R"("None")"}},
      {"/spec/sessionAffinity", {R"("None")", R"("ClientIP")", R"("Other")"}},
  };
  static const std::vector<Field> deployment = {
      {"/spec/replicas", {"0", "1", "3", "-1", R"("x")"}},
      {"/spec/paused", {"true", "false"}},
      {"/spec/strategy", {R"({"type":"Recreate"})", R"({"type":"RollingUpdate","rollingUpdate":{"maxSurge":1,"maxUnavailable":"10%"}})"}},
      {"/spec/minReadySeconds", {"5", "-5"}},
      {"/spec/template/metadata/annotations", {R"({"x":"y"})", "{}"}},
      {"/spec/template/spec/containers", {R"([{"name":"c","image":"i"}])", R"([{"name":"c","image":"j","env":[{"name":"A","value":"1"}]},{"name":"d","image":"k:latest","ports":[{"containerPort":80}]}])"}},
      {"/status/replicas", {"1", "5"}},
  };
  static const std::vector<Field> thing = {
      {"/spec", {R"({})", R"({"mode":"fast"})", R"({"mode":"slow","replicas":3,"unknown":1})"}},
      {"/spec/mode", {R"("fast")", R"("slow")", R"("sideways")", "5"}},
      {"/spec/replicas", {"0", "5", "11", "1.5", R"("x")"}},
      {"/spec/name", {R"("abc")", R"("a")", R"("ABC")", R"("abcdef")"}},
      {"/spec/ratio", {"0.5", "1", "1e3", R"("x")"}},
      {"/spec/list", {R"(["a"])", R"(["a","b","c","d"])", R"([1])", "[]"}},
      {"/spec/unique", {R"(["a","b"])", R"(["a","a"])"}},
      {"/spec/ports", {R"([{"port":1}])", R"([{"port":1},{"port":1}])", R"([{"port":2,"name":"x","extra":1}])", R"([{"name":"x"}])"}},
      {"/spec/either", {"1", R"("a")", "true"}},
      {"/spec/anything", {R"({"x":{"y":[1,null,"z"]}})", "{}", R"("x")"}},
      {"/spec/map", {R"({"a":1})", R"({"a":1,"b":2})", R"({"a":"x"})"}},
      {"/spec/nullable", {"null", R"("n")"}},
      {"/spec/nested", {"{}", R"({"x":6})", R"({"y":6})"}},
      {"/status", {R"({"phase":"Ready"})", R"({"replicas":2,"extra":1})", R"({"phase":5})"}},
      {"/top", {"1"}},
  };
  if (kind.kind == "ConfigMap") return config_map;
  if (kind.kind == "Secret") return secret;
  if (kind.kind == "Lease") return lease;
  if (kind.kind == "Service") return service;
  if (kind.kind == "Deployment") return deployment;
  return thing;
}

// The value at a pointer whose parents are made.
void put(Value& object, std::string_view pointer, Value value) {
  Value* at = &object;
  for (pointer.remove_prefix(1);;) {
    const size_t slash = pointer.find('/');
    if (slash == std::string_view::npos) break;
    at = &(*at)[pointer.substr(0, slash)];
    pointer.remove_prefix(slash + 1);
  }
  (*at)[pointer] = std::move(value);
}

const Field& any_field(const Kind& kind) {
  const std::vector<Field>& fields = chance(35) ? metadata_fields() : fields_of(kind);
  return fields[below(fields.size())];
}

// What a kind cannot be without.
Value base(const Kind& kind) {
  if (kind.kind == "Deployment") {
    return from(R"({"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  }
  if (kind.kind == "Service") return from(R"({"spec":{"ports":[{"port":80}]}})");
  return from("{}");
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"ConfigMap", "v1", "/api/v1/namespaces/$ns/configmaps", false, false, false},
      {"Secret", "v1", "/api/v1/namespaces/$ns/secrets", false, false, false},
      {"Lease", "coordination.k8s.io/v1", "/apis/coordination.k8s.io/v1/namespaces/$ns/leases", false, false, false},
      {"Service", "v1", "/api/v1/namespaces/$ns/services", true, false, false},
      {"Deployment", "apps/v1", "/apis/apps/v1/namespaces/$ns/deployments", true, true, false},
      {"Thing", "generated.example.com/v1", "/apis/generated.example.com/v1/namespaces/$ns/things", true, true, true},
  };
  return all;
}

Sequence preparation() {
  auto parsed = parse_sequences("generated_objects.cc", kCustom);
  if (!parsed) check_failed(__FILE__, __LINE__, parsed.error().message.c_str());
  return parsed->front();
}

Value generated_object(const Kind& kind, const std::string& name) {
  Value out = base(kind);
  out["apiVersion"] = kind.api_version;
  out["kind"] = kind.kind;
  if (chance(50)) put(out, "/metadata/labels", one_of(metadata_fields()[0].values));
  for (size_t i = below(4); i > 0; --i) {
    const Field& field = any_field(kind);
    // Mostly the first values: they are good.
    const size_t most = chance(70) ? std::min<size_t>(2, field.values.size()) : field.values.size();
    put(out, field.path, from(field.values[below(most)]));
  }
  out["metadata"]["name"] = name;
  return out;
}

Value generated_merge_patch(const Kind& kind) {
  Value out = from("{}");
  for (size_t i = 1 + below(2); i > 0; --i) {
    const Field& field = any_field(kind);
    put(out, field.path, chance(15) ? Value() : one_of(field.values));
  }
  return out;
}

Value generated_json_patch(const Kind& kind) {
  Array out;
  for (size_t i = 1 + below(2); i > 0; --i) {
    const Field& field = any_field(kind);
    Value operation;
    operation["op"] = *rc::gen::elementOf(std::vector<std::string>{"add", "add", "replace", "remove", "test"});
    operation["path"] = field.path;
    if (operation.text("op") != "remove") operation["value"] = one_of(field.values);
    out.push_back(std::move(operation));
  }
  return out;
}

}  // namespace gs::differential
