// Reviews: create-only objects that ask who somebody is (authentication.k8s.io) and what they may do
// (authorization.k8s.io). Nothing of them is stored.
#pragma once

#include "apiserver/authenticator.h"
#include "apiserver/authorization/authorizer.h"
#include "apiserver/resource_table.h"
#include "json/value.h"

namespace gs::apiserver {

// Whom a review asks; for one request.
struct ReviewContext {
  const UserInfo& user;
  const Authenticator* authenticator = nullptr;  // null: it knows no tokens
  const Authorizer* authorizer = nullptr;        // null: everybody may do everything
  std::string ns;                                // of the request
  const TokenSource* tokens = nullptr;           // beside the authenticator's own; may be null
};

// `object` with its status filled in; 201. 501: a review of another kind.
Answer review(const ResourceType& type, json::Value object, const ReviewContext& context, WallTime now);

}  // namespace gs::apiserver
