#include "webhook/converted.h"

#include <forward_list>
#include <utility>

#include "json/scan.h"
#include "json/writer.h"

namespace gs::webhook {
namespace {

Status same(std::string_view what, std::string_view original, std::string_view converted) {
  if (original == converted) return ok();
  return fail(Code::kInvalid, "must have the same {}: \"{}\" became \"{}\"", what, original, converted);
}

// Labels or annotations of the converted object.
Status check_strings(std::string_view member, std::string_view object) {
  Status status;
  json::for_each_member(object, [&](std::string_view key, std::string_view content) {
    if (status && content.front() != '"') status = fail(Code::kInvalid, "metadata.{}[\"{}\"] must be a string", member, key);
  });
  return status;
}

Status check(const json::ObjectScan& original, const json::ObjectScan& converted, std::string_view desired_api_version) {
  if (converted.api_version != desired_api_version) {
    return fail(Code::kInvalid, "apiVersion must be \"{}\", not \"{}\"", desired_api_version, converted.api_version);
  }
  GS_TRY_STATUS(same("kind", original.kind, converted.kind));
  GS_TRY_STATUS(same("name", original.name, converted.name));
  GS_TRY_STATUS(same("namespace", original.ns, converted.ns));
  GS_TRY_STATUS(same("uid", original.uid, converted.uid));
  GS_TRY_STATUS(check_strings("labels", converted.labels));
  return check_strings("annotations", converted.annotations);
}

void write_metadata(json::Writer& writer, std::string_view original, const json::ObjectScan& converted) {
  writer.begin_object();
  json::for_each_member(json::raw_at(original, "metadata").value_or("{}"), [&](std::string_view key, std::string_view value) {
    if (key != "labels" && key != "annotations") writer.key(key).raw(value);
  });
  if (!converted.labels.empty()) writer.key("labels").raw(converted.labels);
  if (!converted.annotations.empty()) writer.key("annotations").raw(converted.annotations);
  writer.end_object();
}

}  // namespace

Result<std::string> settle_converted(std::string_view original, std::string_view converted, std::string_view desired_api_version) {
  std::forward_list<std::string> unescaped;
  json::ScanOptions options;
  options.unescaped = &unescaped;
  GS_TRY(const json::ObjectScan after, json::scan_object(converted, options));
  auto before = json::scan_object(original, options);
  if (!before) return fail(std::move(before).error().with_context("the object to convert"));
  GS_TRY_STATUS(check(*before, after, desired_api_version));
  std::string out;
  out.reserve(converted.size() + original.size());
  json::Writer writer(out);
  writer.begin_object();
  json::for_each_member(converted, [&](std::string_view key, std::string_view value) {
    writer.key(key);
    if (key == "metadata") {
      write_metadata(writer, original, after);
    } else {
      writer.raw(value);
    }
  });
  writer.end_object();
  return out;
}

}  // namespace gs::webhook
