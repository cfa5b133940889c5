#include "apiserver/version_view.h"

#include "apiserver/built_in.h"
#include "apiserver/built_in_conversion.h"
#include "apiserver/conversion/conversion_memo.h"
#include "schema/decode.h"
#include "schema/prune.h"

namespace gs::apiserver {
namespace {

using json::Value;

void name_type(const ResourceType& type, Value& object) {
  object["kind"] = type.kind;
  object["apiVersion"] = type.api_version();
}

}  // namespace

bool shown_as_stored(const ResourceType& type, const Stored& object) {
  return type.stored_as == nullptr && (type.shape == 0 || type.shape == object.shape);
}

Value shown(const ResourceType& type, const Stored& object) {
  const ResourceType& kept = type.storage_type();
  Value out = object.value(kept);
  if (shown_as_stored(type, object)) return out;
  if (!type.custom) {
    from_judged(type, out);
    return out;
  }
  if (kept.schema != nullptr && kept.shape != object.shape) {
    schema::prune(*kept.schema, out);
    schema::apply_defaults(*kept.schema, out);
  }
  if (type.asks_webhook()) out = type.converter->converted(std::move(out), type.api_version());
  if (&kept != &type && type.schema != nullptr) schema::prune(*type.schema, out);
  name_type(type, out);
  return out;
}

std::string shown_text(const ResourceType& type, const Stored& object) { return shown_as_stored(type, object) ? object.text(type) : shown(type, object).dump(); }

std::string shown_json(const ResourceType& type, const Stored& object) {
  if (shown_as_stored(type, object)) return std::string(object.json);
  Value out = shown(type, object);
  out.make_object().erase("kind");
  out.make_object().erase("apiVersion");
  return out.dump();
}

void to_judged(const ResourceType& type, Value& object) {
  const ResourceType& kept = type.judged_as();
  if (&kept == &type) return;
  convert_built_in(type, true, object);
  default_built_in(kept, object);
  name_type(kept, object);
  schema::normalise(*kept.schema, object);
}

void from_judged(const ResourceType& type, Value& object) {
  if (&type.judged_as() == &type) return;
  convert_built_in(type, false, object);
  name_type(type, object);
  schema::normalise(*type.schema, object);
}

void to_storage(const ResourceType& type, Value& object) {
  if (!type.custom || type.stored_as == nullptr) return;
  if (type.asks_webhook()) object = type.converter->converted(std::move(object), type.stored_as->api_version());
  if (type.stored_as->schema != nullptr) schema::prune(*type.stored_as->schema, object);
}

}  // namespace gs::apiserver
