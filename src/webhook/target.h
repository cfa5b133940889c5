// A target is one Webhook in one cluster, as a pair is one Controller in one cluster. It answers the reviews of the cluster's
// API server: asks the Reviewer within the deadline and no more at once than it may, and answers by the Webhook's own choice
// where there is no decision. Always answers. Lives on its cluster's loop; held by shared_ptr, since reviews in flight keep it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/sync.h"
#include "webhook/conversion_rules.h"
#include "webhook/destination.h"
#include "webhook/reviewer.h"
#include "webhook/webhook_metrics.h"

namespace gs::webhook {

class ConversionCache;
class EventsSink;

enum class Enforcement { kEnforce, kWarn, kAudit };
enum class OnFailure { kRefuse, kAllow, kAllowWithWarning };

struct TargetOptions {
  std::string webhook;      // name of the Webhook
  std::string delegate;     // its URL as people may see it
  std::string cluster;      // what people call the cluster; also what the server's limits are counted by
  std::string cluster_id;   // of the source of events: k8s://<cluster_id>
  Enforcement enforcement = Enforcement::kEnforce;
  OnFailure on_failure = OnFailure::kRefuse;
  bool mutating = true;     // of a MutatingWebhookConfiguration
  size_t max_concurrent = 100;
  std::optional<Duration> configured_timeout;  // timeoutSeconds of the webhook in the cluster
  std::string delegate_namespace;              // where the delegate itself runs in this cluster; empty: nowhere
  // Conversion. `cache_scope` names everything that makes conversions differ but the objects: tenant, cluster uid, CRD uid and
  // generation, versions of the configs. Empty: nothing is cached.
  std::string cache_scope;
  ConversionRules conversion;
};

struct TargetDeps {
  TargetDeps(Loop& l, WebhookMetrics& m) : loop(l), metrics(m) {}
  Loop& loop;
  WebhookMetrics& metrics;           // of the Webhook, shared by its targets; outlives them
  ConversionCache* cache = nullptr;  // of the loop; null: none
  EventsSink* events = nullptr;      // null: none
};

// How long the delegate may take. `asked` is the text of the API server's ?timeout= (empty: it sent none): what it has left,
// rounded up to a whole second. So 10 % less, and a second less where it is below what is configured; never under half.
// Missing or odd values count as the configured timeout, else 10 s for admission and 30 s for conversion; never above 30 s.
Duration review_budget(ReviewKind kind, std::string_view asked, std::optional<Duration> configured);

class Target final : public Destination {
 public:
  // A null reviewer: there is no delegate (yet); conversion then lives by its rules alone.
  Target(TargetOptions options, std::unique_ptr<Reviewer> reviewer, TargetDeps deps);
  ~Target() override;

  // From now on; reviews in flight keep what they began with.
  void update(TargetOptions options);
  // The Webhook or its cluster goes: what is in flight is answered by the failure choice, the reviewer is destroyed before this
  // returns, and later reviews are answered likewise. Never from inside the reviewer.
  void close(std::string why);

  Task<HttpAnswer> serve(ReviewKind kind, std::string body, std::string timeout, MonoTime received) override;
  const std::string& cluster() const override { return options_->cluster; }

  const TargetOptions& options() const { return *options_; }
  size_t in_flight() const { return asking_now_; }  // questions to the reviewer
  // Why the last review had no decision, for the Webhook's status; empty while the last was answered.
  const std::string& trouble() const { return trouble_; }

 private:
  struct Asking;
  struct Conversion;
  using OptionsPtr = std::shared_ptr<const TargetOptions>;

  Task<HttpAnswer> admission(std::string body, std::string timeout, MonoTime received);
  Task<HttpAnswer> conversion(std::string body, std::string timeout, MonoTime received);
  Task<Result<AdmissionAnswer>> decide(const AdmissionRequest& request, OptionsPtr options, MonoTime deadline);
  void look_up(Conversion& work, const TargetOptions& options);
  Status adopt(Conversion& work, const TargetOptions& options, ConversionAnswer answer);
  Status by_rules(Conversion& work, const TargetOptions& options);
  Task<Status> by_delegate(Conversion& work, OptionsPtr options, MonoTime deadline, std::string* stated);
  Outcome fall_back(Conversion& work, const TargetOptions& options, const Error& why, ConversionAnswer& answer);
  template <class T>
  Task<Result<T>> ask(Task<Result<T>> task, MonoTime deadline);
  Status may_ask(const TargetOptions& options) const;

  OptionsPtr options_;
  std::unique_ptr<Reviewer> reviewer_;
  TargetDeps deps_;
  std::optional<std::string> closed_;  // why
  size_t asking_now_ = 0;
  std::string trouble_;
  IntrusiveList<Asking> asking_;
};

}  // namespace gs::webhook
