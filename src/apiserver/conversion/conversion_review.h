// ConversionReview, v1 and v1beta1: what a conversion webhook is asked, and what its answer must be
// (apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "json/value.h"

namespace gs::apiserver::conversion {

// The first of the versions that is known; empty: there is none.
std::string review_version(const std::vector<std::string>& versions);

std::string write_review(std::string_view uid, std::string_view version, std::string_view desired_api_version, const std::vector<const json::Value*>& objects);

// The objects in the desired version, each with the metadata that it had but for labels and annotations, in the order of
// `originals`. Errors are what comes behind "conversion webhook for KIND ".
Result<std::vector<json::Value>> read_response(std::string_view uid, std::string_view version, std::string_view desired_api_version, const std::vector<const json::Value*>& originals,
                                               std::string_view body);

// `example.com/v1, Kind=Thing`, as Go writes it.
std::string kind_text(const json::Value& object);

}  // namespace gs::apiserver::conversion
