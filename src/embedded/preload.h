// Objects that a cluster begins with, read from YAML and created as a client would: --preload FILE or DIR.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apiserver/api_server.h"
#include "json/value.h"

namespace gs::embedded {

struct Manifest {
  std::string where;  // "dir/file.yaml: document 2"
  json::Value object;
};

// A file, or the *.yaml, *.yml and *.json of a directory in the order of their names; items of Lists are documents of
// their own. Blocking; any thread. kInvalid: "file: document 2: metadata.name: is missing".
Result<std::vector<Manifest>> read_manifests(const std::string& path);

// The documents of one text; `where` names it in errors.
Result<std::vector<Manifest>> parse_manifests(const std::string& where, std::string_view text);

enum class IfThere {
  kLeave,    // what somebody may have changed since stays as it is
  kReplace,  // but for what others set beside it (server-side apply)
};

struct Preloaded {
  size_t created = 0;
  size_t present = 0;  // of them were there before
};

// Namespaces and CustomResourceDefinitions first, then the rest in its order; namespaced objects without a namespace go
// to `default`. kInvalid names file, document and field, in the server's words. On the server's loop.
Result<Preloaded> preload(apiserver::ApiServer& server, const std::vector<Manifest>& manifests, IfThere if_there);

}  // namespace gs::embedded
