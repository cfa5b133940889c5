#include "control/spec_reader.h"

#include <algorithm>

#include "kube/server_url.h"

namespace gs::control {
namespace {

constexpr std::string_view kVerbs[] = {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*"};

Result<ConfigSpec> read_config(const SpecReader& in) {
  ConfigSpec out;
  GS_TRY(const std::string api_version, in.text("apiVersion"));
  GS_TRY(const std::string kind, in.text("kind"));
  if (!api_version.empty()) out.api_version = api_version;
  if (!kind.empty()) out.kind = kind;
  GS_TRY(out.name, in.text("name", true));
  GS_TRY(out.ns, in.text("namespace"));
  GS_TRY(const std::string on_changed, in.text("onChanged"));
  out.resync_on_change = on_changed == "Resync";
  if (!on_changed.empty() && !out.resync_on_change) return invalid(in.path("onChanged"), fmt::format("\"{}\" is not Resync", on_changed));
  GS_TRY(const std::string source, in.text("source"));
  out.from_hub = source == "Hub";
  if (!source.empty() && source != "Cluster" && !out.from_hub) return invalid(in.path("source"), fmt::format("\"{}\" is not Cluster or Hub", source));
  if (out.from_hub && (out.kind != "ConfigMap" || out.api_version != "v1")) {
    return invalid(in.path("kind"), "only ConfigMaps come from the hub, never Secrets");
  }
  // Of other kinds only the cluster can say whether they have namespaces.
  if (!out.from_hub && out.ns.empty() && out.kind == "ConfigMap") return invalid(in.path("namespace"), "is required");
  return out;
}

Result<ClusterSelector> read_selector(const SpecReader& in) {
  ClusterSelector out;
  GS_TRY(out.namespaces, in.texts("namespaces"));
  if (const json::Value* labels = in.find("namespaceSelector")) {
    GS_TRY(out.namespace_labels, kube::LabelSelector::from_object(*labels, in.path("namespaceSelector")));
  }
  if (const json::Value* labels = in.find("labels")) {
    GS_TRY(out.labels, kube::LabelSelector::from_object(*labels, in.path("labels")));
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> read_verbs(const SpecReader& in) {
  GS_TRY(std::vector<std::string> verbs, in.texts("verbs"));
  for (const std::string& verb : verbs) {
    if (std::find(std::begin(kVerbs), std::end(kVerbs), verb) == std::end(kVerbs)) {
      return invalid(in.path("verbs"), fmt::format("\"{}\" is not one of get, list, watch, create, update, patch, delete, deletecollection, *", verb));
    }
  }
  return verbs;
}

Result<std::vector<AuthorizedSpec>> read_authorized(const SpecReader& spec) {
  std::vector<AuthorizedSpec> out;
  GS_TRY_STATUS(spec.each("authorized", [&](const SpecReader& in) -> Status {
    AuthorizedSpec entry;
    GS_TRY(entry.group, in.text("group"));
    GS_TRY(entry.resources, in.texts("resources"));
    GS_TRY(entry.verbs, read_verbs(in));
    GS_TRY(entry.allow_cross_namespace, in.flag("allowCrossNamespace"));
    if (entry.resources.empty()) return invalid(in.path("resources"), "must name at least one resource");
    out.push_back(std::move(entry));
    return ok();
  }));
  return out;
}

Result<std::vector<ConfigSpec>> read_configs(const SpecReader& spec) {
  std::vector<ConfigSpec> out;
  GS_TRY_STATUS(spec.each("configs", [&](const SpecReader& in) -> Status {
    GS_TRY(ConfigSpec entry, read_config(in));
    out.push_back(std::move(entry));
    return ok();
  }));
  return out;
}

Result<std::string> read_delegate(const SpecReader& spec) {
  GS_TRY(std::string delegate, spec.text("delegate", true));
  const auto url = kube::parse_server_url(delegate);
  if (!url) return invalid(spec.path("delegate"), url.error().message);
  return delegate;
}

Result<std::optional<ClusterSelector>> read_cluster_selector(const SpecReader& spec) {
  const json::Value* selector = spec.find("clusterSelector");
  if (selector == nullptr) return std::optional<ClusterSelector>();
  const std::string path = spec.path("clusterSelector");
  if (!selector->is_object()) return invalid(path, "must be an object");
  GS_TRY(ClusterSelector out, read_selector(SpecReader(*selector, path)));
  return std::optional<ClusterSelector>(std::move(out));
}

}  // namespace gs::control
