// Somebody who asks as somebody else, by Impersonate-* headers (k8s.io/apiserver/pkg/endpoints/filters/impersonation). Pure.
#pragma once

#include "apiserver/authorization/authorizer.h"
#include "net/http.h"

namespace gs::apiserver {

// The user that the request is for: `requestor` where it says no other. `authorizer` is null where everybody may
// everything. 403 of who may not; 400 of headers without a name.
Checked<UserInfo> impersonate(const net::HttpRequest& request, UserInfo requestor, const Authorizer* authorizer);

}  // namespace gs::apiserver
