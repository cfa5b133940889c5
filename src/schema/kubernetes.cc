#include "schema/kubernetes.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"
#include "base/strings.h"

namespace gs::schema {
namespace {

constexpr std::string_view kTable =
#include "schema/kubernetes.inc"
    ;

struct Kubernetes {
  std::shared_ptr<Arena> arena = std::make_shared<Arena>();
  std::vector<KubernetesResource> resources;
  std::unordered_map<std::string_view, Schema*> by_name;
};

std::vector<std::string_view> list(std::string_view text) {
  return text == "-" || text.empty() ? std::vector<std::string_view>() : split(text, ',');
}

std::string_view or_empty(std::string_view text) { return text == "-" ? std::string_view() : text; }

// Reads the table; src/schema/README.md says what its lines mean. It is part of the binary: what is wrong in it is a defect.
class Reader {
 public:
  explicit Reader(Kubernetes& out) : out_(out) {}

  void read() {
    Schema* open = nullptr;
    for (const std::string_view line : split(kTable, '\n')) {
      if (line.empty()) continue;
      if (line[0] == '=') {
        resource(split(line.substr(1), ' '));
      } else if (line.starts_with(" /")) {
        subresource(split(line.substr(2), ' '));
      } else if (line[0] == '@') {
        open = named(line.substr(1, line.find(' ') - 1));
        open->atomic_map = line.ends_with(" map=atomic");
      } else {
        GS_CHECK(open != nullptr);
        open->properties.push_back(property(split(line.substr(1), ' ')));
      }
    }
    for (Schema& schema : out_.arena->schemas) {
      std::sort(schema.properties.begin(), schema.properties.end(), [](const Property& a, const Property& b) { return a.name < b.name; });
    }
    for (KubernetesResource& r : out_.resources) r.schema = SchemaPtr(out_.arena, named(names_[&r - out_.resources.data()]));
  }

 private:
  Schema* named(std::string_view name) {
    Schema*& out = out_.by_name[name];
    if (out == nullptr) {
      out = &out_.arena->schemas.emplace_back();
      out->type = Type::kObject;
      out->name = name;
    }
    return out;
  }

  const Schema* leaf(std::string_view word) {
    Schema*& out = leaves_[word];
    if (out != nullptr) return out;
    out = &out_.arena->schemas.emplace_back();
    struct Leaf {
      std::string_view word;
      Type type;
      Form form;
    };
    constexpr Leaf kLeaves[] = {{"s", Type::kString, Form::kPlain},          {"b", Type::kBoolean, Form::kPlain},
                                {"i32", Type::kInteger, Form::kInt32},       {"i64", Type::kInteger, Form::kInt64},
                                {"f", Type::kNumber, Form::kPlain},          {"bytes", Type::kString, Form::kBytes},
                                {"time", Type::kString, Form::kTime},        {"microtime", Type::kString, Form::kMicroTime},
                                {"duration", Type::kString, Form::kDuration}, {"quantity", Type::kAny, Form::kQuantity},
                                {"intstr", Type::kAny, Form::kIntOrString},  {"raw", Type::kAny, Form::kPlain},
                                {"any", Type::kAny, Form::kPlain},           {"props[]", Type::kAny, Form::kPlain},
                                {"props|b", Type::kAny, Form::kPlain},       {"props|s", Type::kAny, Form::kPlain},
                                {"empty", Type::kAny, Form::kPlain}};
    const auto* found = std::find_if(std::begin(kLeaves), std::end(kLeaves), [&](const Leaf& l) { return l.word == word; });
    GS_CHECK(found != std::end(kLeaves));
    out->type = found->type;
    out->form = found->form;
    out->preserve_unknown = found->type == Type::kAny && found->form == Form::kPlain;
    if (out->preserve_unknown) {
      out->message = word == "props[]"   ? MessageForm::kPropsOrArray
                     : word == "props|b" ? MessageForm::kPropsOrBool
                     : word == "props|s" ? MessageForm::kPropsOrStrings
                     : word == "empty"   ? MessageForm::kEmpty
                                         : MessageForm::kJson;
    }
    return out;
  }

  const Schema* schema(std::string_view type) {
    if (type.starts_with('@')) return named(type.substr(1));
    if (!type.starts_with("[]") && !type.starts_with("{}")) return leaf(type);
    Slot inner;
    inner.schema = schema(type.substr(2));
    Schema& out = out_.arena->schemas.emplace_back();
    out.type = type[0] == '[' ? Type::kArray : Type::kObject;
    (type[0] == '[' ? out.items : out.additional) = inner;
    return &out;
  }

