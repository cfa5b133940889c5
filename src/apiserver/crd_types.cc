// The resource types that a custom resource definition defines, one for each version.
#include <fmt/format.h>

#include <atomic>

#include "apiserver/conversion/conversion_memo.h"
#include "apiserver/crd_parts.h"
#include "apiserver/crd_strategy.h"
#include "apiserver/object_meta.h"
#include "schema/crd_schema.h"

namespace gs::apiserver {
namespace {

using json::Value;

PrinterColumn column(const Value& c) {
  PrinterColumn out;
  out.name = c.text("name");
  out.type = c.text("type");
  out.format = c.text("format");
  out.description = c.text("description");
  out.json_path = c.text("jsonPath");
  if (out.description.empty()) out.description = "Custom resource definition column (in JSONPath format): " + out.json_path;
  if (const Value* priority = c.find("priority")) out.priority = static_cast<int>(priority->integer().value_or(0));
  return out;
}

// With the version that takes its place, where one is preferred to it (apiextensions' defaultDeprecationWarning).
std::string default_deprecation(const Value& crd, const ResourceType& type) {
  std::string best;
  for (const Value& version : versions_of_crd(crd)) {
    const std::string name(version.text("name"));
    if (!is_true(version, "served") || is_true(version, "deprecated") || !preferred_version(name, type.version)) continue;
    if (best.empty() || preferred_version(name, best)) best = name;
  }
  std::string out = fmt::format("{} {} is deprecated", type.api_version(), type.kind);
  return best.empty() ? out : out + fmt::format("; use {}/{} {}", type.group, best, type.kind);
}

ResourceType type_of(const Value& crd, const Value& version) {
  ResourceType out(std::string(crd.text("spec.group")), std::string(version.text("name")), std::string(crd.text("status.acceptedNames.plural")),
                   std::string(crd.text("status.acceptedNames.kind")), crd.text("spec.scope") == "Namespaced");
  out.custom = true;
  out.has_generation = true;
  // In the order in which discovery tells them.
  out.verbs = {"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"};
  out.storage = is_true(version, "storage");
  out.has_status = version.at("subresources.status") != nullptr;
  if (out.has_status) out.subresources.push_back({"status", std::string(crd.text("status.acceptedNames.kind")), out.group, out.version, {"get", "patch", "update"}});
  out.list_kind = crd.text("status.acceptedNames.listKind");
  out.singular = crd.text("status.acceptedNames.singular");
  out.short_names = strings_of(crd.at("status.acceptedNames.shortNames"));
  out.categories = strings_of(crd.at("status.acceptedNames.categories"));
  out.deprecated = is_true(version, "deprecated");
  if (out.deprecated) {
    out.deprecation_warning = version.text("deprecationWarning");
    if (out.deprecation_warning.empty()) out.deprecation_warning = default_deprecation(crd, out);
  }
  if (const Value* scale = version.at("subresources.scale")) {
    out.has_scale = true;
    out.scale = {std::string(scale->text("specReplicasPath")), std::string(scale->text("statusReplicasPath")), std::string(scale->text("labelSelectorPath"))};
    out.subresources.push_back({"scale", "Scale", "autoscaling", "v1", {"get", "patch", "update"}});
  }
  const Value* columns = version.find("additionalPrinterColumns");
  for (size_t i = 0; columns != nullptr && columns->array() != nullptr && i < columns->array()->size(); ++i) out.columns.push_back(column((*columns->array())[i]));
  const Value* fields = version.find("selectableFields");
  for (size_t i = 0; fields != nullptr && fields->array() != nullptr && i < fields->array()->size(); ++i) out.selectable_fields.emplace_back((*fields->array())[i].text("jsonPath"));
  if (const Value* props = version.at("schema.openAPIV3Schema")) out.schema = schema::build_crd_schema(*props);
  return out;
}

conversion::ConverterPtr converter_of(const Value& crd) {
  const Value* client = crd.at("spec.conversion.webhook.clientConfig");
  if (crd.text("spec.conversion.strategy") != "Webhook" || client == nullptr) return nullptr;
  admission::ClientConfig config = admission::read_client_config(*client);
  config.tells_timeout = false;
  return std::make_shared<conversion::WebhookConverter>(std::move(config), strings_of(crd.at("spec.conversion.webhook.conversionReviewVersions")));
}

}  // namespace

std::vector<ResourceType> types_of_crd(const Value& crd) {
  // Each state of a definition is another shape; loops of all clusters take from one count.
  static std::atomic<uint64_t> shapes{0};
  std::vector<ResourceType> out;
  std::shared_ptr<ResourceType> kept;
  const conversion::ConverterPtr converter = converter_of(crd);
  for (const Value& version : versions_of_crd(crd)) {
    if (!is_true(version, "storage")) continue;
    kept = std::make_shared<ResourceType>(type_of(crd, version));
    kept->shape = ++shapes;
    kept->converter = converter;
  }
  for (const Value& version : versions_of_crd(crd)) {
    if (!is_true(version, "served")) continue;
    if (is_true(version, "storage")) {
      out.push_back(*kept);
      continue;
    }
    out.push_back(type_of(crd, version));
    out.back().stored_as = kept;
    out.back().converter = converter;
  }
  return out;
}

}  // namespace gs::apiserver
