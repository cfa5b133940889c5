#include "json/patch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace gs::json {
namespace {

using Tokens = std::vector<std::string>;

Result<Tokens> parse_pointer(std::string_view pointer) {
  Tokens tokens;
  if (pointer.empty()) return tokens;
  if (pointer.front() != '/') return fail(Code::kInvalid, "the path does not begin with /");
  for (const std::string_view token : split(pointer.substr(1), '/')) tokens.push_back(unescape_pointer_token(token));
  return tokens;
}

size_t depth_of(const Value& value) {
  size_t deepest = 0;
  if (const Object* object = value.object()) {
    for (const auto& [key, child] : *object) deepest = std::max(deepest, depth_of(child));
    return object->empty() ? 0 : deepest + 1;
  }
  if (const Array* array = value.array()) {
    for (const Value& child : *array) deepest = std::max(deepest, depth_of(child));
    return array->empty() ? 0 : deepest + 1;
  }
  return 0;
}

// `limit` itself is allowed for adding behind the last element.
Result<size_t> array_index(std::string_view token, size_t limit) {
  const bool padded = token.size() > 1 && token.front() == '0';
  const auto index = padded ? std::nullopt : parse_uint(token);
  if (!index) return fail(Code::kInvalid, "\"{}\" is not an index of an array", token);
  if (*index > limit) return fail(Code::kInvalid, "index {} is out of range", *index);
  return static_cast<size_t>(*index);
}

Result<Value*> child(Value& parent, const std::string& token) {
  if (Array* array = parent.array()) {
    if (array->empty()) return fail(Code::kInvalid, "the path does not exist: index into an empty array");
    GS_TRY(const size_t index, array_index(token, array->size() - 1));
    return &(*array)[index];
  }
  Value* found = parent.is_object() ? parent.object()->find(token) : nullptr;
  if (found == nullptr) return fail(Code::kInvalid, "the path does not exist: no member \"{}\"", token);
  return found;
}

Result<Value*> walk(Value& root, const Tokens& tokens, size_t count) {
  Value* at = &root;
  for (size_t i = 0; i < count; ++i) {
    GS_TRY(at, child(*at, tokens[i]));
  }
  return at;
}
Result<Value*> find(Value& root, const Tokens& tokens) { return walk(root, tokens, tokens.size()); }

Status add(Value& root, const Tokens& tokens, Value value) {
  if (tokens.size() + depth_of(value) > kMaxDepth) return fail(Code::kTooLarge, "nested too deeply");
  if (tokens.empty()) return root = std::move(value), ok();
  GS_TRY(Value* const parent, walk(root, tokens, tokens.size() - 1));
  if (Object* object = parent->object()) return (*object)[tokens.back()] = std::move(value), ok();
  Array* array = parent->array();
  if (array == nullptr) return fail(Code::kInvalid, "the path does not exist: its parent has no members");
  size_t index = array->size();
  if (tokens.back() != "-") {
    GS_TRY(index, array_index(tokens.back(), array->size()));
  }
  array->insert(array->begin() + static_cast<std::ptrdiff_t>(index), std::move(value));
  return ok();
}

Result<Value> remove(Value& root, const Tokens& tokens) {
  if (tokens.empty()) return std::exchange(root, Value());
  GS_TRY(Value* const parent, walk(root, tokens, tokens.size() - 1));
  GS_TRY(Value* const found, child(*parent, tokens.back()));
  Value out = std::move(*found);
  if (Object* object = parent->object()) {
    object->erase(tokens.back());
  } else {
    parent->array()->erase(parent->array()->begin() + (found - parent->array()->data()));
  }
  return out;
}

Status replace(Value& root, const Tokens& tokens, Value value) {
  if (tokens.size() + depth_of(value) > kMaxDepth) return fail(Code::kTooLarge, "nested too deeply");
  GS_TRY(Value* const found, find(root, tokens));
  *found = std::move(value);
  return ok();
}

class Patcher {
 public:
  explicit Patcher(Value& root) : root_(root) {}

  Status apply(const Value& operation) {
    const std::string_view op = operation.text("op");
    GS_TRY(const Tokens path, tokens(operation, "path"));
    if (op == "remove") {
      GS_TRY_STATUS(remove(root_, path));
      return ok();
    }
    if (op == "move" || op == "copy") return transfer(operation, path, op == "move");
    if (op != "add" && op != "replace" && op != "test") return fail(Code::kInvalid, "unknown operation");
    const Value* value = operation.find("value");
    if (value == nullptr) return fail(Code::kInvalid, "value is missing");
    if (op == "add") return add(root_, path, *value);
    if (op == "replace") return replace(root_, path, *value);
    GS_TRY(const Value* const found, find(root_, path));
    if (*found == *value) return ok();
    return fail(Code::kInvalid, "the test failed");
  }

 private:
  static Result<Tokens> tokens(const Value& operation, std::string_view member) {
    const Value* pointer = operation.find(member);
    if (pointer == nullptr || !pointer->is_string()) return fail(Code::kInvalid, "{} is missing", member);
    return parse_pointer(*pointer->string());
  }

  Status transfer(const Value& operation, const Tokens& path, bool move) {
    GS_TRY(const Tokens from, tokens(operation, "from"));
    if (move && from == path) {
      GS_TRY_STATUS(find(root_, from));
      return ok();
    }
    if (move && from.size() < path.size() && std::equal(from.begin(), from.end(), path.begin())) {
      return fail(Code::kInvalid, "a value cannot be moved into itself");
    }
    if (move) {
      GS_TRY(Value moved, remove(root_, from));
      return add(root_, path, std::move(moved));
    }
    GS_TRY(const Value* const found, find(root_, from));
    copied_ += found->dump().size();
    if (copied_ > kMaxPatchCopyBytes) return fail(Code::kTooLarge, "copies of more than {} bytes", kMaxPatchCopyBytes);
    return add(root_, path, *found);
  }

  Value& root_;
  size_t copied_ = 0;
};

void merge(Value& target, const Value& patch) {
  const Object* members = patch.object();
  if (members == nullptr) {
    target = patch;
    return;
  }
  Object& object = target.make_object();
  for (const auto& [key, value] : *members) {
    if (value.is_null()) {
      object.erase(key);
    } else {
      merge(object[key], value);
    }
  }
}

}  // namespace

Result<Value> apply_json_patch(Value document, const Value& operations) {
  const Array* list = operations.array();
  if (list == nullptr) return fail(Code::kInvalid, "a JSON patch is not an array");
  if (list->size() > kMaxPatchOperations) {
    return fail(Code::kTooLarge, "a JSON patch of {} operations; {} are allowed", list->size(), kMaxPatchOperations);
  }
  Patcher patcher(document);
  for (size_t i = 0; i < list->size(); ++i) {
    const Value& operation = (*list)[i];
    if (Status status = patcher.apply(operation); !status) {
      return fail(std::move(status).error().with_context(
          fmt::format("operation {} ({} {})", i, operation.text("op"), operation.text("path"))));
    }
  }
  return document;
}

Value apply_merge_patch(Value document, const Value& patch) {
  merge(document, patch);
  return document;
}

}  // namespace gs::json
