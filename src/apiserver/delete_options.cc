#include "apiserver/delete_options.h"

#include <fmt/format.h>

#include "apiserver/request_reader.h"
#include "schema/go_json.h"

namespace gs::apiserver {
namespace {

using json::Value;

struct Words {
  std::string propagation;
  std::string dry_run;  // joined
  bool has_dry_run = false;
};

std::optional<Propagation> propagation_of(std::string_view word) {
  if (word == "Background") return Propagation::kBackground;
  if (word == "Foreground") return Propagation::kForeground;
  if (word == "Orphan") return Propagation::kOrphan;
  return std::nullopt;
}

Checked<DeleteOptions> checked(DeleteOptions out, const Words& words) {
  schema::FieldErrors errors;
  out.propagation = propagation_of(words.propagation);
  if (out.orphan && !words.propagation.empty()) {
    errors.push_back(schema::invalid("propagationPolicy", words.propagation, "orphanDependents and deletionPropagation cannot be both set"));
  }
  if (!words.propagation.empty() && !out.propagation) {
    errors.push_back(schema::not_supported("propagationPolicy", words.propagation, {"Foreground", "Background", "Orphan", "nil"}));
  }
  if (words.has_dry_run) {
    if (auto error = check_dry_run(words.dry_run)) errors.push_back(*std::move(error));
    out.dry_run = true;
  }
  if (!errors.empty()) return refuse(invalid_options("DeleteOptions", errors));
  return out;
}

}  // namespace

Checked<DeleteOptions> delete_options_of(const Value& value) {
  DeleteOptions out;
  Words words;
  if (const Value* grace = value.find("gracePeriodSeconds")) out.grace_seconds = grace->integer();
  if (const Value* orphan = value.find("orphanDependents")) out.orphan = orphan->boolean();
  if (const Value* uid = value.at("preconditions.uid"); uid != nullptr && uid->string() != nullptr) out.uid = *uid->string();
  if (const Value* version = value.at("preconditions.resourceVersion"); version != nullptr && version->string() != nullptr) out.resource_version = *version->string();
  words.propagation = value.text("propagationPolicy");
  const Value* dry_run = value.find("dryRun");
  if (dry_run != nullptr && dry_run->array() != nullptr) {
    for (const Value& word : *dry_run->array()) {
      if (words.has_dry_run) words.dry_run += ',';
      words.has_dry_run = true;
      words.dry_run += word.string() != nullptr ? *word.string() : word.dump();
    }
  }
  return checked(std::move(out), words);
}

Checked<DeleteOptions> read_delete_options(const gateway::RestRequest& request, std::string_view body) {
  if (!body.empty()) {
    const Result<Value> value = schema::parse_as_go(body);
    if (!value || !value->is_object()) return refuse(bad_request("couldn't get version/kind; json parse error: " + (value ? "the body is no object" : value.error().message)));
    const std::string_view kind = value->text("kind");
    if (!kind.empty() && kind != "DeleteOptions") {
      return refuse(bad_request(fmt::format("no kind \"{}\" is registered for version \"{}\" in scheme \"pkg/runtime/scheme.go:111\"", kind, value->text("apiVersion"))));
    }
    return delete_options_of(*value);
  }
  DeleteOptions out;
  Words words;
  // Integers and booleans were checked when the request was read.
  if (const std::string_view grace = request.option("gracePeriodSeconds"); !grace.empty()) out.grace_seconds = json::number_value(grace).integer();
  if (request.options.contains("orphanDependents")) out.orphan = request.option("orphanDependents") == "true";
  words.propagation = request.option("propagationPolicy");
  words.has_dry_run = request.dry_run();
  words.dry_run = request.option("dryRun");
  return checked(std::move(out), words);
}

}  // namespace gs::apiserver
