// Subresources with bodies of their own: scale, a pod's binding and eviction, a namespace's finalize.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "apiserver/object_meta.h"
#include "apiserver/registry.h"
#include "apiserver/registry_rules.h"
#include "apiserver/table/cells.h"
#include "apiserver/version_view.h"
#include "base/strings.h"
#include "json/scan.h"
#include "json/writer.h"
#include "kube/selector.h"
#include "schema/go_json.h"
#include "schema/kubernetes.h"

namespace gs::apiserver {
namespace {

using gateway::PatchType;
using json::Value;

// ".spec.replicas" as at() wants it.
std::string_view dotted(const std::string& path) { return std::string_view(path).substr(path.starts_with('.') ? 1 : 0); }

// Replicas of which nobody said how many: the smallest int32, as kube-apiserver has it.
constexpr int64_t kUnsaid = std::numeric_limits<int32_t>::min();

const ResourceType& scale_type() {
  static const ResourceType type = [] {
    ResourceType out("autoscaling", "v1", "scales", "Scale", true);
    out.schema = schema::kubernetes_schema("autoscaling.v1.Scale");
    return out;
  }();
  return type;
}

}  // namespace

// k8s.io/kubernetes/pkg/registry/apps/deployment/storage and apiextensions-apiserver's customresource/etcd.go.
std::string scale_of(const ResourceType& type, const Value& object) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().key("kind").string("Scale").key("apiVersion").string("autoscaling/v1").key("metadata").begin_object();
  for (const char* field : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    const std::string_view text = object.text(std::string("metadata.") + field);
    if (!text.empty()) writer.key(field).string(text);
  }
  writer.end_object().key("spec").begin_object();
  if (const int64_t replicas = table::integer_of(object.at(dotted(type.scale.spec))); replicas != 0) writer.key("replicas").integer(replicas);
  writer.end_object().key("status").begin_object().key("replicas").integer(table::integer_of(object.at(dotted(type.scale.status))));
  std::string selector;
  if (!type.scale.selector.empty()) {
    selector = table::scalar(object.at(dotted(type.scale.selector)));
  } else if (const Value* labels = object.at("spec.selector"); !type.custom && labels != nullptr) {
    // A replication controller's selector is a plain map of labels.
    const bool whole = labels->find("matchLabels") != nullptr || labels->find("matchExpressions") != nullptr;
    selector = whole ? table::format_label_selector(labels) : table::format_labels(labels);
    if (selector.starts_with('<')) selector.clear();
  }
  if (!selector.empty()) writer.key("selector").string(selector);
  writer.end_object().end_object();
  return out;
}

Checked<Prepared> Registry::read_scale(const RestRequest& request, std::string_view body) const { return read(scale_type(), request, schema::parse_as_go(body), body); }

Answer Registry::scale(const ResourceType& type, const RestRequest& request) const {
  const StoredPtr current = find(type, request);
  if (!current) return not_found(type, request.name);
  const Value object = shown(type, *current);
  const Value* wanted = object.at(dotted(type.scale.spec));
  if (type.custom && (wanted == nullptr || !wanted->integer())) {
    return failure(500, "InternalError", fmt::format("Internal error occurred: the spec replicas field \"{}\" does not exist", type.scale.spec));
  }
  return Answer(200, scale_of(type, object));
}

Checked<Prepared> Registry::patched_scale(const ResourceType& type, const RestRequest& request, const StoredPtr& current, const Value& patch, PatchSource source,
                                          FieldValidation validation) const {
  if (request.patch == PatchType::kApply) return refuse(failure(415, "UnsupportedMediaType", "a scale is not applied; patch or update it"));
  const Value object = shown(type, *current);
  Value before = *json::parse(scale_of(type, object));
  const Value* replicas = object.at(dotted(type.scale.spec));
  // By this number it is known that nobody said how many.
  if (type.custom && (replicas == nullptr || !replicas->integer())) before["spec"]["replicas"] = kUnsaid;
  Checked<Value> changed = apply_patch(scale_type(), request.patch, before, patch);
  if (!changed) return refuse(std::move(changed).error());
  source.object = [&] { return apply_patch(scale_type(), request.patch, before, patch)->dump(); };
  return addressed(scale_type(), request, decode_patched(scale_type(), *std::move(changed), std::move(source), validation));
}

