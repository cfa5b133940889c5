#include "embedded/kubeconfig_file.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "base/files.h"
#include "base/strings.h"

namespace gs::embedded {
namespace {

constexpr std::string_view kOurs = "# Written by gulfstream at each start; what is changed here is lost.\n";

}  // namespace

std::string kubeconfig_text(const std::vector<KubeconfigEntry>& entries, const std::string& authority, const webhook::KeyPair& admin) {
  const std::string ca = base64_encode(authority);
  std::string out(kOurs);
  auto to = std::back_inserter(out);
  fmt::format_to(to, "apiVersion: v1\nkind: Config\ncurrent-context: {}\nclusters:\n", entries.front().name);
  for (const KubeconfigEntry& entry : entries) {
    fmt::format_to(to, "- name: {}\n  cluster:\n    server: {}\n    certificate-authority-data: {}\n", entry.name, entry.server, ca);
  }
  fmt::format_to(to, "contexts:\n");
  for (const KubeconfigEntry& entry : entries) fmt::format_to(to, "- name: {0}\n  context:\n    cluster: {0}\n    user: gulfstream-admin\n", entry.name);
  fmt::format_to(to, "users:\n- name: gulfstream-admin\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n", base64_encode(admin.certificate),
                 base64_encode(admin.key));
  return out;
}

Status write_kubeconfig(const std::string& path, const std::string& text) {
  if (file_exists(path)) {
    std::string first;
    std::getline(std::ifstream(path), first);
    if (!first.empty() && first + "\n" != kOurs) {
      return fail(Code::kInvalid, "{}: is a kubeconfig of somebody else's and is left as it is; give --write-kubeconfig another name, or remove it", path);
    }
  }
  return write_whole_file(path, text, kSecretFile);
}

}  // namespace gs::embedded
