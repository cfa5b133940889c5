#include "kube/kubeconfig.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/strings.h"
#include "json/yaml.h"

namespace gs::kube {
namespace {

constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/";
constexpr std::string_view kExecGroup = "client.authentication.k8s.io/";
constexpr size_t kMaxFile = 1024 * 1024;
constexpr size_t kMaxHint = 1024;

using json::Value;

// One parsed file.
struct Document {
  const KubeconfigFile* file = nullptr;
  Value root;
};

// A value together with the file and the path that messages call it by.
struct Field {
  const Value* value = nullptr;
  std::string path;
  const KubeconfigFile* file = nullptr;

  Field at(std::string_view key) const {
    const std::string name = path.empty() ? std::string(key) : path + "." + std::string(key);
    return {value != nullptr ? value->find(key) : nullptr, name, file};
  }
  Field element(size_t index) const {
    return {&(*value->array())[index], fmt::format("{}[{}]", path, index), file};
  }
  bool present() const { return value != nullptr && !value->is_null(); }

  template <class... Args>
  tl::unexpected<Error> wrong(Code code, fmt::format_string<Args...> format, Args&&... args) const {
    const std::string where = file != nullptr && !file->path.empty() ? file->path + ": " + path : path;
    return gs::fail(code, "{}: {}", where, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  tl::unexpected<Error> invalid(fmt::format_string<Args...> format, Args&&... args) const {
    return wrong(Code::kInvalid, format, std::forward<Args>(args)...);
  }

  Result<std::string> text() const {
    if (!present()) return std::string();
    if (!value->is_string()) return invalid("must be a string, not a {}; put it into quotes", value->type_name());
    return *value->string();
  }
  Result<bool> flag() const {
    if (!present()) return false;
    const auto boolean = value->boolean();
    if (!boolean) return invalid("must be true or false");
    return *boolean;
  }
  // The number of elements of a list that may be missing.
  Result<size_t> size() const {
    if (!present()) return size_t{0};
    if (!value->is_array()) return invalid("must be a list, not a {}", value->type_name());
    return value->array()->size();
  }
  Status must_be_object() const {
    if (present() && !value->is_object()) return invalid("must be an object, not a {}", value->type_name());
    return ok();
  }
};

bool is_header_safe(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

// Terminals are not to be driven by what a file says.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (!control || c == '\n' || c == '\t') out += c;
  }
  return truncate_utf8(out, kMaxHint);
}

class Loader {
 public:
  Loader(const std::vector<Document>& documents, const KubeconfigPolicy& policy, const FileReader& read)
      : documents_(documents), policy_(policy), read_(read) {}

  Result<ConnectionConfig> load(std::string_view wanted) {
    std::string context_name(wanted);
    for (const Document& document : documents_) {
      if (!context_name.empty()) break;
      GS_TRY(context_name, root(document).at("current-context").text());
    }
    if (context_name.empty()) {
      return root(documents_.front()).at("current-context").invalid("is not set, and no context was asked for by name");
    }
    GS_TRY(const Field context, named("contexts", "context", context_name));
    GS_TRY(const std::string cluster_name, context.at("cluster").text());
    GS_TRY(const std::string user_name, context.at("user").text());
    if (cluster_name.empty()) return context.at("cluster").invalid("is required");
    GS_TRY(const Field cluster, named("clusters", "cluster", cluster_name));
    GS_TRY_STATUS(load_cluster(cluster));
    if (!user_name.empty()) {
      GS_TRY(const Field user, named("users", "user", user_name));
      GS_TRY_STATUS(load_user(user, cluster));
    }
    if (!out_.server.tls) drop_credentials();
    return std::move(out_);
  }

 private:
  static Field root(const Document& document) { return {&document.root, "", document.file}; }
  bool self_contained() const { return policy_.trust == Trust::kSelfContained; }