// The UpdatedObject of scaleUpdatedObjectInfo.
Answer Registry::replace_scale(const ResourceType& type, const RestRequest& request, const StoredPtr& current, Value scale) {
  if (gate_ != nullptr) {
    const Value old = *json::parse(scale_of(type, shown(type, *current)));
    if (auto stop = admit_as(admission::Phase::kMutating, request, {"autoscaling", "v1", "Scale"}, scale, &old)) return *std::move(stop);
  }
  const int64_t replicas = table::integer_of(scale.at("spec.replicas"));
  const std::string uid(scale.text("metadata.uid")), version(scale.text("metadata.resourceVersion"));
  Prepared wanted;
  wanted.object = shown(type, *current);
  if (type.custom) {
    if (replicas == kUnsaid) return bad_request(fmt::format("the spec replicas field \"{}\" cannot be empty", type.scale.spec));
  } else {
    schema::FieldErrors errors;
    validate_object_meta(scale_type(), scale, nullptr, errors);
    if (replicas < 0) errors.push_back(schema::invalid("spec.replicas", replicas, "must be greater than or equal to 0"));
    if (!errors.empty()) return invalid(scale_type(), request.name, errors);
    const std::string_view is = wanted.object.text("metadata.uid");
    const ResourceType scales(type.group, type.version, type.resource + "/scale", "Scale", true);
    if (!uid.empty() && uid != is && request.verb == gateway::Verb::kPatch) return conflict(scales, request.name, fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, is));
  }
  Value* at = &wanted.object;
  for (const std::string_view part : split(dotted(type.scale.spec), '.')) at = &(*at)[part];
  *at = replicas;
  if (!version.empty()) wanted.object["metadata"]["resourceVersion"] = version;
  if (!uid.empty() && request.verb == gateway::Verb::kUpdate) wanted.object["metadata"]["uid"] = uid;
  Answer written = replace(type, request, current, std::move(wanted), current->applied);
  if (written.status != 200) return written;
  // What was written, or would have been.
  const Result<Value> object = json::parse(written.body);
  if (object) written.body = scale_of(type, *object);
  written.is_object = false;
  return written;
}

// k8s.io/kubernetes/pkg/registry/core/namespace: finalize is the update that may touch spec.finalizers.
Answer Registry::finalize_namespace(const ResourceType& type, const RestRequest& request, const StoredPtr& current, Value wanted) {
  const Value before = current->value(type);
  wanted["metadata"]["labels"]["kubernetes.io/metadata.name"] = request.name;
  const Value finalizers = wanted.at("spec.finalizers") != nullptr ? *wanted.at("spec.finalizers") : Value();
  Checked<Prepared> prepared = prepare(type, Operation::kUpdate, std::move(wanted), &before);
  if (!prepared) return prepared.error();
  if (auto stop = admit(admission::Phase::kValidating, request, prepared->object, &before)) return *std::move(stop);
  Value next = std::move(prepared->object);
  next["metadata"]["resourceVersion"] = before.text("metadata.resourceVersion");
  // Any other update keeps them as they are.
  next["spec"]["finalizers"] = finalizers;
  if (finalizers.array() == nullptr || finalizers.array()->empty()) next["spec"].make_object().erase("finalizers");
  Answer answer(200, next.dump());
  answer.is_object = true;
  if (next == before || request.dry_run()) return answer;
  if (const StoredPtr stored = change(type, current, std::move(next))) answer.body = stored->text(type);
  return answer;
}

Answer Registry::log(const ResourceType& type, const RestRequest& request) const {
  const StoredPtr pod = find(type, request);
  if (!pod) return not_found(type, request.name);
  if (pod->value(type).text("spec.nodeName").empty()) return bad_request(fmt::format("pod {} does not have a host assigned", request.name));
  return failure(501, "NotImplemented", fmt::format("{}/{} is not served by this server", type.resource, request.subresource));
}

Answer Registry::create_subresource(const ResourceType& type, const RestRequest& request, std::string_view body) {
  const Subresource* subresource = type.subresource(request.subresource);
  if (subresource == nullptr && !has_subresource(type, request.subresource)) return no_such_resource();
  const bool pods = type.group.empty() && type.resource == "pods";
  if (!pods || (request.subresource != "binding" && request.subresource != "eviction")) {
    if (subresource == nullptr || std::find(subresource->verbs.begin(), subresource->verbs.end(), "create") == subresource->verbs.end()) return method_not_allowed();
    return failure(501, "NotImplemented", fmt::format("{}/{} is not served by this server", type.resource, request.subresource));
  }
  Result<Value> value = json::parse(body);
  if (!value || !value->is_object()) return bad_request(value ? "the body is no object" : value.error().message);
  const StoredPtr pod = find(type, request);
  if (value->text("metadata.name") != request.name) {
    return bad_request(request.subresource == "eviction" ? "name in URL does not match name in Eviction object" : "name in URL does not match name in Binding object");
  }
  if (!pod) return not_found(type, request.name);
  const bool eviction = request.subresource == "eviction";
  (*value)["kind"] = eviction ? "Eviction" : "Binding";
  (*value)["apiVersion"] = eviction ? "policy/v1" : "v1";
  for (const admission::Phase phase : {admission::Phase::kMutating, admission::Phase::kValidating}) {
    if (auto stop = admit_as(phase, request, {eviction ? "policy" : "", "v1", eviction ? "Eviction" : "Binding"}, *value, nullptr)) return *std::move(stop);
  }
  if (!eviction) return bind(type, pod, *value, request.dry_run());
  return evict(type, request, pod, *value);
}

