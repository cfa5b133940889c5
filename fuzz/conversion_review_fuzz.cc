// ConversionReviews, the objects in them, and the answers of webhook servers. What is settled keeps the original's identity.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "json/value.h"
#include "webhook/conversion_cache.h"
#include "webhook/conversion_rules.h"
#include "webhook/converted.h"
#include "webhook/review.h"

namespace {

using namespace gs;
using namespace gs::webhook;

void require(bool holds) {
  if (!holds) std::abort();
}

const ConversionRules& rules() {
  static const ConversionRules made = [] {
    ConversionRule rule;
    rule.from = "v1";
    rule.to = "v2";
    rule.moves.emplace_back("spec.a", "spec.b.c");
    return *ConversionRules::make({rule});
  }();
  return made;
}

void settle(std::string_view original, const std::string& converted, std::string_view wanted) {
  const auto settled = settle_converted(original, converted, wanted);
  if (!settled) return;
  const auto before = json::parse(original);
  const auto after = json::parse(*settled);
  require(before && after && after->text("apiVersion") == wanted);
  for (const char* path : {"kind", "metadata.name", "metadata.namespace", "metadata.uid", "metadata.resourceVersion"}) {
    require(before->text(path) == after->text(path));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto request = parse_conversion_review(text);
  if (!request) return 0;
  const auto whole = json::parse(text);
  require(whole && whole->text("request.uid") == request->uid);
  const json::Value* objects = whole->at("request.objects");
  require(request->objects.size() == (objects == nullptr || objects->array() == nullptr ? 0 : objects->array()->size()));
  for (size_t i = 0; i < request->objects.size(); ++i) {
    const std::string_view object = request->objects[i];
    require(*json::parse(object) == (*objects->array())[i]);
    require(conversion_key("s", "r", "v", object) == conversion_key("s", "r", "v", object));
    if (const auto converted = rules().convert(object, request->desired_api_version)) settle(object, *converted, request->desired_api_version);
    settle(request->objects[0], std::string(object), request->desired_api_version);
  }
  ConversionAnswer answer;
  if (size % 2 == 0) answer.failure = text;
  if (const auto reply = parse_conversion_answer(text, *request)) answer = *reply;
  require(json::parse(to_json(*request, answer)).has_value());
  return 0;
}
