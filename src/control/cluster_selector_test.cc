#include "control/cluster_selector.h"

#include "control/engine.h"

namespace gs::control {
namespace {

fleet::ClusterSpec cluster(const std::string& tenant, const std::string& labels) {
  fleet::ClusterSpec out;
  out.tenant = tenant;
  out.name = "c";
  out.labels = labels;
  return out;
}

std::optional<ClusterSelector> selector(const std::string& json) {
  if (json.empty()) return std::nullopt;
  const auto controller = json::parse(R"({"metadata":{"name":"c"},"spec":{"primary":{"version":"v1","resource":"pods"},"delegate":"http://127.0.0.1:1","clusterSelector":)" + json + "}}");
  return parse_controller(*controller)->cluster_selector;
}

struct Case {
  const char* selector;
  // Of: gold/prod, gold/test, free/prod (which also calls itself gold), nobody knows the namespace/prod.
  std::string hub;
};

TEST(ClusterSelectorTest, InAHubTheNamespacePartDecidesFirstAndMustBeThere) {
  Desired hub;
  hub.select_all_by_default = false;
  hub.namespace_labels = {{"gold", R"({"tier":"gold"})"}, {"free", ""}};
  const std::vector<fleet::ClusterSpec> clusters = {cluster("gold", R"({"env":"prod"})"), cluster("gold", R"({"env":"test"})"),
                                                    cluster("free", R"({"env":"prod","tier":"gold"})"), cluster("new", R"({"env":"prod"})")};
  const std::vector<Case> cases = {
      {"", "----"},
      {"{}", "----"},
      {R"({"labels":{}})", "----"},
      {R"({"labels":{"matchLabels":{"env":"prod"}}})", "----"},
      {R"({"namespaces":["gold"]})", "++--"},
      {R"({"namespaces":["gold","free"],"labels":{"matchLabels":{"env":"prod"}}})", "+-+-"},
      {R"({"namespaces":["new"]})", "---+"},
      {R"({"namespaceSelector":{}})", "++++"},
      {R"({"namespaceSelector":{"matchLabels":{"tier":"gold"}}})", "++--"},
      {R"({"namespaceSelector":{"matchLabels":{"tier":"gold"}},"labels":{"matchLabels":{"env":"prod"}}})", "+---"},
      {R"({"namespaceSelector":{"matchExpressions":[{"key":"tier","operator":"DoesNotExist"}]}})", "--+-"},
      {R"({"namespaces":["free","gold"],"namespaceSelector":{"matchLabels":{"tier":"gold"}}})", "++--"},
  };
  for (const Case& c : cases) {
    std::string got;
    for (const auto& spec : clusters) got += selects(selector(c.selector), spec, hub) ? '+' : '-';
    EXPECT_EQ(got, c.hub) << c.selector;
  }
}

TEST(ClusterSelectorTest, WithoutAHubAnAbsentSelectorMeansAll) {
  const Desired directory;
  EXPECT_TRUE(selects(std::nullopt, cluster("", "{}"), directory));
  EXPECT_TRUE(selects(selector("{}"), cluster("", "{}"), directory));
  EXPECT_TRUE(selects(selector(R"({"labels":{"matchLabels":{"env":"prod"}}})"), cluster("", R"({"env":"prod"})"), directory));
  EXPECT_FALSE(selects(selector(R"({"labels":{"matchLabels":{"env":"prod"}}})"), cluster("", "{}"), directory));
  EXPECT_FALSE(selects(selector(R"({"namespaces":["a"]})"), cluster("", "{}"), directory));
}

}  // namespace
}  // namespace gs::control