  Property property(const std::vector<std::string_view>& words) {
    Property out;
    const size_t colon = words[0].find(':');
    out.name = words[0].substr(0, colon);
    // A list or map is made for each place, since it carries what the place says of it.
    auto* place = const_cast<Schema*>(schema(words[0].substr(colon + 1)));
    out.slot.schema = place;
    for (size_t i = 1; i < words.size(); ++i) option(words[i], out, *place);
    return out;
  }

  static void number(std::string_view text, Property& property) {
    size_t depth = 0;
    for (const std::string_view part : split(text, '.')) property.numbers.at(depth++) = static_cast<uint8_t>(*parse_uint(part));
  }

  void option(std::string_view word, Property& property, Schema& place) {
    if (word[0] == '#') return number(word.substr(1), property);
    const size_t equal = word.find('=');
    const std::string_view key = word.substr(0, equal), value = equal == std::string_view::npos ? std::string_view() : word.substr(equal + 1);
    if (key == "!") property.required = true;
    if (key == "p") property.pointer = true;
    if (key == "o") property.omit_empty = true;
    if (key == "z") property.omit_zero = true;
    if (key == "go") property.go_type = value;
    if (key == "patch") property.patch_strategy = value;
    if (key == "merge") property.merge_key = value;
    if (key == "keys") place.map_keys = split(value, ',');
    if (key == "map") place.atomic_map |= value == "atomic" && place.additional;
    if (key == "list") {
      place.list_type = value == "map" ? ListType::kMap : value == "set" ? ListType::kSet : ListType::kAtomic;
      place.list_type_given = true;
    }
    if (key == "default") {
      auto parsed = json::parse(value);
      GS_CHECK(parsed.has_value());
      property.slot.initial = &out_.arena->values.emplace_back(*std::move(parsed));
    }
  }

  void resource(const std::vector<std::string_view>& words) {
    GS_CHECK(words.size() == 11);
    KubernetesResource& out = out_.resources.emplace_back();
    out.group = or_empty(words[0]);
    out.version = words[1];
    out.resource = words[2];
    out.kind = words[3];
    out.singular = words[4];
    out.namespaced = words[5] == "namespaced";
    out.has_generation = words[6] == "generation";
    out.short_names = list(words[7]);
    out.categories = list(words[8]);
    out.verbs = list(words[9]);
    names_.push_back(words[10].substr(1));
  }

  void subresource(const std::vector<std::string_view>& words) {
    GS_CHECK(words.size() == 5);
    KubernetesSubresource out;
    out.name = words[0];
    out.group = or_empty(words[1]);
    out.version = words[2];
    out.kind = words[3];
    out.verbs = list(words[4]);
    out_.resources.back().subresources.push_back(std::move(out));
  }

  Kubernetes& out_;
  std::vector<std::string_view> names_;  // of the resources' schemas
  std::unordered_map<std::string_view, Schema*> leaves_;
};

const Kubernetes& kubernetes() {
  static const Kubernetes* const all = [] {
    auto* out = new Kubernetes;
    Reader(*out).read();
    return out;
  }();
  return *all;
}

}  // namespace

const Property* Schema::find(std::string_view property) const {
  const auto found = std::lower_bound(properties.begin(), properties.end(), property, [](const Property& p, std::string_view name) { return p.name < name; });
  return found != properties.end() && found->name == property ? &*found : nullptr;
}

const std::vector<KubernetesResource>& kubernetes_resources() { return kubernetes().resources; }

SchemaPtr kubernetes_schema(std::string_view name) {
  const auto found = kubernetes().by_name.find(name);
  return found == kubernetes().by_name.end() ? nullptr : SchemaPtr(kubernetes().arena, found->second);
}

SchemaPtr kubernetes_kind(std::string_view api_version, std::string_view kind) {
  // Every group has its own; they are one type.
  if (kind == "DeleteOptions") return kubernetes_schema("meta.v1.DeleteOptions");
  if (api_version == "v1" && kind == "Status") return kubernetes_schema("meta.v1.Status");
  const size_t slash = api_version.find('/');
  const std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  const std::string_view version = api_version.substr(slash + 1);
  for (const KubernetesResource& r : kubernetes().resources) {
    if (r.kind == kind && r.group == group && r.version == version) return r.schema;
  }
  // Bodies of subresources alone.
  if (api_version == "autoscaling/v1" && kind == "Scale") return kubernetes_schema("autoscaling.v1.Scale");
  if (api_version == "policy/v1" && kind == "Eviction") return kubernetes_schema("policy.v1.Eviction");
  if (api_version == "authentication.k8s.io/v1" && kind == "TokenRequest") return kubernetes_schema("authentication.v1.TokenRequest");
  return nullptr;
}

void for_each_kubernetes_struct(const std::function<void(const Schema&)>& each) {
  for (const auto& [name, schema] : kubernetes().by_name) each(*schema);
}

}  // namespace gs::schema
