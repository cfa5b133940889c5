#include "apiserver/strategic_merge.h"

#include <algorithm>

#include "base/strings.h"
#include "schema/go_text.h"

namespace gs::apiserver {
namespace {

using json::Array;
using json::Object;
using json::Value;
using schema::Schema;

constexpr std::string_view kPatch = "$patch", kRetainKeys = "$retainKeys", kOrder = "$setElementOrder/", kDeleteFrom = "$deleteFromPrimitiveList/";
constexpr std::string_view kBadRetainKeys = "invalid patch format of retainKeys list";
constexpr std::string_view kBadOrder = "invalid patch format of setElementOrder list";
constexpr std::string_view kBadPrimitives = "invalid patch format of primitive list";

bool is_directive(std::string_view key) { return key == kPatch || key == kRetainKeys || key.starts_with("$setElementOrder") || key.starts_with("$deleteFromPrimitiveList"); }

// How the type wants one of its members merged.
struct Strategy {
  const Schema* schema = nullptr;  // of an object's members, or of a list's items
  bool merge = false;
  bool replace = false;
  std::string_view key;  // of a list of objects
};

Strategy strategy_of(const Schema* parent, std::string_view member, bool list) {
  Strategy out;
  if (parent == nullptr) return out;
  const schema::Property* property = parent->find(member);
  const Schema* own = property != nullptr ? property->slot.schema : parent->additional.schema;
  out.schema = own != nullptr && list ? own->items.schema : own;
  if (property == nullptr) return out;
  for (const std::string_view word : split(property->patch_strategy, ',')) {
    out.merge |= word == "merge";
    out.replace |= word == "replace";
  }
  out.key = property->merge_key;
  return out;
}

// What a patch adds where nothing was: without nulls and directives.
Value plain(const Value& patch) {
  if (const Object* members = patch.object()) {
    Value out{Object()};
    for (const auto& [key, value] : *members) {
      if (!value.is_null() && !is_directive(key)) out[key] = plain(value);
    }
    return out;
  }
  if (const Array* items = patch.array()) {
    Array out;
    for (const Value& item : *items) {
      const Value* directive = item.find(kPatch);
      if (directive != nullptr && item.object()->size() <= 2) continue;  // nothing but an order about others
      out.push_back(plain(item));
    }
    return out;
  }
  return patch;
}

bool same_kind(const Value& a, const Value& b) { return a.is_object() == b.is_object() && (a.array() == nullptr) == (b.array() == nullptr); }

// Where an element stands in a list: by value, or by its key.
int place_of(const Array& list, const Value& element, std::string_view key) {
  const Value* own = key.empty() ? &element : element.find(key);
  for (size_t i = 0; own != nullptr && i < list.size(); ++i) {
    const Value* other = key.empty() ? &list[i] : list[i].find(key);
    if (other != nullptr && *other == *own) return static_cast<int>(i);
  }
  return -1;
}

// In the order of `order`; what is not there comes last, as it stood.
void sort_by(Array& list, const Array& order, std::string_view key) {
  std::vector<std::pair<size_t, Value>> placed;
  for (Value& element : list) {
    const int place = place_of(order, element, key);
    placed.emplace_back(place < 0 ? order.size() : static_cast<size_t>(place), std::move(element));
  }
  std::stable_sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < list.size(); ++i) list[i] = std::move(placed[i].second);
}

// The elements that the patch names in its order, the others in theirs, both woven as they stood on the server.
Array ordered(Array merged, const Array& patch_order, const Array& server_order, std::string_view key) {
  Array named, others, out;
  for (Value& element : merged) (place_of(patch_order, element, key) >= 0 ? named : others).push_back(std::move(element));
  sort_by(named, patch_order, key);
  sort_by(others, server_order, key);
  size_t i = 0, j = 0;
  while (i < others.size() || j < named.size()) {
    bool other_first = j == named.size();
    if (i < others.size() && j < named.size()) {
      const int left = place_of(server_order, others[i], key), right = place_of(server_order, named[j], key);
      other_first = left >= 0 && right >= 0 && left < right;
    }
    out.push_back(std::move(other_first ? others[i++] : named[j++]));
  }
  return out;
}

// mergepatch.ErrBadPatchType.
tl::unexpected<Error> bad_directive(const Value& directive, const Value& patch) {
  return fail(Code::kInvalid, "unknown patch type: {} in map: {}", schema::go_print(directive), schema::go_print(patch));
}

class Merger {
 public:
  Result<Value> objects(Value original, const Value& patch, const Schema* schema) {
    if (const Value* directive = patch.find(kPatch)) {
      if (directive->string() != nullptr && *directive->string() == "replace") return plain(patch);
      if (directive->string() != nullptr && *directive->string() == "delete") return Value(Object());
      if (directive->string() == nullptr || *directive->string() != "merge") return bad_directive(*directive, patch);
    }
    Object& into = original.make_object();
    GS_TRY_STATUS(retain_keys(into, patch));
    for (const auto& [key, value] : *patch.object()) {
      if (key.starts_with(kOrder)) {
        GS_TRY_STATUS(set_order(into, key.substr(kOrder.size()), value, patch, schema));
      }
    }
    for (const auto& [key, value] : *patch.object()) {
      if (key == kPatch || key == kRetainKeys || key.starts_with(kOrder)) continue;
      if (patch.find(std::string(kOrder) + key) != nullptr) continue;  // merged with its order already
      GS_TRY_STATUS(member(into, key, value, schema));
    }
    return original;
  }

