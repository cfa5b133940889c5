// metav1.DeleteOptions, from a body or the query.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apiserver/answer.h"
#include "gateway/rest_request.h"
#include "json/value.h"

namespace gs::apiserver {

enum class Propagation { kBackground, kForeground, kOrphan };

struct DeleteOptions {
  std::optional<int64_t> grace_seconds;
  std::optional<Propagation> propagation;
  std::optional<bool> orphan;  // orphanDependents, which is deprecated
  std::optional<std::string> uid;  // preconditions
  std::optional<std::string> resource_version;
  bool dry_run = false;
};

// As kube-apiserver reads them: a body, where there is one, else the query. 400 where the body is not
// DeleteOptions, 422 where an option is wrong.
Checked<DeleteOptions> read_delete_options(const gateway::RestRequest& request, std::string_view body);
Checked<DeleteOptions> delete_options_of(const json::Value& value);

}  // namespace gs::apiserver
