#include "apiserver/resource_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "schema/kubernetes.h"

namespace gs::apiserver {
namespace {

// Built-in types that are served under two names and shapes, and what their objects are stored as.
struct Second {
  std::string_view group, version, resource, stored_group, stored_version;
};
constexpr Second kSecond[] = {{"autoscaling", "v1", "horizontalpodautoscalers", "autoscaling", "v2"}, {"events.k8s.io", "v1", "events", "", "v1"}};

const Second* second(const ResourceType& type) {
  const auto* found = std::find_if(std::begin(kSecond), std::end(kSecond), [&](const Second& s) { return s.group == type.group && s.version == type.version && s.resource == type.resource; });
  return found == std::end(kSecond) ? nullptr : found;
}

// k8s.io/api: APILifecycleDeprecated and APILifecycleReplacement of what is served.
std::string_view deprecation(const schema::KubernetesResource& r) {
  if (!r.group.empty()) return {};
  if (r.resource == "endpoints") return "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
  if (r.resource == "componentstatuses") return "v1 ComponentStatus is deprecated in v1.19+";
  return {};
}

ResourceType built_in(const schema::KubernetesResource& r) {
  ResourceType out{std::string(r.group), std::string(r.version), std::string(r.resource), std::string(r.kind), r.namespaced};
  out.has_generation = r.has_generation;
  out.singular = r.singular;
  out.short_names.assign(r.short_names.begin(), r.short_names.end());
  out.categories.assign(r.categories.begin(), r.categories.end());
  out.verbs.assign(r.verbs.begin(), r.verbs.end());
  out.deprecation_warning = deprecation(r);
  out.deprecated = !out.deprecation_warning.empty();
  out.stored = out.serves("watch");
  out.schema = r.schema;
  for (const schema::KubernetesSubresource& s : r.subresources) {
    out.subresources.push_back({std::string(s.name), std::string(s.kind), std::string(s.group), std::string(s.version), {s.verbs.begin(), s.verbs.end()}});
    out.has_status |= s.name == "status";
    out.has_scale |= s.name == "scale";
  }
  if (out.has_scale) out.scale = {".spec.replicas", ".status.replicas", ""};
  return out;
}

// Every type with status has the subresource of its own kind.
void add_status(ResourceType& type) {
  if (!type.has_status || type.subresource("status") != nullptr) return;
  type.subresources.push_back({"status", type.kind, type.group, type.version, {"get", "patch", "update"}});
}

// "v1beta2" taken apart.
struct KubeVersion {
  enum Stage { kOther, kAlpha, kBeta, kStable };
  Stage stage = kOther;
  uint64_t major = 0;
  uint64_t minor = 0;

