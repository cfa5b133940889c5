// What kubectl shows: ages, printers, printer columns, and Tables as a whole.
#include <fmt/format.h>

#include "apiserver/representation.h"
#include "apiserver/table/json_path.h"
#include "apiserver/table/printers.h"

namespace gs::apiserver {
namespace {

using namespace std::chrono_literals;

const WallTime kNow = *parse_rfc3339("2026-01-02T00:00:00Z");

std::string cells(const char* group, const char* resource, const char* object) {
  const table::Printer* printer = table::find_printer(group, resource);
  const json::Value value = *json::parse(object);
  table::Row row(value, kNow);
  printer->print(row);
  EXPECT_EQ(row.cells.size(), printer->columns.size()) << resource;
  return json::Value(row.cells).dump();
}

TEST(TableTest, AgesReadAsKubectlPrintsThem) {
  const std::vector<std::pair<Duration, std::string>> table = {{-5s, "<invalid>"}, {-1s, "0s"}, {119s, "119s"}, {120s, "2m"}, {605s, "10m"}, {125s, "2m5s"}, {3h, "3h"}, {3h + 5min, "3h5m"}, {47h, "47h"},
                                                               {50h, "2d2h"}, {24h * 30, "30d"}, {24h * 800, "2y70d"}, {24h * 365 * 9, "9y"}};
  for (const auto& [duration, text] : table) EXPECT_EQ(table::human_duration(duration), text);
}

TEST(TableTest, EveryPrinterFillsItsColumnsFromAnEmptyObject) {
  for (const auto& [group, resource] : std::vector<std::pair<const char*, const char*>>{
           {"", "pods"}, {"", "nodes"}, {"", "services"}, {"", "endpoints"}, {"", "events"}, {"", "namespaces"}, {"", "configmaps"}, {"", "secrets"}, {"", "serviceaccounts"}, {"", "persistentvolumes"},
           {"", "persistentvolumeclaims"}, {"", "resourcequotas"}, {"", "limitranges"}, {"", "replicationcontrollers"}, {"", "podtemplates"}, {"apps", "deployments"}, {"apps", "replicasets"},
           {"apps", "statefulsets"}, {"apps", "daemonsets"}, {"apps", "controllerrevisions"}, {"batch", "jobs"}, {"batch", "cronjobs"}, {"policy", "poddisruptionbudgets"},
           {"autoscaling", "horizontalpodautoscalers"}, {"networking.k8s.io", "ingresses"}, {"networking.k8s.io", "networkpolicies"}, {"networking.k8s.io", "ingressclasses"},
           {"discovery.k8s.io", "endpointslices"}, {"storage.k8s.io", "storageclasses"}, {"storage.k8s.io", "csidrivers"}, {"storage.k8s.io", "volumeattachments"},
           {"coordination.k8s.io", "leases"}, {"scheduling.k8s.io", "priorityclasses"}, {"rbac.authorization.k8s.io", "roles"}, {"rbac.authorization.k8s.io", "clusterrolebindings"},
           {"admissionregistration.k8s.io", "mutatingwebhookconfigurations"}, {"apiextensions.k8s.io", "customresourcedefinitions"}, {"certificates.k8s.io", "certificatesigningrequests"},
           {"flowcontrol.apiserver.k8s.io", "flowschemas"}, {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"}, {"resource.k8s.io", "resourceclaims"}}) {
    ASSERT_NE(table::find_printer(group, resource), nullptr) << resource;
    cells(group, resource, R"({"metadata":{"name":"x"}})");
  }
}

TEST(TableTest, PodsAreShownByWhatTheirContainersDo) {
  EXPECT_EQ(cells("", "pods", R"({"metadata":{"name":"p","creationTimestamp":"2026-01-01T23:59:00Z"},"spec":{"nodeName":"n","containers":[{"name":"a"},{"name":"b"}]},
    "status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"}],"containerStatuses":[{"name":"a","ready":true,"state":{"running":{}},"restartCount":0},
    {"name":"b","ready":false,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"restartCount":3,"lastState":{"terminated":{"finishedAt":"2026-01-01T23:59:30Z"}}}]}})"),
            R"x(["p","1/2","CrashLoopBackOff","3 (30s ago)","60s","10.0.0.1","n","<none>","<none>"])x");
  EXPECT_EQ(cells("", "pods", R"({"metadata":{"name":"p"},"spec":{"initContainers":[{"name":"i"}],"containers":[{"name":"a"}]},
    "status":{"phase":"Pending","initContainerStatuses":[{"name":"i","restartCount":0,"state":{"terminated":{"exitCode":2}}}]}})"),
            R"(["p","0/1","Init:ExitCode:2","0","<unknown>","<none>","<none>","<none>","<none>"])");
  EXPECT_EQ(cells("", "pods", R"({"metadata":{"name":"p","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Running"}})"),
            R"(["p","0/1","Terminating","0","<unknown>","<none>","<none>","<none>","<none>"])");
}

