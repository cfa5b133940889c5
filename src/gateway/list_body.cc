#include "gateway/list_body.h"

#include <algorithm>

#include "delegate/session.h"
#include "json/writer.h"

namespace gs::gateway {

Task<Status> send_list(delegate::CallReply& reply, cache::GroupVersionResource resource, std::string kind, std::string version,
                       std::vector<kube::ObjectRef> items) {
  std::sort(items.begin(), items.end(), [](const kube::ObjectRef& a, const kube::ObjectRef& b) {
    return std::pair(a->ns(), a->name()) < std::pair(b->ns(), b->name());
  });
  std::string part = "{\"kind\":\"" + kind + "List\",\"apiVersion\":\"";
  part += (resource.group.empty() ? "" : resource.group + "/") + resource.version;
  part += "\",\"metadata\":{\"resourceVersion\":\"" + version + "\"},\"items\":[";
  int status = 200;  // of the first part only
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) part += ',';
    part += items[i]->json();
    items[i] = kube::ObjectRef();
    if (part.size() < delegate::kPartSize) continue;
    // Sent in whole parts; what is over begins the next one.
    std::string rest = part.substr(part.size() / delegate::kPartSize * delegate::kPartSize);
    part.resize(part.size() - rest.size());
    auto sending = reply.part(status, status != 0 ? "application/json" : "", std::move(part), false);
    const Status sent = co_await sending;
    if (!sent) co_return sent;
    status = 0;
    part = std::move(rest);
  }
  part += "]}";
  auto sending = reply.part(status, status != 0 ? "application/json" : "", std::move(part), true);
  co_return co_await sending;
}

}  // namespace gs::gateway