  // clusters[], users[], contexts[]: [{name, cluster|user|context}]
  Result<Field> named(std::string_view list, std::string_view member, std::string_view name) const {
    for (const Document& document : documents_) {
      const Field entries = root(document).at(list);
      GS_TRY(const size_t size, entries.size());
      Field found;
      for (size_t i = 0; i < size; ++i) {
        const Field entry = entries.element(i);
        GS_TRY_STATUS(entry.must_be_object());
        GS_TRY(const std::string entry_name, entry.at("name").text());
        if (entry_name != name) continue;
        if (found.file != nullptr) return entry.at("name").invalid("there are two of the name \"{}\"", name);
        found = entry.at(member);
      }
      if (found.file == nullptr) continue;
      GS_TRY_STATUS(found.must_be_object());
      if (!found.present()) return found.invalid("is required");
      return found;
    }
    return root(documents_.front()).at(list).invalid("there is none of the name \"{}\"", name);
  }

  Status load_cluster(const Field& cluster) {
    const Field server = cluster.at("server");
    GS_TRY(const std::string url, server.text());
    if (url.empty()) return server.invalid("is required");
    auto parsed = parse_server_url(url);
    if (!parsed) return server.invalid("{}", parsed.error().message);
    out_.server = *std::move(parsed);
    if (self_contained() && !out_.server.tls) return server.invalid("must be https");
    GS_TRY(out_.server_name, cluster.at("tls-server-name").text());
    const Field insecure = cluster.at("insecure-skip-tls-verify");
    GS_TRY(out_.insecure_skip_tls_verify, insecure.flag());
    if (out_.insecure_skip_tls_verify && self_contained() && !policy_.allow_insecure_skip_tls_verify) {
      return refused(insecure, "put the server's authority into certificate-authority-data, or start the plane with --cluster-allow-insecure-skip-tls-verify");
    }
    GS_TRY_STATUS(load_proxy(cluster.at("proxy-url")));
    GS_TRY_STATUS(data_or_file(cluster, "certificate-authority", out_.ca_pem, out_.ca_file));
    if (out_.insecure_skip_tls_verify && !out_.ca_pem.empty()) {
      return cluster.invalid("certificate-authority and insecure-skip-tls-verify exclude each other; remove one");
    }
    return ok();
  }

  // The message must not repeat the URL: it may hold a password.
  Status load_proxy(const Field& field) {
    GS_TRY(out_.proxy_url, field.text());
    if (out_.proxy_url.empty()) return ok();
    if (self_contained() && !policy_.allow_proxy_url) {
      return refused(field, "start the plane with --cluster-allow-proxy-url to allow it");
    }
    if (out_.proxy_url.starts_with("socks")) {
      return field.wrong(Code::kUnsupported, "SOCKS proxies are not supported yet; use an http:// or https:// proxy");
    }
    if (!out_.proxy_url.starts_with("http://") && !out_.proxy_url.starts_with("https://")) {
      return field.invalid("is not an http:// or https:// URL");
    }
    return ok();
  }

  Status load_user(const Field& user, const Field& cluster) {
    const Field provider = user.at("auth-provider");
    if (provider.present()) {
      if (self_contained()) return refused(provider, "put a token or a client certificate into the kubeconfig");
      return provider.wrong(Code::kUnsupported, "not supported (removed from client-go 1.26); use exec");
    }
    GS_TRY_STATUS(data_or_file(user, "client-certificate", out_.client_certificate_pem, out_.client_certificate_file));
    GS_TRY_STATUS(data_or_file(user, "client-key", out_.client_key_pem, out_.client_key_file));
    if (out_.client_certificate_pem.empty() != out_.client_key_pem.empty()) {
      return user.invalid("client-certificate and client-key go together; one of them is missing");
    }
    GS_TRY_STATUS(load_token(user));
    GS_TRY_STATUS(load_basic(user));
    GS_TRY_STATUS(load_exec(user.at("exec"), cluster));
    return load_impersonation(user);
  }

