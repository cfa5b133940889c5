// An answer as HTTP.
#pragma once

#include "apiserver/answer.h"
#include "net/http.h"
#include "runtime/random.h"

namespace gs::apiserver {

// Content-Type, Cache-Control, Retry-After, ETag and a Warning for each warning.
net::HttpHead head_of(const Answer& answer);
// The same with the request's Audit-Id: the client's own, or one that is made.
net::HttpHead head_of(const Answer& answer, const net::HttpRequest& request, Random& random);
void respond(net::HttpExchange& exchange, const Answer& answer, Random& random);
// RFC 9562, version 4.
std::string random_uuid(Random& random);
// The text of a Warning header: `299 - "..."` (k8s.io/apimachinery/pkg/util/net, NewWarningHeader).
std::string warning_header(std::string_view text);

}  // namespace gs::apiserver
