#include "control/directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/strings.h"
#include "json/yaml.h"

namespace gs::control {
namespace {

namespace fs = std::filesystem;
using json::Value;

// A file that changed a moment ago may change again within the same tick of its clock.
constexpr Duration kStampAge = std::chrono::seconds(3);

bool is_manifest(const fs::path& path) {
  const std::string extension = path.extension();
  const bool hidden = path.filename().string().starts_with('.');
  return !hidden && (extension == ".yaml" || extension == ".yml" || extension == ".json");
}

// Where there is no API server to count generations, the content does: another spec, another number.
int64_t generation_of(const Value& resource) {
  const Value* spec = resource.find("spec");
  const std::string digest = sha256_hex(spec != nullptr ? spec->dump() : "");
  int64_t out = 0;
  for (const char c : digest.substr(0, 12)) out = out * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
  return out + 1;
}

class Reader {
 public:
  explicit Reader(std::string directory) : directory_(std::move(directory)) {}

  void file(const fs::path& path) {
    const std::string name = path.filename();
    auto text = kube::read_file(path);
    if (!text) return problem(name, text.error().message);
    out_.files.push_back(path);
    out_.digest += sha256_hex(*text);
    const auto documents = json::parse_yaml(*text);
    if (!documents) return problem(name, documents.error().message);
    for (const Value& document : *documents) resource(name, document);
  }

  DirectoryContent finish() {
    out_.digest = sha256_hex(out_.digest);
    return std::move(out_);
  }

 private:
  void problem(const std::string& file, const std::string& what) { out_.problems.push_back(file + ": " + what); }

  void resource(const std::string& file, const Value& document) {
    const std::string kind(document.text("kind"));
    const std::string api_version(document.text("apiVersion"));
    const std::string name(document.text("metadata.name"));
    const std::string ours = std::string(kGroup) + "/" + kVersion;
    if (name.empty()) return problem(file, "metadata.name: is required");
    if (kind == "Controller" && api_version == ours) return controller(name, document);
    if (kind == "Webhook" && api_version == ours) return webhook(name, document);
    if (kind == "Cluster" && api_version == ours) return cluster(file, name, document);
    if (kind == "Namespace" && api_version == "v1") {
      const Value* labels = document.at("metadata.labels");
      out_.desired.namespace_labels[name] = labels != nullptr && labels->is_object() ? labels->dump() : "";
      return;
    }
    if (kind == "ConfigMap" && api_version == "v1") {
      Value object = document;
      object["metadata"]["resourceVersion"] = std::to_string(generation_of_whole(document));
      out_.desired.hub_configs[name] = object.dump();
      return;
    }
    problem(file, fmt::format("{} {} \"{}\" is not a Controller, Webhook or Cluster of {} or a ConfigMap or Namespace of v1", api_version, kind, name, ours));
  }

  static int64_t generation_of_whole(const Value& document) {
    Value wrapped;
    wrapped["spec"] = document;
    return generation_of(wrapped);
  }

  void controller(const std::string& name, const Value& document) {
    Desired::Controller out;
    out.name = name;
    auto spec = parse_controller(document);
    if (spec) {
      spec->generation = generation_of(document);
      out.spec = std::make_shared<const ControllerSpec>(*std::move(spec));
    } else {
      out.error = spec.error().message;
    }
    out_.desired.controllers.push_back(std::move(out));
  }

  void webhook(const std::string& name, const Value& document) {
    auto spec = parse_webhook(document);
    if (spec) {
      spec->generation = generation_of(document);
      spec->finalizer = true;  // there is nobody who could delete it behind our back
    }
    out_.desired.webhooks.push_back(Desired::Webhook::read(name, std::move(spec)));
  }

  void cluster(const std::string& file, const std::string& name, const Value& document) {
    const std::string path(document.text("spec.connection.kubeconfig.file"));
    const std::string context(document.text("spec.connection.kubeconfig.context"));
    if (path.empty()) return problem(file, fmt::format("Cluster \"{}\": spec.connection.kubeconfig.file: is required", name));
    fleet::ClusterSpec spec = cluster_from_kubeconfig(name, path.starts_with('/') ? path : directory_ + "/" + path, context, &out_.files);
    spec.tenant = document.text("metadata.namespace");
    const Value* labels = document.at("metadata.labels");
    if (labels != nullptr && labels->is_object()) spec.labels = labels->dump();
    const Value* paused = document.at("spec.paused");
    spec.paused = paused != nullptr && paused->boolean().value_or(false);
    // A changed kubeconfig is a changed configuration.
    out_.digest += spec.digest + spec.files_digest;
    out_.desired.clusters.push_back(std::move(spec));
  }

