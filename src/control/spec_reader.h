// What the specs of Controllers and Webhooks have in common, and how their members are read.
#pragma once

#include <fmt/format.h>

#include "control/controller_spec.h"

namespace gs::control {

inline tl::unexpected<Error> invalid(const std::string& path, std::string_view what) {
  return fail(Code::kInvalid, "{}: {}", path, what);
}

// Reads the members of one object; every error names the member's path.
class SpecReader {
 public:
  SpecReader(const json::Value& value, std::string path) : value_(value), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string path(std::string_view member) const { return path_ + "." + std::string(member); }
  const json::Value* find(std::string_view member) const {
    const json::Value* value = value_.find(member);
    return value != nullptr && !value->is_null() ? value : nullptr;
  }
  Result<std::string> text(std::string_view member, bool required = false) const {
    const json::Value* value = find(member);
    if (value == nullptr && required) return invalid(path(member), "is required");
    if (value == nullptr) return std::string();
    if (!value->is_string()) return invalid(path(member), fmt::format("must be a string, not a {}", value->type_name()));
    if (required && value->string()->empty()) return invalid(path(member), "must not be empty");
    return *value->string();
  }
  Result<bool> flag(std::string_view member) const {
    const json::Value* value = find(member);
    if (value == nullptr) return false;
    const auto boolean = value->boolean();
    if (!boolean) return invalid(path(member), "must be true or false");
    return *boolean;
  }
  Result<std::vector<std::string>> texts(std::string_view member) const {
    std::vector<std::string> out;
    const json::Value* value = find(member);
    if (value == nullptr) return out;
    if (!value->is_array()) return invalid(path(member), "must be a list");
    for (const json::Value& item : *value->array()) {
      if (!item.is_string()) return invalid(path(member), "must be a list of strings");
      out.push_back(*item.string());
    }
    return out;
  }
  // Calls each(reader of the element) for a list of objects.
  template <class Each>
  Status each(std::string_view member, Each each) const {
    const json::Value* value = find(member);
    if (value == nullptr) return ok();
    if (!value->is_array()) return invalid(path(member), "must be a list");
    for (size_t i = 0; i < value->array()->size(); ++i) {
      const json::Value& item = (*value->array())[i];
      const std::string at = fmt::format("{}[{}]", path(member), i);
      if (!item.is_object()) return invalid(at, "must be an object");
      GS_TRY_STATUS(each(SpecReader(item, at)));
    }
    return ok();
  }

 private:
  const json::Value& value_;
  std::string path_;
};

// spec.authorized, spec.configs, spec.delegate (an http or https URL) and spec.clusterSelector.
Result<std::vector<std::string>> read_verbs(const SpecReader& in);
Result<std::vector<AuthorizedSpec>> read_authorized(const SpecReader& spec);
Result<std::vector<ConfigSpec>> read_configs(const SpecReader& spec);
Result<std::string> read_delegate(const SpecReader& spec);
Result<std::optional<ClusterSelector>> read_cluster_selector(const SpecReader& spec);

}  // namespace gs::control