TEST(TableTest, WorkloadsAndServicesReadAsKubectlPrintsThem) {
  EXPECT_EQ(cells("apps", "deployments", R"({"metadata":{"name":"d","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"a"}},
    "template":{"spec":{"containers":[{"name":"c","image":"i:1"},{"name":"e","image":"j"}]}}},"status":{"readyReplicas":2,"updatedReplicas":3,"availableReplicas":2}})"),
            R"(["d","2/3",3,2,"24h","c,e","i:1,j","app=a"])");
  EXPECT_EQ(cells("", "services", R"({"metadata":{"name":"s"},"spec":{"type":"NodePort","clusterIPs":["10.1.1.1"],"ports":[{"port":80,"nodePort":30080,"protocol":"TCP"},{"port":53,"protocol":"UDP"}],"selector":{"b":"2","a":"1"}}})"),
            R"(["s","NodePort","10.1.1.1","<none>","80:30080/TCP,53/UDP","<unknown>","a=1,b=2"])");
  EXPECT_EQ(cells("batch", "jobs", R"({"metadata":{"name":"j"},"spec":{"completions":2},"status":{"succeeded":2,"startTime":"2026-01-01T00:00:00Z","completionTime":"2026-01-01T00:01:05Z","conditions":[{"type":"Complete","status":"True"}]}})"),
            R"(["j","Complete","2/2","65s","<unknown>","","","<none>"])");
  EXPECT_EQ(cells("", "endpoints", R"({"metadata":{"name":"e"},"subsets":[{"addresses":[{"ip":"1.1.1.1"},{"ip":"1.1.1.2"}],"ports":[{"port":1},{"port":2}]}]})"),
            R"(["e","1.1.1.1:1,1.1.1.2:1,1.1.1.1:2 + 1 more...","<unknown>"])");
}

TEST(JsonPathTest, LeadsToMembersIndexesAndFilteredElements) {
  const json::Value root = *json::parse(R"({"spec":{"a":1,"x.y":"q","list":[{"t":"A","v":1},{"t":"B","v":2}]}})");
  const auto find = [&](const char* path) {
    const auto parsed = table::JsonPath::parse(path);
    const json::Value* found = parsed ? parsed->find(root) : nullptr;
    return found == nullptr ? std::string("-") : found->dump();
  };
  EXPECT_EQ(find(".spec.a"), "1");
  EXPECT_EQ(find("{.spec.a}"), "1");
  EXPECT_EQ(find(".spec['x.y']"), "\"q\"");
  EXPECT_EQ(find(".spec.x\\.y"), "\"q\"");
  EXPECT_EQ(find(".spec.list[1].v"), "2");
  EXPECT_EQ(find(".spec.list[-1].t"), "\"B\"");
  EXPECT_EQ(find(".spec.list[*].t"), "\"A\"");
  EXPECT_EQ(find(".spec.list[?(@.t==\"B\")].v"), "2");
  EXPECT_EQ(find(".spec.list[?(@.t!='A')].v"), "2");
  EXPECT_EQ(find(".spec.list[?(@.v==1)].t"), "\"A\"");
  EXPECT_EQ(find(".spec.list[?(@.t==\"C\")].v"), "-");
  EXPECT_EQ(find(".spec.none.deeper"), "-");
  EXPECT_FALSE(table::JsonPath::parse("..a"));
  EXPECT_FALSE(table::JsonPath::parse(".a[1:3]"));
  EXPECT_FALSE(table::JsonPath::parse(".a["));
}

TEST(RepresentationTest, IsChosenByAcceptAndRefusedWhereNothingFits) {
  gateway::RestRequest request;
  ResourceType type("", "v1", "pods", "Pod", true);
  const auto kind = [&](const std::string& accept) {
    const auto chosen = negotiate(&accept, type, request);
    return chosen ? static_cast<int>(chosen->kind) : -chosen.error().status;
  };
  using K = Representation::Kind;
  EXPECT_EQ(kind("application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"), static_cast<int>(K::kTable));
  EXPECT_EQ(kind("application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"), static_cast<int>(K::kPartial));
  EXPECT_EQ(kind("application/vnd.kubernetes.protobuf,*/*"), static_cast<int>(K::kObject));
  const auto protobuf = [&](const std::string& accept) { return negotiate(&accept, type, request)->protobuf; };
  EXPECT_TRUE(protobuf("application/vnd.kubernetes.protobuf,*/*"));
  EXPECT_FALSE(protobuf("application/json,application/vnd.kubernetes.protobuf"));
  EXPECT_TRUE(protobuf("application/json;q=0.5,application/vnd.kubernetes.protobuf;stream=watch"));
  EXPECT_FALSE(protobuf("*/*"));
  type.custom = true;
  EXPECT_FALSE(protobuf("application/vnd.kubernetes.protobuf,*/*"));
  type.custom = false;
  EXPECT_EQ(kind("application/json;q=0.1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), static_cast<int>(K::kPartialList));
  EXPECT_EQ(kind("text/html"), -406);
  EXPECT_EQ(kind("application/json;as=Table;v=v2;g=meta.k8s.io"), -406);
  request.options["includeObject"] = "Some";
  EXPECT_EQ(kind("application/json;as=Table;v=v1;g=meta.k8s.io"), -400);
}

TEST(RepresentationTest, ATableOfCustomResourcesHasTheirColumnsOnceInAWatch) {
  ResourceType type = custom_resource("example.com", "v1", "things", "Thing");
  PrinterColumn size;
  size.name = "Size";
  size.type = "integer";
  size.json_path = ".spec.size";
  type.columns = {size};
  Representation as;
  as.kind = Representation::Kind::kTable;
  Presenter presenter(type, as, kNow);
  std::string first, second;
  presenter.object(R"({"metadata":{"name":"a","resourceVersion":"7"},"spec":{"size":3}})", first);
  presenter.object(R"({"metadata":{"name":"b","resourceVersion":"8"},"spec":{"size":"many"}})", second);
  EXPECT_EQ(first,
            R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"","priority":0},)"
            R"({"name":"Size","type":"integer","format":"","description":"","priority":0}],"rows":[{"cells":["a",3],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",)"
            R"("metadata":{"name":"a","resourceVersion":"7"}}}]})");
  EXPECT_NE(second.find(R"("columnDefinitions":null,"rows":[{"cells":["b",null])"), std::string::npos);
}

}  // namespace
}  // namespace gs::apiserver