  explicit KubeVersion(std::string_view text) {
    if (!text.starts_with('v')) return;
    text.remove_prefix(1);
    const size_t letters = text.find_first_not_of("0123456789");
    const auto first = parse_uint(text.substr(0, letters));
    if (!first || *first == 0) return;
    major = *first;
    if (letters == std::string_view::npos) {
      stage = kStable;
      return;
    }
    text.remove_prefix(letters);
    const Stage named = text.starts_with("alpha") ? kAlpha : text.starts_with("beta") ? kBeta : kOther;
    const auto second = parse_uint(text.substr(std::min(text.size(), size_t{named == kAlpha ? 5u : 4u})));
    if (named == kOther || !second || *second == 0) return;
    stage = named;
    minor = *second;
  }
};

}  // namespace

std::string ResourceType::prefix() const {
  return fmt::format(R"({{"kind":"{}","apiVersion":"{}",)", kind, api_version());
}

std::string ResourceType::singular_or_default() const { return singular.empty() ? to_lower(kind) : singular; }

bool ResourceType::serves(std::string_view verb) const { return std::find(verbs.begin(), verbs.end(), verb) != verbs.end(); }

const Subresource* ResourceType::subresource(std::string_view name) const {
  for (const Subresource& s : subresources) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

ResourceTable::ResourceTable() { built_ins(); }

const ResourceTable::Types& ResourceTable::built_ins() {
  static const Types* all = [] {
    auto* out = new Types;
    std::vector<ResourceType> seconds;
    for (const schema::KubernetesResource& r : schema::kubernetes_resources()) {
      ResourceType type = built_in(r);
      if (second(type) != nullptr) {
        seconds.push_back(std::move(type));
      } else {
        (*out)[{type.group, type.resource}].push_back(std::make_shared<const ResourceType>(std::move(type)));
      }
    }
    for (ResourceType& type : seconds) {
      const Second& as = *second(type);
      for (const ResourceTypePtr& kept : out->at({std::string(as.stored_group), type.resource})) {
        if (kept->version != as.stored_version) continue;
        auto storage = std::make_shared<ResourceType>(*kept);
        if (kept->group != type.group) storage->asked_as = type.group;
        type.stored_as = std::move(storage);
      }
      type.storage = false;
      (*out)[{type.group, type.resource}].push_back(std::make_shared<const ResourceType>(std::move(type)));
    }
    return out;
  }();
  return *all;
}

ResourceTypePtr ResourceTable::add(ResourceType type) {
  add_status(type);
  std::vector<ResourceTypePtr>& versions = custom_[{type.group, type.resource}];
  std::erase_if(versions, [&](const ResourceTypePtr& t) { return t->version == type.version; });
  auto added = std::make_shared<const ResourceType>(std::move(type));
  const auto before = [](const ResourceTypePtr& a, const ResourceTypePtr& b) { return preferred_version(a->version, b->version); };
  versions.insert(std::upper_bound(versions.begin(), versions.end(), added, before), added);
  return added;
}

void ResourceTable::remove(const std::string& group, const std::string& resource) { custom_.erase({group, resource}); }

const std::vector<ResourceTypePtr>* ResourceTable::types(const std::string& group, const std::string& resource) const {
  for (const Types* all : {&custom_, &built_ins()}) {
    if (const auto found = all->find({group, resource}); found != all->end()) return &found->second;
  }
  return nullptr;
}

ResourceTypePtr ResourceTable::find(const std::string& group, const std::string& resource) const {
  const auto* versions = types(group, resource);
  if (versions == nullptr) return nullptr;
  for (const ResourceTypePtr& type : *versions) {
    if (type->storage) return type;
  }
  return nullptr;
}

ResourceTypePtr ResourceTable::find(const std::string& group, const std::string& version, const std::string& resource) const {
  const auto* versions = types(group, resource);
  if (versions == nullptr) return nullptr;
  for (const ResourceTypePtr& type : *versions) {
    if (type->version == version) return type;
  }
  return nullptr;
}

std::vector<std::string> ResourceTable::versions(const std::string& group) const {
  std::vector<std::string> out;
  for_each([&](const ResourceType& type) {
    if (type.group == group && std::find(out.begin(), out.end(), type.version) == out.end()) out.push_back(type.version);
  });
  std::sort(out.begin(), out.end(), preferred_version);
  return out;
}

void ResourceTable::for_each(const std::function<void(const ResourceType&)>& each) const {
  // Collected first: `each` may add and remove.
  std::vector<ResourceTypePtr> all;
  const auto take = [&](const Types::value_type& entry) { all.insert(all.end(), entry.second.begin(), entry.second.end()); };
  auto custom = custom_.begin();
  for (const auto& entry : built_ins()) {
    for (; custom != custom_.end() && custom->first < entry.first; ++custom) take(*custom);
    // What a cluster adds hides what is built in.
    if (custom == custom_.end() || custom->first != entry.first) take(entry);
  }
  for (; custom != custom_.end(); ++custom) take(*custom);
  for (const ResourceTypePtr& type : all) each(*type);
}

void ResourceTable::for_each_storage(const std::function<void(const ResourceType&)>& each) const {
  for_each([&](const ResourceType& type) {
    if (type.storage && type.stored) each(type);
  });
}

bool preferred_version(std::string_view a, std::string_view b) {
  const KubeVersion left(a), right(b);
  if (left.stage != right.stage) return left.stage > right.stage;
  if (left.stage == KubeVersion::kOther) return a < b;
  return std::pair(left.major, left.minor) > std::pair(right.major, right.minor);
}

ResourceType custom_resource(std::string group, std::string version, std::string resource, std::string kind) {
  ResourceType type(std::move(group), std::move(version), std::move(resource), std::move(kind), true);
  type.has_status = true;
  type.has_generation = true;
  type.custom = true;
  return type;
}

}  // namespace gs::apiserver
