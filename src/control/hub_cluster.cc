#include "control/hub_cluster.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "json/scan.h"

namespace gs::control {
namespace {

constexpr const char* kSecretRef = "spec.connection.kubeconfig.secretRef";

void refuse(fleet::ClusterSpec& spec, std::string reason, std::string message) {
  spec.error_reason = std::move(reason);
  spec.error = std::move(message);
}

// An untrusted kubeconfig reads no file; the policy has refused every path before this is asked.
Result<std::string> no_files(const std::string& path) {
  return fail(Code::kForbidden, "{}: a kubeconfig from a Secret reads no files", path);
}

void load(fleet::ClusterSpec& spec, const SecretRef& ref, const SecretState& secret, const kube::KubeconfigPolicy& policy) {
  if (ref.name.empty()) return refuse(spec, "Invalid", fmt::format("{}.name: is required: the Secret that holds the kubeconfig", kSecretRef));
  if (!secret.problem.empty()) return refuse(spec, "SecretUnreadable", fmt::format("{}: Secret \"{}\": {}", kSecretRef, ref.name, secret.problem));
  if (!secret.object) {
    return refuse(spec, "SecretMissing", fmt::format("{}.name: Secret \"{}\" is not in namespace \"{}\"", kSecretRef, ref.name, spec.tenant));
  }
  // Keys have dots in them.
  const auto encoded = json::get_path(secret.object->json(), {"data", ref.key});
  if (!encoded) return refuse(spec, "KeyMissing", fmt::format("{}.key: Secret \"{}\" has no key \"{}\" in its data", kSecretRef, ref.name, ref.key));
  const auto text = base64_decode(encoded->text());
  if (!text) return refuse(spec, "KeyMissing", fmt::format("{}.key: \"{}\" of Secret \"{}\" is not base64", kSecretRef, ref.key, ref.name));
  spec.digest = sha256_hex(spec.uid + '\n' + *text);
  auto connection = kube::load_kubeconfig(*text, "", "", policy, no_files);
  if (connection) {
    spec.connection = std::make_shared<const kube::ConnectionConfig>(*std::move(connection));
  } else {
    refuse(spec, "KubeconfigRefused", fmt::format("Secret \"{}\", key \"{}\": {}", ref.name, ref.key, connection.error().message));
  }
}

}  // namespace

SecretRef secret_ref_of(const kube::Object& cluster) {
  SecretRef out;
  out.name = json::text_at(cluster.json(), std::string(kSecretRef) + ".name").value_or("");
  const auto key = json::text_at(cluster.json(), std::string(kSecretRef) + ".key");
  if (key && !key->empty()) out.key = *key;
  return out;
}

bool is_paused(const kube::Object& cluster) { return json::text_at(cluster.json(), "spec.paused").value_or("") == "true"; }

fleet::ClusterSpec cluster_from_hub(const kube::Object& cluster, const SecretState& secret, const kube::KubeconfigPolicy& policy) {
  fleet::ClusterSpec spec;
  spec.tenant = cluster.ns();
  spec.name = cluster.name();
  spec.uid = cluster.uid();
  if (!cluster.labels().empty()) spec.labels = cluster.labels();
  spec.paused = is_paused(cluster);
  spec.untrusted = true;
  if (!spec.paused) load(spec, secret_ref_of(cluster), secret, policy);
  spec.digest = sha256_hex(spec.uid + spec.digest + spec.error);
  return spec;
}

}  // namespace gs::control
