// A Reviewer whose reviews go to an existing webhook server, unchanged (`protocol: Review`). It is sent what the API server
// sent, byte for byte, as a POST to the delegate's URL with ?timeout= and, since a review names no cluster, these headers:
//
//   Gulfstream-Webhook      metadata.name of the Webhook
//   Gulfstream-Cluster      metadata.name of the Cluster
//   Gulfstream-Cluster-Uid  metadata.uid of the Cluster: the identity to key data by
//   Gulfstream-Tenant       the hub's namespace; absent where there is no hub
//
// One server may so serve a whole fleet. It answers as it would to an API server. One per Webhook and cluster, on its loop.
#pragma once

#include <memory>
#include <string>

#include "kube/transport.h"
#include "webhook/reviewer.h"

namespace gs::webhook {

struct ReviewOrigin {
  std::string webhook, cluster, cluster_uid, tenant;
};

class ProxyReviewer final : public Reviewer {
 public:
  // `server`: of ReviewServices, which knows the URL; `name`: what messages call it, "https://policy.example/validate".
  ProxyReviewer(Loop& loop, std::shared_ptr<kube::KubeTransport> server, std::string name, const ReviewOrigin& origin);

  Task<Result<AdmissionAnswer>> admit(const AdmissionRequest& request, MonoTime deadline) override;
  Task<Result<ConversionAnswer>> convert(const ConversionRequest& request, MonoTime deadline) override;
  // A server does not tell which logic it runs.
  std::string revision() const override { return std::string(); }

 private:
  // The body of a 2xx answer.
  Task<Result<std::string>> post(std::string body, MonoTime deadline);
  Error explain(Error why) const;
  Error refused(const kube::Response& response);

  Loop& loop_;
  std::shared_ptr<kube::KubeTransport> server_;
  std::string name_;
  net::Headers headers_;
  int logged_status_ = 0;  // of the last answer that was none; others like it are not logged again
};

}  // namespace gs::webhook
