// Reviews: create-only objects that ask who somebody is (authentication.k8s.io) and what they may do
// (authorization.k8s.io). Nothing of them is stored. There is no authorization here yet: everybody who is authenticated
// may do everything, and so the answers say.
#pragma once

#include "apiserver/authenticator.h"
#include "apiserver/resource_table.h"
#include "json/value.h"

namespace gs::apiserver {

// `object` with its status filled in; 201. `authenticator` may be null: then it knows no tokens. 501: a review of
// another kind.
Answer review(const ResourceType& type, json::Value object, const UserInfo& user, const Authenticator* authenticator, WallTime now);

}  // namespace gs::apiserver
