// What API servers demand of a converted object (k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go:
// validateConvertedObject, restoreObjectMeta), checked before the answer goes out, so that the delegate's author reads what is
// wrong in the plane's words and nothing wrong is ever cached. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace gs::webhook {

// The converted object with the original's metadata, of which only labels and annotations are the converted one's. kInvalid
// where it is not of the wanted version, of another kind, or of another name, namespace or uid.
// The same serves a cached conversion of an equal object: identity and version come from the object that was asked about.
Result<std::string> settle_converted(std::string_view original, std::string_view converted, std::string_view desired_api_version);

}  // namespace gs::webhook