 private:
  Status member(Object& into, const std::string& key, const Value& value, const Schema* schema) {
    if (key.starts_with(kDeleteFrom)) {
      Value* list = into.find(key.substr(kDeleteFrom.size()));
      if (value.array() == nullptr) return fail(Code::kInvalid, "{}", kBadPrimitives);
      if (list != nullptr && list->array() != nullptr) {
        std::erase_if(*list->array(), [&](const Value& v) { return place_of(*value.array(), v, "") >= 0; });
      }
      return ok();
    }
    if (value.is_null()) return into.erase(key), ok();
    Value* present = into.find(key);
    if (present == nullptr || !same_kind(*present, value) || (!value.is_object() && value.array() == nullptr)) return into[key] = plain(value), ok();
    const Strategy strategy = strategy_of(schema, key, value.array() != nullptr);
    if (strategy.replace || (value.array() != nullptr && !strategy.merge)) return *present = plain(value), ok();
    if (value.is_object()) {
      GS_TRY(*present, objects(std::move(*present), value, strategy.schema));
      return ok();
    }
    GS_TRY(*present, lists(std::move(*present->array()), *value.array(), strategy));
    return ok();
  }

  static Status retain_keys(Object& into, const Value& patch) {
    const Value* retained = patch.find(kRetainKeys);
    if (retained == nullptr) return ok();
    const Array* keys = retained->array();
    if (keys == nullptr) return fail(Code::kInvalid, "{}", kBadRetainKeys);
    const auto kept = [&](const std::string& key) { return place_of(*keys, Value(key), "") >= 0; };
    for (const auto& [key, value] : *patch.object()) {
      if (!value.is_null() && !is_directive(key) && !kept(key)) return fail(Code::kInvalid, "{}", kBadRetainKeys);
    }
    std::vector<std::string> gone;
    for (const auto& [key, value] : into) {
      if (!kept(key)) gone.push_back(key);
    }
    for (const std::string& key : gone) into.erase(key);
    return ok();
  }

  Status set_order(Object& into, const std::string& key, const Value& order, const Value& patch, const Schema* schema) {
    if (order.array() == nullptr) return fail(Code::kInvalid, "{}", kBadOrder);
    const Strategy strategy = strategy_of(schema, key, true);
    Value* present = into.find(key);
    const Value* changes = patch.find(key);
    if (changes != nullptr && changes->is_null()) return into.erase(key), ok();
    const bool was = present != nullptr && present->array() != nullptr;
    if (changes != nullptr && changes->array() == nullptr) return fail(Code::kInvalid, "{}", kBadOrder);
    if (!was && changes == nullptr) return ok();
    const Array server = was ? *present->array() : Array();
    Array merged = server;
    if (changes != nullptr) {
      for (const Value& change : *changes->array()) {
        if (change.find(kPatch) == nullptr && place_of(*order.array(), change, strategy.key) < 0) {
          return fail(Code::kInvalid, "The order in patch list:\n{}\n doesn't match {} list:\n{}\n", changes->dump(), "$setElementOrder", order.dump());
        }
      }
      if (!was || !strategy.merge) {
        merged = *plain(*changes).array();
      } else {
        GS_TRY(merged, lists(server, *changes->array(), strategy));
      }
    }
    into[key] = ordered(std::move(merged), *order.array(), server, strategy.key);
    return ok();
  }

  Result<Array> lists(Array original, const Array& patch, const Strategy& strategy) {
    const Array server = original;
    const bool of_objects = std::any_of(patch.begin(), patch.end(), [](const Value& v) { return v.is_object(); }) ||
                            std::any_of(original.begin(), original.end(), [](const Value& v) { return v.is_object(); });
    if (!of_objects) {
      for (const Value& value : patch) {
        if (place_of(original, value, "") < 0) original.push_back(value);
      }
      return ordered(std::move(original), patch, server, "");
    }
    if (strategy.key.empty()) return fail(Code::kInvalid, "cannot merge lists without merge key");
    GS_TRY(const Array wanted, take_directives(original, patch, strategy.key));
    const Array before = original;
    for (const Value& element : wanted) {
      const int place = place_of(original, element, strategy.key);
      if (place < 0) {
        original.push_back(plain(element));
        continue;
      }
      Value& present = original[static_cast<size_t>(place)];
      GS_TRY(present, objects(std::move(present), element, strategy.schema));
    }
    return ordered(std::move(original), wanted, before, strategy.key);
  }

  // Carries out {"$patch": "delete"} and "replace" elements; gives back those that are to be merged.
  static Result<Array> take_directives(Array& original, const Array& patch, std::string_view key) {
    Array wanted;
    bool replace = false;
    for (const Value& element : patch) {
      const Value* directive = element.find(kPatch);
      if (directive == nullptr) {
        if (element.find(key) == nullptr) return fail(Code::kInvalid, "map: {} does not contain declared merge key: {}", schema::go_print(element), key);
        wanted.push_back(element);
      } else if (directive->string() != nullptr && *directive->string() == "delete") {
        const Value* name = element.find(key);
        if (name == nullptr) return fail(Code::kInvalid, "map: {} does not contain declared merge key: {}", schema::go_print(element), key);
        std::erase_if(original, [&](const Value& v) { return v.find(key) != nullptr && *v.find(key) == *name; });
      } else if (directive->string() != nullptr && *directive->string() == "replace") {
        replace = true;
      } else {
        return bad_directive(*directive, element);
      }
    }
    if (replace) original.clear();
    return wanted;
  }
};

}  // namespace

Result<Value> strategic_merge(const Schema* schema, Value document, const Value& patch) { return Merger().objects(std::move(document), patch, schema); }

}  // namespace gs::apiserver
