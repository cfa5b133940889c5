#include "apiserver/protobuf.h"

#include <fmt/format.h>

#include "schema/kubernetes.h"
#include "schema/go_text.h"
#include "schema/protobuf/decode.h"
#include "schema/protobuf/encode.h"
#include "schema/protobuf/message.h"

namespace gs::apiserver {
namespace {

using gateway::Verb;
using json::Value;
namespace pb = schema::protobuf;

constexpr std::string_view kPartial = "PartialObjectMetadata";

struct Kind {
  std::string api_version;
  std::string kind;
};

// What a body is that does not say it.
Kind expected_kind(const ResourceType& type, const gateway::RestRequest& request) {
  if (request.verb == Verb::kDelete || request.verb == Verb::kDeleteCollection) return {type.api_version(), "DeleteOptions"};
  const Subresource* sub = request.subresource.empty() ? nullptr : type.subresource(request.subresource);
  if (sub == nullptr || sub->kind == type.kind) return {type.api_version(), type.kind};
  return {sub->group.empty() ? sub->version : sub->group + "/" + sub->version, sub->kind};
}

// k8s.io/apiserver/pkg/endpoints/handlers/rest.go, summarizeData.
std::string summary(std::string_view body) {
  constexpr size_t kMost = 30;
  if (body.empty()) return "<empty>";
  const std::string_view part = body.substr(0, kMost);
  const char* more = body.size() > kMost ? " ..." : "";
  if (body[0] == '{') return std::string(part) + more;
  std::string out;
  for (const char c : part) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out + more;
}

// The message of an object, or of a PartialObjectMetadata; false: there is none of this kind.
bool encode_object(std::string_view api_version, std::string_view kind, const Value& object, std::string& out) {
  if (kind == kPartial) {
    static const Value kNothing{json::Object()};
    const Value* metadata = object.find("metadata");
    std::string meta;
    pb::encode(pb::object_meta(), metadata != nullptr ? *metadata : kNothing, meta);
    pb::write_bytes(1, meta, out);
    return true;
  }
  const schema::SchemaPtr found = schema::kubernetes_kind(api_version, kind);
  if (found == nullptr) return false;
  pb::encode(*found, object, out);
  return true;
}

// The message of a list: metadata, then items.
void begin_list(const Value& meta, std::string& out) {
  std::string bytes;
  pb::encode(*schema::kubernetes_schema("meta.v1.ListMeta"), meta, bytes);
  pb::write_bytes(1, bytes, out);
}

bool encode_list(std::string_view api_version, std::string_view kind, const Value& list, std::string& out) {
  const Value* items = list.find("items");
  if (!kind.ends_with("List") || items == nullptr || items->array() == nullptr) return false;
  static const Value kNothing{json::Object()};
  const Value* meta = list.find("metadata");
  begin_list(meta != nullptr ? *meta : kNothing, out);
  for (const Value& item : *items->array()) {
    std::string bytes;
    if (!encode_object(api_version, kind.substr(0, kind.size() - 4), item, bytes)) return false;
    pb::write_bytes(2, bytes, out);
  }
  return true;
}

}  // namespace

Checked<std::string> protobuf_body(const ResourceType& type, const gateway::RestRequest& request, std::string_view body) {
  const Kind expected = expected_kind(type, request);
  const bool deletion = expected.kind == "DeleteOptions";
  pb::Envelope envelope;
  if (const std::string problem = pb::read_envelope(body, envelope); !problem.empty()) {
    if (deletion) return refuse(bad_request(problem));
    return refuse(bad_request(fmt::format("the object provided is unrecognized (must be of type {}): {} ({})", expected.kind, problem, summary(body))));
  }
  const std::string kind(envelope.kind.empty() ? expected.kind : envelope.kind);
  const std::string api_version(envelope.api_version.empty() ? expected.api_version : envelope.api_version);
  const std::string version = api_version.substr(api_version.find('/') + 1);
  const auto cannot = [&](const std::string& why) {
    if (deletion) return bad_request(why);
    return bad_request(fmt::format("{} in version {} cannot be handled as a {}: {}", kind, schema::quoted(version), expected.kind, why));
  };
  const schema::SchemaPtr found = schema::kubernetes_kind(api_version, kind);
  if (found == nullptr) {
    return refuse(cannot(fmt::format("no kind {} is registered for version {} in scheme \"pkg/runtime/scheme.go:111\"", schema::quoted(kind), schema::quoted(api_version))));
  }
  Value object;
  if (const std::string problem = pb::decode(*found, envelope.raw, object); !problem.empty()) return refuse(cannot(problem));
  object["kind"] = kind;
  object["apiVersion"] = api_version;
  return object.dump();
}

std::optional<std::string> to_protobuf(std::string_view json) {
  const auto object = json::parse(json);
  if (!object || !object->is_object()) return std::nullopt;
  const std::string_view api_version = object->text("apiVersion"), kind = object->text("kind");
  std::string raw, out;
  if (!encode_object(api_version, kind, *object, raw) && !encode_list(api_version, kind, *object, raw)) return std::nullopt;
  pb::write_envelope(api_version, kind, raw, out);
  return out;
}

Answer negotiated(Answer answer, const Representation& as) {
  const bool wanted = answer.status < 400 ? as.protobuf : as.protobuf_errors;
  if (!wanted || answer.more || answer.content_type != "application/json") return answer;
  if (auto bytes = to_protobuf(answer.body)) {
    answer.body = *std::move(bytes);
    answer.content_type = kProtobuf;
  }
  return answer;
}

std::string protobuf_list(const ResourceType& type, const Representation& as, const Presenter& presenter, const ListMeta& meta, const std::vector<StoredPtr>& items) {
  const bool partial = as.kind != Representation::Kind::kObject;
  Value metadata;
  metadata["resourceVersion"] = std::to_string(meta.version);
  if (!meta.next.empty()) metadata["continue"] = meta.next;
  if (meta.remaining) metadata["remainingItemCount"] = static_cast<int64_t>(*meta.remaining);
  std::string raw, out;
  begin_list(metadata, raw);
  for (const StoredPtr& item : items) {
    std::string text, bytes;
    presenter.item(*item, text);
    const auto object = json::parse(text);
    if (object) encode_object(type.api_version(), partial ? kPartial : std::string_view(type.kind), *object, bytes);
    pb::write_bytes(2, bytes, raw);
  }
  pb::write_envelope(partial ? "meta.k8s.io/" + as.version : type.api_version(), partial ? std::string(kPartial) + "List" : type.list_kind_or_default(), raw, out);
  return out;
}

void protobuf_event(std::string_view event, std::string_view object, std::string& out) {
  std::string extension, frame;
  pb::write_bytes(1, to_protobuf(object).value_or(""), extension);
  pb::write_bytes(1, event, frame);
  pb::write_bytes(2, extension, frame);
  // k8s.io/apimachinery/pkg/util/framer: the length in four bytes, the greatest first.
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(frame.size() >> shift);
  out += frame;
}

}  // namespace gs::apiserver