  Status load_token(const Field& user) {
    const Field token = user.at("token");
    GS_TRY(out_.token, token.text());
    if (!is_header_safe(out_.token) || out_.token.find(' ') != std::string::npos) {
      return token.invalid("has white space or a control character in it");
    }
    const Field file = user.at("tokenFile");
    GS_TRY(out_.token_file, file.text());
    if (out_.token_file.empty()) return ok();
    if (self_contained()) return refused(file, "put the token itself into token");
    out_.token_file = resolve(file, out_.token_file);
    return ok();
  }

  Status load_basic(const Field& user) {
    GS_TRY(out_.basic_user, user.at("username").text());
    GS_TRY(out_.basic_password, user.at("password").text());
    if (out_.basic_user.empty() && out_.basic_password.empty()) return ok();
    if (out_.basic_user.empty()) return user.at("username").invalid("is required with a password");
    if (out_.basic_user.find(':') != std::string::npos) return user.at("username").invalid("must not have a colon in it");
    if (!out_.token.empty() || !out_.token_file.empty()) {
      return user.invalid("has a token as well as a username; only one is allowed, remove the other");
    }
    return ok();
  }

  Status load_exec(const Field& exec, const Field& cluster) {
    if (!exec.present()) return ok();
    if (self_contained()) return refused(exec, "put a token or a client certificate into the kubeconfig");
    GS_TRY_STATUS(exec.must_be_object());
    GS_TRY(out_.exec.api_version, exec.at("apiVersion").text());
    const std::string& version = out_.exec.api_version;
    if (version != "client.authentication.k8s.io/v1" && version != "client.authentication.k8s.io/v1beta1") {
      return exec.at("apiVersion").invalid("\"{}\" is not {}v1 or v1beta1; ask the plugin for one of them", version, kExecGroup);
    }
    GS_TRY(std::string command, exec.at("command").text());
    if (command.empty()) return exec.at("command").invalid("is required");
    // A bare name is looked up in PATH; anything with a slash is a path.
    out_.exec.command = command.find('/') == std::string::npos ? command : resolve(exec, command);
    GS_TRY_STATUS(load_interactive_mode(exec.at("interactiveMode")));
    GS_TRY(const std::string hint, exec.at("installHint").text());
    out_.exec.install_hint = printable(hint);
    GS_TRY(out_.exec.provide_cluster_info, exec.at("provideClusterInfo").flag());
    GS_TRY(out_.exec.args, texts(exec.at("args")));
    GS_TRY_STATUS(load_env(exec.at("env")));
    GS_TRY_STATUS(load_cluster_config(cluster.at("extensions")));
    // A token or basic credentials win over the plugin, as in client-go.
    out_.has_exec = out_.token.empty() && out_.token_file.empty() && out_.basic_user.empty();
    return ok();
  }

  static Status load_interactive_mode(const Field& field) {
    GS_TRY(const std::string mode, field.text());
    if (mode == "Always") return field.invalid("Always cannot work, nobody is at the plane's terminal; use Never or IfAvailable");
    if (!mode.empty() && mode != "Never" && mode != "IfAvailable") {
      return field.invalid("\"{}\" is not Never, IfAvailable or Always", mode);
    }
    return ok();
  }

  Status load_env(const Field& env) {
    GS_TRY(const size_t size, env.size());
    for (size_t i = 0; i < size; ++i) {
      const Field entry = env.element(i);
      GS_TRY_STATUS(entry.must_be_object());
      GS_TRY(std::string name, entry.at("name").text());
      GS_TRY(std::string value, entry.at("value").text());
      if (name.empty() || name.find('=') != std::string::npos) return entry.at("name").invalid("is required, and without \"=\"");
      out_.exec.env.emplace_back(std::move(name), std::move(value));
    }
    return ok();
  }

