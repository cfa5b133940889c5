#include "schema/protobuf/message.h"

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "base/check.h"
#include "schema/kubernetes.h"

namespace gs::schema::protobuf {
namespace {

class Messages {
 public:
  Messages() {
    for_each_kubernetes_struct([&](const Schema& schema) {
      Message& message = by_schema_[&schema];
      for (const Property& property : schema.properties) {
        if (property.numbers[0] != 0) add(message, property, 0);
      }
    });
    for (auto& [schema, message] : by_schema_) sort(message);
    for (Message& message : embedded_) sort(message);
  }

  const Message& of(const Schema& schema) const {
    static const Message kNone;
    const auto found = by_schema_.find(&schema);
    return found == by_schema_.end() ? kNone : found->second;
  }

 private:
  void add(Message& message, const Property& property, size_t depth) {
    const uint32_t number = property.numbers[depth];
    const bool last = depth + 1 == property.numbers.size() || property.numbers[depth + 1] == 0;
    auto at = std::find_if(message.fields.begin(), message.fields.end(), [&](const Field& f) { return f.number == number; });
    if (at == message.fields.end()) {
      at = message.fields.insert(at, Field());
      at->number = number;
      if (!last) at->embedded = &embedded_.emplace_back();
    }
    if (last) {
      at->property = &property;
    } else {
      GS_CHECK(at->embedded != nullptr);
      add(const_cast<Message&>(*at->embedded), property, depth + 1);
    }
  }

  static void sort(Message& message) {
    std::sort(message.fields.begin(), message.fields.end(), [](const Field& a, const Field& b) { return a.number < b.number; });
  }

  std::unordered_map<const Schema*, Message> by_schema_;
  std::deque<Message> embedded_;
};

const Messages& messages() {
  static const Messages* const all = new Messages;
  return *all;
}

const Schema& named(std::string_view name) {
  const SchemaPtr found = kubernetes_schema(name);
  GS_CHECK(found != nullptr);
  return *found;  // the table outlives everything
}

}  // namespace

const Field* Message::find(uint32_t number) const {
  const auto found = std::lower_bound(fields.begin(), fields.end(), number, [](const Field& f, uint32_t n) { return f.number < n; });
  return found != fields.end() && found->number == number ? &*found : nullptr;
}

bool is_struct(const Schema& schema) { return schema.type == Type::kObject && !schema.name.empty(); }

const Message& message_of(const Schema& schema) { return messages().of(schema); }

Wire wire_of(const Schema& schema) {
  const Schema& one = schema.items ? *schema.items.schema : schema;
  if (one.form == Form::kInt32 || one.form == Form::kInt64 || one.type == Type::kBoolean) return Wire::kVarint;
  return one.type == Type::kNumber ? Wire::kFixed64 : Wire::kBytes;
}

const Schema& schema_props() {
  static const Schema& props = named("apiextensions.v1.JSONSchemaProps");
  return props;
}

const Schema& object_meta() {
  static const Schema& meta = named("meta.v1.ObjectMeta");
  return meta;
}

}  // namespace gs::schema::protobuf
