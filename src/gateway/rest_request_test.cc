#include "gateway/rest_request.h"

namespace gs::gateway {
namespace {

struct Accepted {
  const char *method, *path, *query, *content_type, *seen;
};

std::string describe(const RestRequest& r) {
  return std::string(verb_name(r.verb)) + " " + r.group + "/" + r.version + " " + r.resource_path() + " ns=" + r.ns + " name=" + r.name;
}

TEST(RestRequest, IsReadAsTheApiServerReadsIt) {
  const Accepted rows[] = {
      {"GET", "/api/v1/namespaces/a/configmaps/x", "", "", "get /v1 configmaps ns=a name=x"},
      {"GET", "/api/v1/namespaces/a/configmaps", "labelSelector=a%3Db", "", "list /v1 configmaps ns=a name="},
      {"GET", "/api/v1/configmaps", "watch=1", "", "watch /v1 configmaps ns= name="},
      {"GET", "/api/v1/configmaps", "watch=false", "", "list /v1 configmaps ns= name="},
      {"GET", "/api/v1/namespaces", "", "", "list /v1 namespaces ns= name="},
      {"GET", "/api/v1/namespaces/a", "", "", "get /v1 namespaces ns=a name=a"},
      {"PUT", "/api/v1/namespaces/a/finalize", "", "", "update /v1 namespaces/finalize ns=a name=a"},
      {"PATCH", "/api/v1/namespaces/a/status", "", "application/merge-patch+json", "patch /v1 namespaces/status ns=a name=a"},
      {"POST", "/apis/apps/v1/namespaces/a/deployments", "dryRun=All", "", "create apps/v1 deployments ns=a name="},
      {"POST", "/api/v1/namespaces/a/pods/p/eviction", "", "", "create /v1 pods/eviction ns=a name=p"},
      {"PUT", "/apis/apps/v1/namespaces/a/deployments/d/scale", "", "", "update apps/v1 deployments/scale ns=a name=d"},
      {"PATCH", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Ax", "fieldManager=m&force=true",
       "application/apply-patch+yaml", "patch rbac.authorization.k8s.io/v1 clusterroles ns= name=system:x"},
      {"DELETE", "/api/v1/namespaces/a/pods", "labelSelector=x", "", "deletecollection /v1 pods ns=a name="},
      {"DELETE", "/api/v1/namespaces/a/pods/p", "propagationPolicy=Foreground", "", "delete /v1 pods ns=a name=p"},
  };
  for (const Accepted& row : rows) {
    const auto request = parse_rest_request(row.method, row.path, row.query, row.content_type);
    ASSERT_TRUE(request) << row.path << ": " << request.error().message;
    EXPECT_EQ(describe(*request), row.seen) << row.path;
    const std::string target = canonical_target(*request);
    const size_t mark = target.find('?');
    const auto again = parse_rest_request(request->method(), target.substr(0, mark),
                                          mark == std::string::npos ? "" : target.substr(mark + 1), row.content_type);
    ASSERT_TRUE(again) << target;
    EXPECT_EQ(*again, *request) << target;
  }
}

struct Refused {
  const char *method, *path, *query, *why;
};

TEST(RestRequest, RefusesWhatIsOdd) {
  const Refused rows[] = {
      {"GET", "api/v1/pods", "", "begin with /"},
      {"GET", "/api/v1/pods/", "", "segment"},
      {"GET", "/api//v1/pods", "", "segment"},
      {"GET", "/api/v1/namespaces/../secrets", "", "segment"},
      {"GET", "/api/v1/namespaces/a/secrets/.%2e", "", "segment"},
      {"GET", "/api/v1/namespaces/a%2Fb/secrets", "", "segment"},
      {"GET", "/api/v1/namespaces/a%252Fb/secrets", "", "segment"},
      {"GET", "/api/v1/namespaces/a%00b/secrets", "", "character"},
      {"GET", "/api/v1/namespaces/a/secrets/x%zz", "", "malformed"},
      {"GET", "/api/v1/namespaces/A/secrets", "", "namespace"},
      {"GET", "/api/v1/watch/pods", "", "deprecated"},
      // Rebuilt, it would be a request for /api/v1/namespaces/b/secrets.
      {"DELETE", "/api/v1/namespaces/a/namespaces/b/secrets", "", "not in a namespace"},
      {"GET", "/api/v1/namespaces/a/namespaces", "", "not in a namespace"},
      {"GET", "/api/v1/namespaces/a/pods/p/exec", "", "connection"},
      {"POST", "/api/v1/namespaces/a/services/s/proxy", "", "connection"},
      {"GET", "/api/v1/namespaces/a/pods/p/log", "", "connection"},
      {"GET", "/api/v1/namespaces/a/services/s/proxy/x", "", "too long"},
      {"GET", "/version", "", "resource"},
      {"GET", "/metrics", "", "resource"},
      {"GET", "/apis/apps/v1", "", "resource"},
      {"GET", "/api/v1/pods", "labelSelector=a&labelSelector=b", "twice"},
      {"GET", "/api/v1/pods", "foo=1", "does not belong"},
      {"POST", "/api/v1/namespaces/a/pods", "watch=true", "does not belong"},
      {"GET", "/api/v1/namespaces/a/pods/p", "watch=true", "fieldSelector"},
      {"POST", "/api/v1/namespaces/a/pods/p", "", "POST"},
      {"PUT", "/api/v1/namespaces/a/pods", "", "name"},
      {"PATCH", "/api/v1/namespaces/a/pods/p", "", "patch"},
      {"CONNECT", "/api/v1/namespaces/a/pods/p", "", "method"},
      {"POST", "/api/v1/namespaces/a/pods", "dryRun=", "dryRun"},
      {"GET", "/api/v1/pods", "watch=maybe", "boolean"},
  };
  for (const Refused& row : rows) {
    const auto request = parse_rest_request(row.method, row.path, row.query, "");
    ASSERT_FALSE(request) << row.path;
    EXPECT_NE(request.error().message.find(row.why), std::string::npos) << row.path << ": " << request.error().message;
  }
}

}  // namespace
}  // namespace gs::gateway
