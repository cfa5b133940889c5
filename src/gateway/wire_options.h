// The small print of a call: what its Accept may ask for, whether a deletion is a dry run, and the
// server's warnings.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/rest_request.h"

namespace gs::gateway {

// Answers are JSON. Of what a delegate accepts, plain JSON and JSON "as" a table or metadata only goes on
// (k8s.io/apiserver/pkg/endpoints/handlers/negotiation); everything else is dropped.
std::string accept_of(std::string_view wanted);
inline bool is_plain(std::string_view accept) { return accept.find(";as=") == std::string_view::npos; }

enum class DryRun { kNo, kYes, kUnknown };
// An API server reads the options of a deletion from its body where it has one, and then not from the
// query (k8s.io/apiserver/pkg/endpoints/handlers/delete.go). Unknown where the body is not JSON.
DryRun dry_run_of(const RestRequest& request, std::string_view body);

// The texts of Warning headers, joined by commas: `299 - "use v2"`.
std::vector<std::string> warnings_of(std::string_view header);

}  // namespace gs::gateway
