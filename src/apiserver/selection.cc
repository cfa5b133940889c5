#include "apiserver/selection.h"

#include <fmt/format.h>

#include <algorithm>

#include "json/scan.h"

namespace gs::apiserver {
namespace {

// The fields that built-in types select by, beside metadata.name and metadata.namespace: their
// AddFieldLabelConversionFunc in k8s.io/kubernetes/pkg/apis.
struct Selectable {
  std::string_view type;
  std::string_view label;
  std::string_view path;
  std::string_view fallback;
};
constexpr Selectable kSelectable[] = {
    {"pods", "spec.nodeName", "spec.nodeName", ""},
    {"pods", "spec.host", "spec.nodeName", ""},
    {"pods", "spec.restartPolicy", "spec.restartPolicy", ""},
    {"pods", "spec.schedulerName", "spec.schedulerName", ""},
    {"pods", "spec.serviceAccountName", "spec.serviceAccountName", ""},
    {"pods", "spec.hostNetwork", "spec.hostNetwork", "false"},
    {"pods", "status.phase", "status.phase", ""},
    {"pods", "status.podIP", "status.podIP", ""},
    {"pods", "status.nominatedNodeName", "status.nominatedNodeName", ""},
    {"nodes", "spec.unschedulable", "spec.unschedulable", "false"},
    {"namespaces", "status.phase", "status.phase", ""},
    {"secrets", "type", "type", ""},
    {"services", "spec.clusterIP", "spec.clusterIP", ""},
    {"services", "spec.type", "spec.type", ""},
    {"replicationcontrollers", "status.replicas", "status.replicas", "0"},
    {"jobs.batch", "status.successful", "status.succeeded", "0"},
    {"certificatesigningrequests.certificates.k8s.io", "spec.signerName", "spec.signerName", ""},
    {"resourceslices.resource.k8s.io", "spec.nodeName", "spec.nodeName", ""},
    {"resourceslices.resource.k8s.io", "spec.driver", "spec.driver", ""},
};
constexpr std::string_view kOfEvents[] = {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
                                          "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "type"};

// Some types say it in their own way.
Answer not_selectable(const ResourceType& type, std::string_view label) {
  const bool own = type.custom || std::any_of(std::begin(kSelectable), std::end(kSelectable), [&](const Selectable& s) { return s.type == type.qualified(); }) || type.resource == "events";
  if (type.qualified() == "jobs.batch") return bad_request(fmt::format("field label \"{}\" not supported for Job", label));
  if (own) return bad_request(fmt::format("field label not supported: {}", label));
  return bad_request(fmt::format("\"{}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", label));
}

// fields.UnescapeValue: a backslash before one of these.
std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      if (++i == text.size() || (text[i] != '\\' && text[i] != ',' && text[i] != '=')) return std::nullopt;
    }
    out += text[i];
  }
  return out;
}

// Terms between commas that are not escaped.
std::vector<std::string_view> terms_of(std::string_view text) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '\\') {
      ++i;
    } else if (i == text.size() || text[i] == ',') {
      if (i > begin) out.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  return out;
}

}  // namespace

Checked<Selection::Field> Selection::field(const ResourceType& type, std::string_view term, std::string_view whole) {
  const auto unreadable = [&] { return refuse(bad_request(fmt::format("invalid selector: '{}'; can't understand '{}'", whole, term))); };
  const size_t at = term.find_first_of("=!");
  if (at == std::string_view::npos || (term[at] == '!' && term.substr(at, 2) != "!=")) return unreadable();
  Field out;
  out.equal = term[at] == '=';
  std::string_view rest = term.substr(at + (out.equal ? 1 : 2));
  if (out.equal && rest.starts_with('=')) rest.remove_prefix(1);
  auto value = unescape(rest);
  if (!value) return unreadable();
  out.value = *std::move(value);
  const std::string_view label = term.substr(0, at);
  out.path = label;
  if (label == "metadata.name" || (label == "metadata.namespace" && (type.namespaced || !type.custom))) return out;
  if (type.custom) {
    const std::string wanted = "." + out.path;
    if (std::find(type.selectable_fields.begin(), type.selectable_fields.end(), wanted) != type.selectable_fields.end()) return out;
    return refuse(not_selectable(type, label));
  }
  if (type.group == "events.k8s.io") {
    constexpr std::string_view kRegarding = "regarding.", kController = "reportingController";
    const std::string path = label.starts_with(kRegarding) ? "involvedObject." + std::string(label.substr(kRegarding.size())) : label == kController ? "reportingComponent" : std::string(label);
    const bool old_name = label.starts_with("involvedObject.") || label == "reportingComponent";
    if (old_name || std::find(std::begin(kOfEvents), std::end(kOfEvents), path) == std::end(kOfEvents)) return refuse(not_selectable(type, label));
    out.path = path;
    return out;
  }
  if (type.resource == "events") {
    if (label == "source") return out;
    if (std::find(std::begin(kOfEvents), std::end(kOfEvents), label) != std::end(kOfEvents)) return out;
  }
  const std::string qualified = type.qualified();
  for (const Selectable& known : kSelectable) {
    if (known.type != qualified || known.label != label) continue;
    out.path = known.path;
    out.fallback = known.fallback;
    return out;
  }
  return refuse(not_selectable(type, label));
}

Checked<Selection> Selection::from(const ResourceType& type, const gateway::RestRequest& request) {
  Selection out;
  if (type.namespaced) out.ns_ = request.ns;
  auto labels = kube::LabelSelector::parse(request.option("labelSelector"));
  if (!labels) return refuse(bad_request(labels.error().message));
  out.labels_ = *std::move(labels);
  const std::string_view fields = request.option("fieldSelector");
  for (const std::string_view term : terms_of(fields)) {
    auto found = field(type, term, fields);
    if (!found) return refuse(std::move(found).error());
    out.fields_.push_back(*std::move(found));
  }
  return out;
}

std::optional<std::string_view> Selection::name() const {
  for (const Field& field : fields_) {
    if (field.equal && field.path == "metadata.name") return field.value;
  }
  return std::nullopt;
}

std::string Selection::value_of(const Stored& object, const Field& field) {
  if (field.path == "metadata.name") return std::string(object.name);
  if (field.path == "metadata.namespace") return std::string(object.ns);
  if (field.path != "source") return json::text_at(object.json, field.path).value_or(field.fallback);
  const std::string component = json::text_at(object.json, "source.component").value_or("");
  return component.empty() ? json::text_at(object.json, "reportingComponent").value_or("") : component;
}

bool Selection::matches(const Stored& object) const {
  if (!ns_.empty() && object.ns != ns_) return false;
  if (!labels_.empty() && !labels_.matches(object.labels)) return false;
  return std::all_of(fields_.begin(), fields_.end(), [&](const Field& field) { return (value_of(object, field) == field.value) == field.equal; });
}

}  // namespace gs::apiserver