  std::string directory_;
  DirectoryContent out_;
};

}  // namespace

fleet::ClusterSpec cluster_from_kubeconfig(const std::string& name, const std::string& path, const std::string& context,
                                           std::vector<std::string>* files_read) {
  fleet::ClusterSpec out;
  out.name = name;
  // Its identity to delegates, where no hub gives it a UID.
  out.uid = sha256_hex(name).substr(0, 32);
  std::string files;
  if (files_read != nullptr) files_read->push_back(path);
  const kube::FileReader read = [&files, files_read](const std::string& file) {
    if (files_read != nullptr) files_read->push_back(file);
    auto content = kube::read_file(file);
    files += content ? *content : content.error().message;
    return content;
  };
  const auto text = kube::read_file(path);
  if (!text) {
    out.error = text.error().message;
    return out;
  }
  const std::string directory = fs::path(path).parent_path();
  auto connection = kube::load_kubeconfig(*text, directory.empty() ? "." : directory, context, {}, read);
  if (connection) {
    out.connection = std::make_shared<const kube::ConnectionConfig>(*std::move(connection));
  } else {
    out.error = path + ": " + connection.error().message;
  }
  out.digest = sha256_hex(*text + out.error + context);
  out.files_digest = sha256_hex(files);
  return out;
}

// Links are followed: mounted ConfigMaps change by what theirs leads to.
std::string directory_stamp(const std::string& path, const std::vector<std::string>& files, WallTime now) {
  std::vector<std::string> all = files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (is_manifest(entry.path())) all.push_back(entry.path());
  }
  if (error) return "";
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  std::string out;
  for (const std::string& file : all) {
    struct stat s {};
    const bool there = stat(file.c_str(), &s) == 0;
    const auto changed = WallTime(std::chrono::seconds(s.st_ctim.tv_sec) + std::chrono::nanoseconds(s.st_ctim.tv_nsec));
    if (there && changed > now - kStampAge) return "";
    out += fmt::format("{} {} {} {} {}\n", file, there, s.st_ino, s.st_size, changed.time_since_epoch().count());
  }
  return out;
}

namespace {

// Goes a path as the kernel does, and notes the directory of each link on the way.
class Walk {
 public:
  // The directory that a path leads to; the last one on the way where it leads nowhere.
  fs::path directory(const fs::path& path) {
    const auto known = known_.find(path);
    if (known != known_.end()) return known->second;
    int links = 0;
    fs::path out = follow("/", fs::absolute(path), links);
    noted_.insert(out);
    return known_[path] = out;
  }
  // The file has a directory; so have the links that stand in its place.
  void file(const fs::path& path) {
    const fs::path directory_of = directory(path.parent_path());
    std::error_code none;
    const fs::path target = fs::read_symlink(directory_of / path.filename(), none);
    if (none) return;
    int links = 0;
    const fs::path whole = follow(directory_of, target, links);
    noted_.insert(whole.has_parent_path() && !fs::is_directory(whole, none) ? whole.parent_path() : whole);
  }
  std::vector<std::string> noted() const { return {noted_.begin(), noted_.end()}; }

 private:
  static constexpr int kMostLinks = 40;  // as the kernel

  fs::path follow(fs::path at, const fs::path& path, int& links) {
    if (path.is_absolute()) at = "/";
    for (const fs::path& part : path) {
      if (part == "/" || part == "." || part.empty()) continue;
      if (part == "..") {
        at = at.parent_path();
        continue;
      }
      std::error_code error;
      const fs::path next = at / part;
      const fs::file_type type = fs::symlink_status(next, error).type();
      if (type == fs::file_type::not_found || type == fs::file_type::none) return at;
      if (type != fs::file_type::symlink) {
        at = next;
        continue;
      }
      noted_.insert(at);
      if (++links > kMostLinks) return at;
      at = follow(at, fs::read_symlink(next, error), links);
    }
    return at;
  }

  std::set<std::string> noted_;
  std::map<fs::path, fs::path> known_;  // thousands of kubeconfigs lie in few directories
};

}  // namespace

std::vector<std::string> directories_to_watch(const std::string& path, const std::vector<std::string>& files) {
  Walk walk;
  walk.directory(path);
  for (const std::string& file : files) walk.file(fs::absolute(file));
  return walk.noted();
}

Result<DirectoryContent> read_directory(const std::string& path) {
  std::error_code error;
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (is_manifest(entry.path())) files.push_back(entry.path());
  }
  if (error) return fail(Code::kNotFound, "--config {}: {}", path, error.message());
  std::sort(files.begin(), files.end());
  Reader reader(path);
  for (const fs::path& file : files) reader.file(file);
  return reader.finish();
}

}  // namespace gs::control