// k8s.io/kubernetes/pkg/registry/core/pod/storage, BindingREST.
Answer Registry::bind(const ResourceType& type, const StoredPtr& pod, const Value& binding, bool dry_run) {
  const std::string node(binding.text("target.name"));
  const ResourceType bindings("", "v1", "pods/binding", "Binding", true);
  if (node.empty()) return invalid(bindings, pod->name, {schema::required("target.name", "")});
  Value next = pod->value(type);
  if (deleting(next)) return conflict(bindings, pod->name, fmt::format("pod {} is being deleted, cannot be assigned to a host", pod->name));
  if (const std::string_view taken = next.text("spec.nodeName"); !taken.empty()) {
    return conflict(bindings, pod->name, fmt::format("pod {} is already assigned to node \"{}\"", pod->name, taken));
  }
  next["spec"]["nodeName"] = node;
  json::Array& conditions = next["status"]["conditions"].make_array();
  std::erase_if(conditions, [](const Value& c) { return c.text("type") == "PodScheduled"; });
  Value scheduled;
  scheduled["type"] = "PodScheduled";
  scheduled["status"] = "True";
  scheduled["lastTransitionTime"] = format_rfc3339(loop_.wall_now());
  conditions.push_back(std::move(scheduled));
  if (!dry_run) change(type, pod, std::move(next));
  return done(201);
}

// k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go: within what one budget allows.
Answer Registry::evict(const ResourceType& type, const RestRequest& request, const StoredPtr& pod, const Value& eviction) {
  const Value* given = eviction.find("deleteOptions");
  Checked<DeleteOptions> options = delete_options_of(given != nullptr ? *given : Value(json::Object()));
  if (!options) return options.error();
  options->dry_run |= request.dry_run();
  const Value object = pod->value();
  const std::string_view phase = object.text("status.phase");
  const bool spent = phase == "Succeeded" || phase == "Failed" || phase == "Pending" || deleting(object);
  const ResourceTypePtr budgets = table_.find("policy", "poddisruptionbudgets");
  std::vector<StoredPtr> guards;
  for (const StoredPtr& budget : spent || !budgets ? std::vector<StoredPtr>() : store_.list(*budgets, pod->ns)) {
    const Value value = budget->value();
    const Value* selector = value.at("spec.selector");
    const auto parsed = selector != nullptr ? kube::LabelSelector::from_object(*selector, "spec.selector") : kube::LabelSelector::parse("!x,x");
    if (parsed && parsed->matches(pod->labels)) guards.push_back(budget);
  }
  if (guards.size() > 1) return failure(500, "", "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
  if (!guards.empty()) {
    Value budget = guards.front()->value(*budgets);
    const auto number = [&](std::string_view path) { return table::integer_of(budget.at(path)); };
    const bool ready = table::condition_true(table::elements(object.at("status.conditions")), "Ready");
    const bool free = !ready && (budget.text("spec.unhealthyPodEvictionPolicy") == "AlwaysAllow" ||
                                 (number("status.currentHealthy") >= number("status.desiredHealthy") && number("status.desiredHealthy") > 0));
    if (!free && number("status.disruptionsAllowed") <= 0) {
      std::string cause = R"({"causes":[{"reason":"DisruptionBudget","message":)";
      json::append_string(cause, fmt::format("The disruption budget {} needs {} healthy pods and has {} currently", guards.front()->name, number("status.desiredHealthy"), number("status.currentHealthy")));
      return failure(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.", cause + "}]}");
    }
    if (!free && !options->dry_run) {
      budget["status"]["disruptionsAllowed"] = number("status.disruptionsAllowed") - 1;
      budget["status"]["disruptedPods"][pod->name] = format_rfc3339(loop_.wall_now());
      change(*budgets, guards.front(), std::move(budget));
    }
  }
  Answer answer = remove_object(type, pod, *options);
  return answer.status >= 400 ? answer : done(201);
}

}  // namespace gs::apiserver
