#include "embedded/preload.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/strings.h"
#include "json/yaml.h"

namespace gs::embedded {
namespace {

namespace fs = std::filesystem;

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kInvalid, "{}: cannot be read", path);
  // One more than is taken: what is too large is then said by the reader of YAML.
  std::string out(json::kMaxYamlBytes + 1, '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<size_t>(in.gcount()));
  return out;
}

Status check(const Manifest& manifest) {
  const auto missing = [&](const char* field, const char* such_as) {
    return fail(Code::kInvalid, "{}: {}: is missing or no string; it must be set, such as {}", manifest.where, field, such_as);
  };
  if (!manifest.object.is_object()) return fail(Code::kInvalid, "{}: must be a Kubernetes object, not of type {}", manifest.where, manifest.object.type_name());
  if (manifest.object.text("apiVersion").empty()) return missing("apiVersion", "v1");
  if (manifest.object.text("kind").empty()) return missing("kind", "ConfigMap");
  return ok();
}

Status add(std::string where, json::Value object, std::vector<Manifest>& out) {
  Manifest manifest{std::move(where), std::move(object)};
  GS_TRY_STATUS(check(manifest));
  const json::Value* items = manifest.object.find("items");
  const bool is_list = manifest.object.text("kind").ends_with("List") && items != nullptr && items->is_array();
  if (!is_list) {
    if (manifest.object.text("metadata.name").empty() && manifest.object.text("metadata.generateName").empty()) {
      return fail(Code::kInvalid, "{}: metadata.name: is missing or no string; name or generateName must be set", manifest.where);
    }
    out.push_back(std::move(manifest));
    return ok();
  }
  for (size_t i = 0; i < items->array()->size(); ++i) GS_TRY_STATUS(add(fmt::format("{}: items[{}]", manifest.where, i), (*items->array())[i], out));
  return ok();
}

Result<std::vector<std::string>> files_of(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string extension = entry.path().extension();
    if (extension == ".yaml" || extension == ".yml" || extension == ".json") out.push_back(entry.path());
  }
  if (error) return fail(Code::kInvalid, "{}: {}", path, error.message());
  if (out.empty()) return fail(Code::kInvalid, "{}: has no .yaml, .yml or .json file", path);
  std::sort(out.begin(), out.end());
  return out;
}

// What others need comes first.
constexpr int kDefinitions = 1;
int order_of(const Manifest& manifest) {
  const std::string_view kind = manifest.object.text("kind");
  if (kind == "Namespace") return 0;
  return kind == "CustomResourceDefinition" ? kDefinitions : kDefinitions + 1;
}

apiserver::ResourceTypePtr type_of(apiserver::ApiServer& server, const json::Value& object) {
  const std::string_view api_version = object.text("apiVersion"), kind = object.text("kind");
  apiserver::ResourceTypePtr out;
  server.table().for_each([&](const apiserver::ResourceType& type) {
    if (type.kind == kind && type.api_version() == api_version) out = server.table().find(type.group, type.version, type.resource);
  });
  return out;
}

// The words of a metav1.Status.
std::string words(const apiserver::Answer& answer) {
  const auto status = json::parse(answer.body);
  const std::string_view message = status ? status->text("message") : "";
  return message.empty() ? fmt::format("refused with status {}", answer.status) : std::string(message);
}

class Loader {
 public:
  Loader(apiserver::ApiServer& server, IfThere if_there) : server_(server), if_there_(if_there) {}

  Status load(const Manifest& manifest) {
    const apiserver::ResourceTypePtr type = type_of(server_, manifest.object);
    if (!type) {
      return fail(Code::kInvalid, "{}: kind: no kind \"{}\" of {} is served; a CustomResourceDefinition of it may be preloaded too", manifest.where,
                  manifest.object.text("kind"), manifest.object.text("apiVersion"));
    }
    std::string path = type->group.empty() ? "/api/" + type->version : "/apis/" + type->api_version();
    if (type->namespaced) {
      const std::string_view ns = manifest.object.text("metadata.namespace");
      path += "/namespaces/" + percent_encode(ns.empty() ? "default" : ns);
    }
    path += "/" + type->resource;
    const std::string name(manifest.object.text("metadata.name"));
    const std::string body = manifest.object.dump();
    apiserver::Answer answer = server_.request("POST", path, body);
    const bool there = answer.status == 409 && !name.empty();
    if (there && if_there_ == IfThere::kReplace) {
      answer = server_.request("PATCH", path + "/" + percent_encode(name) + "?fieldManager=gulfstream&force=true", body, "application/apply-patch+yaml");
    }
    if (there && (if_there_ == IfThere::kLeave || answer.status / 100 == 2)) {
      ++done_.present;
      return ok();
    }
    if (answer.status / 100 != 2) return fail(Code::kInvalid, "{}: {}", manifest.where, words(answer));
    ++done_.created;
    return ok();
  }
  const Preloaded& done() const { return done_; }

 private:
  apiserver::ApiServer& server_;
  IfThere if_there_;
  Preloaded done_;
};

}  // namespace

Result<std::vector<Manifest>> parse_manifests(const std::string& where, std::string_view text) {
  auto documents = json::parse_yaml(text);
  if (!documents) return fail(std::move(documents).error().with_context(where));
  std::vector<Manifest> out;
  size_t number = 0;
  for (json::Value& document : *documents) GS_TRY_STATUS(add(fmt::format("{}: document {}", where, ++number), std::move(document), out));
  return out;
}

Result<std::vector<Manifest>> read_manifests(const std::string& path) {
  GS_TRY(const std::vector<std::string> files, files_of(path));
  std::vector<Manifest> out;
  for (const std::string& file : files) {
    GS_TRY(const std::string text, read_text(file));
    GS_TRY(std::vector<Manifest> of_file, parse_manifests(file, text));
    std::move(of_file.begin(), of_file.end(), std::back_inserter(out));
  }
  return out;
}

Result<Preloaded> preload(apiserver::ApiServer& server, const std::vector<Manifest>& manifests, IfThere if_there) {
  std::vector<const Manifest*> ordered;
  for (const Manifest& manifest : manifests) ordered.push_back(&manifest);
  std::stable_sort(ordered.begin(), ordered.end(), [](const Manifest* a, const Manifest* b) { return order_of(*a) < order_of(*b); });
  Loader loader(server, if_there);
  int before = 0;
  for (const Manifest* manifest : ordered) {
    if (std::exchange(before, order_of(*manifest)) == kDefinitions && before > kDefinitions) server.serve_definitions();
    GS_TRY_STATUS(loader.load(*manifest));
  }
  server.serve_definitions();
  return loader.done();
}

}  // namespace gs::embedded
