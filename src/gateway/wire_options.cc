#include "gateway/wire_options.h"

#include "base/strings.h"
#include "json/scan.h"
#include "json/value.h"

namespace gs::gateway {
namespace {

constexpr size_t kMaxWarnings = 16;
constexpr size_t kMaxWarning = 1024;

bool is_view(std::string_view kind) {
  return kind == "PartialObjectMetadata" || kind == "PartialObjectMetadataList" || kind == "Table";
}

// One media range in canonical form; empty where it is none of ours.
std::string media_range(std::string_view text) {
  const auto parts = split(text, ';');
  const std::string_view type = trim(parts[0]);
  if (type == "*/*") return "application/json";
  if (type != "application/json") return "";
  std::string as, version, group;
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string_view part = trim(parts[i]);
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view value = trim(part.substr(equals + 1));
    const std::string_view name = trim(part.substr(0, equals));
    if (name == "as") as = value;
    if (name == "v") version = value;
    if (name == "g") group = value;
  }
  if (as.empty()) return "application/json";
  const bool known = is_view(as) && (version == "v1" || version == "v1beta1") && group == "meta.k8s.io";
  return known ? "application/json;as=" + as + ";v=" + version + ";g=" + group : "";
}

}  // namespace

std::string accept_of(std::string_view wanted) {
  std::string out;
  for (const std::string_view range : split(wanted, ',')) {
    const std::string canonical = media_range(range);
    if (canonical.empty()) continue;
    if (!out.empty()) out += ',';
    out += canonical;
  }
  return out.empty() ? "application/json" : out;
}

DryRun dry_run_of(const RestRequest& request, std::string_view body) {
  const bool deletion = request.verb == Verb::kDelete || request.verb == Verb::kDeleteCollection;
  if (!deletion || body.empty()) return request.dry_run() ? DryRun::kYes : DryRun::kNo;
  const auto options = json::parse(body);
  if (!options || !options->is_object()) return DryRun::kUnknown;
  const json::Value* dry_run = options->find("dryRun");
  const bool set = dry_run != nullptr && dry_run->array() != nullptr && !dry_run->array()->empty();
  return set ? DryRun::kYes : DryRun::kNo;
}

std::vector<std::string> warnings_of(std::string_view header) {
  std::vector<std::string> out;
  size_t at = 0;
  while (out.size() < kMaxWarnings && (at = header.find('"', at)) != std::string_view::npos) {
    std::string text;
    for (++at; at < header.size() && header[at] != '"'; ++at) {
      if (header[at] == '\\' && at + 1 < header.size()) ++at;
      text += header[at];
    }
    out.push_back(truncate_utf8(text, kMaxWarning));
    // Behind it may stand a date in quotes; the next warning begins after a comma.
    const size_t comma = header.find(',', at);
    if (comma == std::string_view::npos) break;
    at = header.find('"', at + 1) < comma ? header.find(',', header.find('"', header.find('"', at + 1) + 1)) : comma;
    if (at == std::string_view::npos) break;
  }
  return out;
}

}  // namespace gs::gateway
