// k8s.io/apiserver/pkg/server/healthz, over the few things that this server rests on.
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/discovery.h"
#include "base/strings.h"

namespace gs::apiserver {
namespace {

// The store stands where probes know etcd.
constexpr std::string_view kChecks[] = {"ping", "log", "etcd"};

Answer plain_text(int status, std::string text) {
  Answer answer(status, std::move(text));
  answer.content_type = "text/plain; charset=utf-8";
  return answer;
}

}  // namespace

std::optional<Answer> health(std::string_view path, std::string_view query, const Status& store) {
  if (!path.starts_with('/')) return std::nullopt;
  const std::vector<std::string_view> parts = split(path.substr(1), '/');
  const std::string_view endpoint = parts[0];
  if ((endpoint != "healthz" && endpoint != "livez" && endpoint != "readyz") || parts.size() > 2) return std::nullopt;
  const auto good = [&](std::string_view check) { return check != "etcd" || store.has_value() || endpoint == "livez"; };
  if (parts.size() == 2 && !parts[1].empty()) {
    if (std::find(std::begin(kChecks), std::end(kChecks), parts[1]) == std::end(kChecks)) return page_not_found();
    return good(parts[1]) ? plain_text(200, "ok") : plain_text(500, fmt::format("internal server error: {}\n", store.error().message));
  }
  bool verbose = false, all = true;
  std::vector<std::string> excluded;
  for (const std::string_view part : split(query, '&')) {
    const size_t equals = part.find('=');
    verbose |= part.substr(0, equals) == "verbose";
    if (part.substr(0, equals) == "exclude" && equals != std::string_view::npos) excluded.push_back(percent_decode(part.substr(equals + 1), true).value_or(""));
  }
  std::string report;
  for (const std::string_view check : kChecks) {
    if (std::erase(excluded, check) > 0) {
      report += fmt::format("[+]{} excluded: ok\n", check);
    } else if (good(check)) {
      report += fmt::format("[+]{} ok\n", check);
    } else {
      report += fmt::format("[-]{} failed: {}\n", check, store.error().message);
      all = false;
    }
  }
  if (!excluded.empty()) report += fmt::format("warn: some health checks cannot be excluded: no matches for \"{}\"\n", join(excluded, "\", \""));
  if (!all) return plain_text(500, report + fmt::format("{} check failed\n", endpoint));
  return plain_text(200, verbose ? report + fmt::format("{} check passed\n", endpoint) : "ok");
}

}  // namespace gs::apiserver
