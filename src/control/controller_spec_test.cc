#include "control/controller_spec.h"

#include "json/yaml.h"

namespace gs::control {
namespace {

Result<ControllerSpec> parse(const std::string& spec) {
  const auto documents = json::parse_yaml("metadata: {name: c, uid: u, generation: 3}\nspec:\n" + spec);
  EXPECT_TRUE(documents) << documents.error().message;
  return parse_controller((*documents)[0]);
}

TEST(ControllerSpec, ReadsEveryFieldOfTheTable) {
  const auto c = parse(R"(
  primary: {group: example.dev, version: v1, resource: websites, namespace: ns, match: [{fieldPath: .spec.class, value: x}], resyncPeriod: 10s}
  secondary:
  - {group: apps, version: v1, resource: deployments, verbs: [get, patch]}
  - {version: v1, resource: secrets, relationship: Reference, delegateWatch: true}
  authorized: [{group: "", resources: [events], verbs: [create], allowCrossNamespace: true}]
  configs: [{name: config-x, namespace: s, onChanged: Resync}, {name: hub-x, source: Hub}]
  delegate: https://d.example:8443
  clusterSelector: {namespaces: [a], labels: {matchLabels: {env: prod}}}
  sessionIsolation: Shared
)");
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->generation, 3);
  EXPECT_EQ(c->primary.resource.to_string(), "websites.v1.example.dev");
  EXPECT_EQ(c->primary.match[0].field_path, "spec.class");
  EXPECT_EQ(c->primary.resync_period, std::chrono::seconds(10));
  EXPECT_EQ(c->secondary[0].relationship, Relationship::kOwner);
  EXPECT_EQ(c->secondary[1].relationship, Relationship::kReference);
  EXPECT_TRUE(c->authorized[0].allow_cross_namespace);
  EXPECT_TRUE(c->configs[0].resync_on_change);
  EXPECT_TRUE(c->configs[1].from_hub);
  EXPECT_TRUE(c->shared_sessions);
  const gateway::Rules rules = rules_of(*c, true, {"configmaps", ""});
  ASSERT_EQ(rules.configs.size(), 1u) << "a hub's config grants nothing in the cluster";
  EXPECT_EQ(rules.configs[0].resource, "configmaps");
}

TEST(ControllerSpec, ErrorsNameTheField) {
  struct Row {
    const char *spec, *error;
  };
  const std::string good = "  primary: {version: v1, resource: pods}\n  delegate: http://127.0.0.1:1\n";
  const Row rows[] = {
      {"  delegate: http://x\n", "spec.primary: is required"},
      {"  primary: {version: v1}\n  delegate: http://x\n", "spec.primary.resource: is required"},
      {"  primary: {version: v1, resource: Pods}\n  delegate: http://x\n", "spec.primary.resource: \"Pods\" must be the plural"},
      {"  primary: {version: v1, resource: pods, resyncPeriod: soon}\n  delegate: http://x\n", "spec.primary.resyncPeriod: \"soon\" is not a duration"},
      {"  primary: {version: v1, resource: pods, resyncPeriod: 5ms}\n  delegate: http://x\n", "spec.primary.resyncPeriod: \"5ms\" is shorter than a second"},
      {"  primary: {version: v1, resource: pods, match: [{fieldPath: a..b}]}\n  delegate: http://x\n", "spec.primary.match[0].fieldPath: \"a..b\" is not members"},
      {"  primary: {version: v1, resource: pods}\n", "spec.delegate: is required"},
      {"  primary: {version: v1, resource: pods}\n  delegate: ftp://x\n", "spec.delegate: \"ftp://x\""},
  };
  for (const Row& row : rows) {
    const auto c = parse(row.spec);
    ASSERT_FALSE(c) << row.error;
    EXPECT_NE(c.error().message.find(row.error), std::string::npos) << c.error().message;
  }
  const Row more[] = {
      {"  secondary: [{version: v1, resource: x, relationship: Owner}]\n", "spec.secondary[0].relationship"},
      {"  secondary: [{version: v1, resource: x, verbs: [read]}]\n", "spec.secondary[0].verbs: \"read\""},
      {"  authorized: [{resources: []}]\n", "spec.authorized[0].resources"},
      {"  configs: [{name: x}]\n", "spec.configs[0].namespace: is required"},
      {"  configs: [{name: x, source: Hub, kind: Secret}]\n", "never Secrets"},
      {"  configs: [{name: x, namespace: ns, onChanged: Restart}]\n", "spec.configs[0].onChanged"},
      {"  clusterSelector: {labels: {matchExpressions: [{key: a, operator: Is}]}}\n", "spec.clusterSelector.labels.matchExpressions[0].operator"},
      {"  sessionIsolation: Own\n", "spec.sessionIsolation"},
      {"  secondary: {}\n", "spec.secondary: must be a list"},
  };
  for (const Row& row : more) {
    const auto c = parse(good + row.spec);
    ASSERT_FALSE(c) << row.error;
    EXPECT_NE(c.error().message.find(row.error), std::string::npos) << c.error().message;
  }
}

std::vector<FieldMatch> match(std::initializer_list<std::pair<std::string, std::string>> entries) {
  std::vector<FieldMatch> out;
  for (const auto& [path, value] : entries) out.push_back(*FieldMatch::make(path, value));
  return out;
}

TEST(ControllerSpec, MatchComparesFieldsAsText) {
  const std::string object =
      R"({"metadata":{"labels":{"app.kubernetes.io/name":"web","a":"b"}},"spec":{"class":"x","replicas":3,"on":true,"a.b":{"c":"d"}}})";
  EXPECT_TRUE(matches({}, object));
  EXPECT_TRUE(matches(match({{"spec.class", "x"}, {"spec.replicas", "3"}, {"spec.on", "true"}}), object));
  EXPECT_FALSE(matches(match({{"spec.class", "y"}}), object));
  EXPECT_TRUE(matches(match({{"spec.absent", ""}}), object));
  EXPECT_TRUE(matches(match({{"metadata.labels.a", "b"}, {"metadata.labels.app.kubernetes.io/name", "web"}}), object)) << "label keys have dots";
  EXPECT_TRUE(matches(match({{".metadata.labels['app.kubernetes.io/name']", "web"}, {"spec[\"a.b\"].c", "d"}}), object));
  for (const char* bad : {"", ".", "spec.", "spec..x", "spec[x]", "spec['x", "spec['x']y"}) EXPECT_FALSE(FieldMatch::make(bad, "")) << bad;
}

TEST(ControllerSpec, OnlyWhatNeverChangesGoesToTheServer) {
  struct Row {
    std::string ns;
    std::vector<FieldMatch> entries;
    std::string pushed_ns, fields;
  };
  const Row rows[] = {
      {"", match({{"metadata.labels.a", "b"}, {"spec.class", "x"}}), "", ""},
      {"", match({{"metadata.name", "n"}}), "", "metadata.name=n"},
      {"", match({{"metadata.namespace", "a"}, {"metadata.name", "n"}}), "a", "metadata.name=n"},
      {"a", match({{"metadata.namespace", "a"}}), "a", ""},
  };
  for (const Row& row : rows) {
    const Pushed pushed = pushed_to_server(row.ns, row.entries);
    EXPECT_EQ(pushed.ns, row.pushed_ns);
    EXPECT_EQ(pushed.field_selector, row.fields);
  }
}

TEST(ControllerSpec, AnObjectsOwnResyncIsADurationOrNever) {
  const auto resync = [](const std::string& annotations) {
    return resync_annotation(**kube::Object::parse(R"({"metadata":{"name":"x","annotations":)" + annotations + "}}"));
  };
  EXPECT_EQ(*resync("{}"), std::nullopt);
  EXPECT_EQ(*resync(R"({"gulfstream.dev/resync":"10s"})"), std::chrono::seconds(10));
  EXPECT_EQ(*resync(R"({"gulfstream.dev/resync":"0"})"), Duration::zero());
  EXPECT_EQ(*resync(R"({"gulfstream.dev/resync":"1ms"})"), std::chrono::seconds(1)) << "not a busy loop";
  for (const char* bad : {"soon", "", "10", "-5s"}) {
    const auto refused = resync(std::string(R"({"gulfstream.dev/resync":")") + bad + "\"}");
    ASSERT_FALSE(refused) << bad;
    EXPECT_NE(refused.error().message.find("is not a duration such as 30s or 10h, or 0 for never"), std::string::npos);
  }
}

}  // namespace
}  // namespace gs::control
