// The line of a request read as kube-apiserver reads it (k8s.io/apiserver/pkg/endpoints/request/
// requestinfo.go and the option types of apimachinery's meta/v1): unknown parameters are ignored, the
// first of several counts, the deprecated /watch/ paths are taken. The gateway's reader, for delegates,
// is the strict one (gateway/rest_request.h). Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/answer.h"
#include "gateway/rest_request.h"
#include "schema/field_error.h"

namespace gs::apiserver {

using gateway::RestRequest;

// A patch of an unknown media type has PatchType::kNone: the words of its 415 need the type. Booleans
// among the options are "true" or "false", dryRun's values are joined by commas.
// Refused: 404 for a path that is no resource's, 405 for a method that never fits its path, 400 for
// options that cannot be decoded.
Checked<RestRequest> read_request(std::string_view method, std::string_view path, std::string_view query, std::string_view content_type);

// 422 of the options of a list or watch, a write, or a patch; nullopt where they are good.
std::optional<Answer> check_list_options(const RestRequest& request);
std::optional<Answer> check_write_options(const RestRequest& request);

// 422 of meta.k8s.io's options ("ListOptions"): one error for each field.
Answer invalid_options(std::string_view kind, const schema::FieldErrors& errors);
std::optional<schema::FieldError> check_dry_run(std::string_view joined);

}  // namespace gs::apiserver
