#include "apiserver/conversion/conversion_review.h"

#include <fmt/format.h>

#include "json/writer.h"
#include "schema/go_json.h"

namespace gs::apiserver::conversion {
namespace {

using json::Value;

constexpr std::string_view kConversionGroup = "apiextensions.k8s.io";

std::string_view go_type(const Value& value) {
  if (value.is_number()) return value.integer() ? "int64" : "float64";
  if (value.is_string()) return "string";
  if (value.boolean()) return "bool";
  return value.is_array() ? "[]interface {}" : value.is_null() ? "<nil>" : "map[string]interface {}";
}

// validateConvertedObject; empty: nothing is wrong.
std::string difference(const Value& in, const Value& out) {
  constexpr std::pair<const char*, const char*> kSame[] = {{"name", "metadata.name"}, {"namespace", "metadata.namespace"}, {"UID", "metadata.uid"}};
  for (const auto& [what, path] : kSame) {
    if (in.text(path) != out.text(path)) return fmt::format("must have the same {}: {} != {}", what, in.text(path), out.text(path));
  }
  return "";
}

// restoreObjectMeta; empty: done.
std::string restore_metadata(const Value& original, Value& converted) {
  const Value* said = converted.find("metadata");
  if (said == nullptr) return "missing metadata in converted object";
  if (!said->is_object()) return fmt::format("invalid metadata of type {} in converted object", go_type(*said));
  Value restored = original.find("metadata") != nullptr ? *original.find("metadata") : Value(json::Object());
  for (const char* field : {"labels", "annotations"}) {
    const Value* map = said->find(field);
    if (map == nullptr || map->is_null()) {
      restored.make_object().erase(field);
      continue;
    }
    if (!map->is_object()) return fmt::format("invalid metadata.{} of type {} in converted object", field, go_type(*map));
    for (const json::Member& member : *map->object()) {
      if (!member.second.is_string()) return fmt::format("metadata.{}[{}] must be a string, but is {} in converted object", field, member.first, go_type(member.second));
    }
    restored[field] = *map;
  }
  converted["metadata"] = std::move(restored);
  return "";
}

// The response of a review that says success.
Result<Value> successful_response(std::string_view uid, std::string_view version, std::string_view body) {
  Result<Value> review = json::parse(body);
  if (!review) return fail(Code::kInvalid, "failed: couldn't get version/kind; json parse error: {}", review.error().message);
  if (version == "v1") {
    const std::string wanted = fmt::format("{}/v1", kConversionGroup);
    if (review->text("apiVersion") != wanted || review->text("kind") != "ConversionReview") {
      return fail(Code::kInvalid, "failed: expected webhook response of {}, Kind=ConversionReview, got {}, Kind={}", wanted, review->text("apiVersion"), review->text("kind"));
    }
  }
  const Value* response = review->find("response");
  if (response == nullptr || !response->is_object()) return fail(Code::kInvalid, "failed: no response provided");
  if (version == "v1" && response->text("uid") != uid) return fail(Code::kInvalid, "failed: expected response.uid=\"{}\", got \"{}\"", uid, response->text("uid"));
  if (response->text("result.status") != "Success") {
    if (const std::string_view said = response->text("result.message"); !said.empty()) return fail(Code::kInvalid, "failed: {}", said);
    return fail(Code::kInvalid, "failed: response.result.status was '{}', not 'Success'", response->text("result.status"));
  }
  return *response;
}

// One converted object, as it is to be taken; `at`: "" or " at index 3".
Status take(const Value& original, Value& converted, std::string_view desired_api_version, const std::string& object) {
  if (!converted.is_object()) return fail(Code::kInvalid, "returned invalid {}: json: cannot unmarshal {} into Go value of type map[string]interface {{}}", object, schema::go_json_kind(converted));
  if (converted.text("apiVersion") != desired_api_version) {
    return fail(Code::kInvalid, "returned invalid {}: invalid groupVersion (expected {}, received {})", object, desired_api_version, converted.text("apiVersion"));
  }
  if (converted.text("kind") != original.text("kind")) {
    return fail(Code::kInvalid, "returned invalid {}: invalid kind (expected {}, received {})", object, original.text("kind"), converted.text("kind"));
  }
  if (const std::string wrong = difference(original, converted); !wrong.empty()) return fail(Code::kInvalid, "returned invalid {}: {}", object, wrong);
  if (const std::string wrong = restore_metadata(original, converted); !wrong.empty()) return fail(Code::kInvalid, "returned invalid metadata in {}: {}", object, wrong);
  return ok();
}

}  // namespace

std::string review_version(const std::vector<std::string>& versions) {
  for (const std::string& version : versions) {
    if (version == "v1" || version == "v1beta1") return version;
  }
  return "";
}

std::string write_review(std::string_view uid, std::string_view version, std::string_view desired_api_version, const std::vector<const Value*>& objects) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().key("kind").string("ConversionReview").key("apiVersion").string(fmt::format("{}/{}", kConversionGroup, version));
  writer.key("request").begin_object().key("uid").string(uid).key("desiredAPIVersion").string(desired_api_version).key("objects").begin_array();
  for (const Value* object : objects) writer.raw(object->dump());
  writer.end_array().end_object().end_object();
  return out;
}

Result<std::vector<Value>> read_response(std::string_view uid, std::string_view version, std::string_view desired_api_version, const std::vector<const Value*>& originals,
                                         std::string_view body) {
  GS_TRY(Value response, successful_response(uid, version, body));
  Value* converted = response.object()->find("convertedObjects");
  const size_t count = converted != nullptr && converted->array() != nullptr ? converted->array()->size() : 0;
  if (count != originals.size()) return fail(Code::kInvalid, "returned {} objects, expected {}", count, originals.size());
  std::vector<Value> out;
  for (size_t i = 0; i < count; ++i) {
    out.push_back(std::move((*converted->array())[i]));
    GS_TRY_STATUS(take(*originals[i], out.back(), desired_api_version, count == 1 ? "object" : fmt::format("converted object at index {}", i)));
  }
  return out;
}

std::string kind_text(const Value& object) { return fmt::format("{}, Kind={}", object.text("apiVersion"), object.text("kind")); }

}  // namespace gs::apiserver::conversion
