// What somebody wants to do, as k8s.io/apiserver's authorizers are asked: RequestInfo of a request's line
// (pkg/endpoints/request/requestinfo.go), and the answer to who may not. It is made before anything is known of what is
// served, so that a refusal tells nothing of what there is. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "apiserver/answer.h"
#include "apiserver/user_info.h"

namespace gs::apiserver {

struct Attributes {
  bool resource_request = false;
  std::string verb;  // list, watch, deletecollection ...; of other requests the method in lower case
  std::string group;
  std::string version;
  std::string resource;
  std::string subresource;
  std::string ns;    // empty: cluster-scoped, or over all namespaces
  std::string name;  // empty where the line does not say it
  std::string path;  // of other requests than those for resources
};

Attributes attributes_of(std::string_view method, std::string_view target);

// 403 in kube-apiserver's words.
Answer access_denied(const UserInfo& user, const Attributes& attributes, std::string_view reason);

}  // namespace gs::apiserver
