// Which objects a list or watch is about: a namespace, a label selector, a field selector.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/answer.h"
#include "apiserver/store.h"
#include "gateway/rest_request.h"
#include "kube/selector.h"

namespace gs::apiserver {

class Selection {
 public:
  // 400 where a selector cannot be read, or names a field that the type does not select by.
  static Checked<Selection> from(const ResourceType& type, const gateway::RestRequest& request);
  bool matches(const Stored& object) const;
  const std::string& ns() const { return ns_; }
  // Nothing but a namespace.
  bool plain() const { return labels_.empty() && fields_.empty(); }
  // The one name that is selected, where there is one.
  std::optional<std::string_view> name() const;

 private:
  struct Field {
    std::string path;
    std::string fallback;  // what an absent field counts as
    std::string value;
    bool equal = true;
  };
  static Checked<Field> field(const ResourceType& type, std::string_view term, std::string_view whole);
  static std::string value_of(const Stored& object, const Field& field);
  std::string ns_;
  kube::LabelSelector labels_;
  std::vector<Field> fields_;
};

}  // namespace gs::apiserver
