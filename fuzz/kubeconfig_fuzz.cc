// A tenant's kubeconfig: untrusted, so nothing in it may name a file.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kube/kubeconfig.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gs::kube;
  const FileReader never = [](const std::string&) -> gs::Result<std::string> { std::abort(); };
  const auto config = load_kubeconfig(std::string_view(reinterpret_cast<const char*>(data), size), "/", "",
                                      KubeconfigPolicy::untrusted(), never);
  if (config && (!config->token_file.empty() || config->has_exec || config->insecure_skip_tls_verify)) std::abort();
  return 0;
}
