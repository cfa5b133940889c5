// A Reviewer whose reviews go to a delegate in the session that it shares with reconciles. One per Webhook and cluster, on
// its loop; owns its use of the client and the gateway of its reads.
#pragma once

#include <memory>
#include <string>

#include "delegate/client_set.h"
#include "gateway/gateway.h"
#include "webhook/reviewer.h"

namespace gs::webhook {

class SessionReviewer final : public Reviewer {
 public:
  // Objects of a conversion that go in one message, and so come back in one.
  static constexpr size_t kConvertBatch = 1024 * 1024;

  // `pair.id` is unique among all pairs of the loop, of Controllers too, since they share clients; its description names
  // the Webhook. `gateway` has the rules of the Webhook.
  SessionReviewer(delegate::ClientSet::Handle client, delegate::PairView pair, std::unique_ptr<gateway::Gateway> gateway);
  // Nothing of it is in flight: its owner has destroyed the tasks.
  ~SessionReviewer() override;

  Task<Result<AdmissionAnswer>> admit(const AdmissionRequest& request, MonoTime deadline) override;
  Task<Result<ConversionAnswer>> convert(const ConversionRequest& request, MonoTime deadline) override;
  // Empty while the delegate was not asked yet, and where its Hello names no revision.
  std::string revision() const override;

  // Sent before the next review; with a higher revision than before.
  void set_configs(delegate::ConfigSet configs);
  delegate::Client& client() const { return *client_; }
  const gateway::Gateway& gateway() const { return *gateway_; }

 private:
  delegate::ClientSet::Handle client_;
  delegate::PairView pair_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::string config_versions_;
};

// The namespace in which a review may read without allowCrossNamespace; of what is cluster-scoped, any.
gateway::KeyScope scope_of(const AdmissionRequest& request);
// Of several namespaces none is it.
gateway::KeyScope scope_of(const ConversionRequest& request);

}  // namespace gs::webhook