  // What the plugin's vendor put beside the cluster for it.
  Status load_cluster_config(const Field& extensions) {
    GS_TRY(const size_t size, extensions.size());
    for (size_t i = 0; i < size; ++i) {
      const Value* entry = extensions.element(i).value;
      const Value* extension = entry->find("extension");
      if (entry->text("name") == "client.authentication.k8s.io/exec" && extension != nullptr) {
        out_.exec.cluster_config = extension->dump();
      }
    }
    return ok();
  }

  Status load_impersonation(const Field& user) {
    GS_TRY(const std::string as, user.at("as").text());
    GS_TRY(const std::string uid, user.at("as-uid").text());
    if (!as.empty()) GS_TRY_STATUS(impersonate("impersonate-user", as, user.at("as")));
    if (!uid.empty()) GS_TRY_STATUS(impersonate("impersonate-uid", uid, user.at("as-uid")));
    const Field groups = user.at("as-groups");
    GS_TRY(const std::vector<std::string> group_names, texts(groups));
    for (const std::string& group : group_names) GS_TRY_STATUS(impersonate("impersonate-group", group, groups));
    const Field extra = user.at("as-user-extra");
    GS_TRY_STATUS(extra.must_be_object());
    if (extra.present()) {
      for (const auto& [key, unused] : *extra.value->object()) {
        const Field values = extra.at(key);
        GS_TRY(const std::vector<std::string> value_texts, texts(values));
        const std::string header = "impersonate-extra-" + percent_encode(to_lower(key));
        for (const std::string& value : value_texts) GS_TRY_STATUS(impersonate(header, value, values));
      }
    }
    if (as.empty() && !out_.impersonation.empty()) return user.at("as").invalid("is required to impersonate");
    return ok();
  }

  Status impersonate(const std::string& header, const std::string& value, const Field& field) {
    if (!is_header_safe(value)) return field.invalid("has a control character in it");
    out_.impersonation.emplace_back(header, value);
    return ok();
  }

  static Result<std::vector<std::string>> texts(const Field& list) {
    std::vector<std::string> out;
    GS_TRY(const size_t size, list.size());
    for (size_t i = 0; i < size; ++i) {
      const Field element = list.element(i);
      if (!element.present()) return element.invalid("must be a string, not null");
      GS_TRY(out.emplace_back(), element.text());
    }
    return out;
  }

  // X-data (base64) wins over X (a path).
  Status data_or_file(const Field& parent, const std::string& name, std::string& pem, std::string& file) const {
    const Field path_field = parent.at(name);
    const Field data_field = parent.at(name + "-data");
    GS_TRY(const std::string path, path_field.text());
    if (!path.empty() && self_contained()) {
      return refused(path_field, fmt::format("put the content into {}-data", name));
    }
    GS_TRY(const std::string data, data_field.text());
    if (!data.empty()) {
      const auto decoded = base64_decode(data);
      if (!decoded || decoded->empty()) return data_field.invalid("is not base64");
      pem = *decoded;
      return ok();
    }
    if (path.empty()) return ok();
    file = resolve(path_field, path);
    auto content = read_(file);
    if (!content) return path_field.wrong(content.error().code, "{}", content.error().message);
    if (trim(*content).empty()) return path_field.invalid("{} is empty", file);
    pem = *std::move(content);
    return ok();
  }

  static std::string resolve(const Field& field, const std::string& path) {
    return path.starts_with('/') ? path : field.file->directory + "/" + path;
  }

  // As client-go: no credential goes over plain http.
  void drop_credentials() {
    out_.token.clear();
    out_.token_file.clear();
    out_.basic_user.clear();
    out_.basic_password.clear();
    out_.client_certificate_pem.clear();
    out_.client_key_pem.clear();
    out_.client_certificate_file.clear();
    out_.client_key_file.clear();
    out_.has_exec = false;
  }

  static tl::unexpected<Error> refused(const Field& field, std::string_view remedy) {
    return field.wrong(Code::kForbidden, "is not allowed in a kubeconfig that comes from a Secret; {}", remedy);
  }

