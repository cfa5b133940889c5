// Texts with a form: Kubernetes' own (quantities, durations) and the formats that CRDs may name. Pure.
#pragma once

#include <string>
#include <string_view>

namespace gs::schema {

// k8s.io/apimachinery/pkg/api/resource: "100m", "1Gi", "1e3".
bool is_quantity(std::string_view text);
// The same amount as Kubernetes writes it: "1000m" is "1", "0.5" is "500m", "1024Ki" is "1Mi".
std::string canonical_quantity(std::string_view quantity);
// Go's time.ParseDuration, negative ones too.
bool is_go_duration(std::string_view text);
// Where Go's base64 decoder stops, as its error names it.
size_t base64_problem(std::string_view text);

// Whether this is one of the formats that apiextensions checks; others are taken without a look.
bool known_format(std::string_view format);
// Whether the text has that form. True for formats that are not known.
bool has_format(std::string_view format, std::string_view text);

}  // namespace gs::schema
