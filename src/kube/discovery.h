// Discovery: what an API server is and which resources it serves. Nothing is cached here. What is asked for
// while a cluster is attached goes over the watches' connection: an idle cluster needs no other.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kube/transport.h"

namespace gs::kube {

struct ApiResource {
  std::string kind;
  std::string singular;
  bool namespaced = false;
  std::vector<std::string> verbs;
  std::map<std::string, std::vector<std::string>, std::less<>> subresources;  // name -> verbs

  bool has_verb(std::string_view verb) const;
};

// The resources of one group and version, by plural name.
using ApiResources = std::map<std::string, ApiResource, std::less<>>;

// GET /version: "v1.36.3". `server` is the URL for messages. Errors: those of the transport;
// kUnauthorized for 401; kInternal "the server at https://... does not answer as a Kubernetes API
// server: ..." for what is none.
Task<Result<std::string>> server_version(KubeTransport& transport, std::string server, Lane lane, MonoTime deadline);

// The UID of kube-system, by which people tell clusters apart. kForbidden where it may not be read.
Task<Result<std::string>> cluster_uid(KubeTransport& transport, Lane lane, MonoTime deadline);

// kNotFound: this group and version is not served (a CRD is missing, or not established yet);
// kForbidden: we may not ask; kUnavailable: an aggregated API whose server does not answer.
// `group` empty is the core group.
Task<Result<ApiResources>> discover(KubeTransport& transport, std::string group, std::string version, MonoTime deadline);

namespace internal {
Result<ApiResources> parse_api_resources(std::string_view body);
}

}  // namespace gs::kube