  const std::vector<Document>& documents_;
  const KubeconfigPolicy& policy_;
  const FileReader& read_;
  ConnectionConfig out_;
};

Result<Document> parse(const KubeconfigFile& file) {
  const std::string prefix = file.path.empty() ? "" : file.path + ": ";
  auto documents = json::parse_yaml(file.text);
  if (!documents) return fail(documents.error().code, "{}{}", prefix, documents.error().message);
  Document out;
  out.file = &file;
  if (documents->empty()) {  // as clientcmd: an empty file is an empty Config
    out.root.make_object();
    return out;
  }
  if (documents->size() != 1 || !documents->front().is_object()) {
    return fail(Code::kInvalid, "{}not a kubeconfig: one YAML document with clusters, users and contexts is expected", prefix);
  }
  out.root = std::move(documents->front());
  const std::string kind(out.root.text("kind"));
  if (!kind.empty() && kind != "Config") return fail(Code::kInvalid, "{}kind: is \"{}\", not Config", prefix, kind);
  return out;
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::kNotFound, "cannot read {}: {}", path, std::strerror(errno));
  std::string content;
  char buffer[4096];
  while (file.read(buffer, sizeof buffer) || file.gcount() > 0) {
    content.append(buffer, static_cast<size_t>(file.gcount()));
    if (content.size() > kMaxFile) return fail(Code::kTooLarge, "{} is larger than {} bytes", path, kMaxFile);
  }
  if (file.bad()) return fail(Code::kNotFound, "cannot read {}: {}", path, std::strerror(errno));
  return content;
}

Result<std::vector<KubeconfigFile>> read_kubeconfig_list(std::string_view list, const FileReader& read) {
  std::vector<KubeconfigFile> out;
  Error last(Code::kNotFound, "no kubeconfig file is named");
  for (const std::string_view part : split(list, ':')) {
    if (part.empty()) continue;
    const std::string path(part);
    auto text = read(path);
    if (!text && text.error().code != Code::kNotFound) return fail(std::move(text).error());
    if (!text) {
      last = std::move(text).error();
      continue;
    }
    const size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    out.emplace_back(path, directory, *std::move(text));
  }
  if (out.empty()) return fail(std::move(last));
  return out;
}

Result<ConnectionConfig> load_kubeconfig(const std::vector<KubeconfigFile>& files, std::string_view context,
                                         const KubeconfigPolicy& policy, const FileReader& read) {
  if (files.empty()) return fail(Code::kInvalid, "no kubeconfig file is named");
  std::vector<Document> documents;
  for (const KubeconfigFile& file : files) {
    GS_TRY(documents.emplace_back(), parse(file));
  }
  return Loader(documents, policy, read).load(context);
}

Result<ConnectionConfig> load_kubeconfig(std::string_view text, const std::string& directory, std::string_view context,
                                         const KubeconfigPolicy& policy, const FileReader& read) {
  std::vector<KubeconfigFile> files;
  files.emplace_back("", directory, std::string(text));
  return load_kubeconfig(files, context, policy, read);
}

Result<ConnectionConfig> in_cluster_config(const FileReader& read) {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr || *host == '\0' || *port == '\0') {
    return fail(Code::kInvalid, "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  }
  ConnectionConfig out;
  const bool v6 = std::string_view(host).find(':') != std::string_view::npos;
  const std::string address = v6 ? fmt::format("[{}]", host) : host;
  GS_TRY(out.server, parse_server_url(fmt::format("https://{}:{}", address, port)));
  out.token_file = std::string(kServiceAccount) + "token";
  out.ca_file = std::string(kServiceAccount) + "ca.crt";
  GS_TRY(const std::string token, read(out.token_file));
  if (trim(token).empty()) return fail(Code::kInvalid, "{} is empty", out.token_file);
  GS_TRY(out.ca_pem, read(out.ca_file));
  return out;
}

}  // namespace gs::kube
