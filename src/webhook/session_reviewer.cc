#include "webhook/session_reviewer.h"

#include "json/scan.h"

namespace gs::webhook {
namespace {

std::string or_else(std::string text, std::string_view instead) { return text.empty() ? std::string(instead) : std::move(text); }

// A delegate that could not decide, in its own words.
Error undecided(const std::string& reason, const std::string& message) {
  const std::string said = or_else(message, "the delegate could not decide, and did not say why");
  return Error(Code::kInternal, reason.empty() ? said : reason + ": " + said);
}

Result<AdmissionAnswer> answer_of(delegate::AdmissionVerdict verdict) {
  using Outcome = delegate::AdmissionVerdict::Outcome;
  if (verdict.outcome == Outcome::kUndecided) return fail(undecided(verdict.reason, verdict.message));
  if (verdict.outcome == Outcome::kInvalid) return fail(Code::kInvalid, "{}", verdict.message);
  AdmissionAnswer answer(verdict.outcome == Outcome::kAllowed);
  answer.code = verdict.code;
  answer.reason = std::move(verdict.reason);
  answer.message = std::move(verdict.message);
  answer.patch = std::move(verdict.patch);
  answer.warnings = std::move(verdict.warnings);
  answer.audit_annotations = std::move(verdict.audit_annotations);
  return answer;
}

// Of the delegate's logic with its configs; empty where it says none.
std::string joined(const std::string& revision, const std::string& config_versions) {
  return revision.empty() ? std::string() : revision + config_versions;
}

// From `at` on, as many objects as make one message.
std::vector<std::string_view> next_batch(const std::vector<std::string_view>& objects, size_t at) {
  std::vector<std::string_view> batch;
  size_t bytes = 0;
  for (; at < objects.size(); ++at) {
    bytes += objects[at].size();
    if (!batch.empty() && bytes > SessionReviewer::kConvertBatch) break;
    batch.push_back(objects[at]);
  }
  return batch;
}

bool names_namespaces(const GroupVersionName& resource) { return resource.group.empty() && resource.name == "namespaces"; }

}  // namespace

gateway::KeyScope scope_of(const AdmissionRequest& request) {
  gateway::KeyScope scope{std::string(request.ns), std::string(request.name)};
  scope.review = true;
  // A Namespace's own name is its request's namespace, but it is cluster-scoped.
  scope.anywhere = request.ns.empty() || names_namespaces(request.resource);
  if (scope.anywhere) scope.ns.clear();
  return scope;
}

gateway::KeyScope scope_of(const ConversionRequest& request) {
  gateway::KeyScope scope;
  scope.review = true;
  bool first = true, one = true;
  for (const std::string_view object : request.objects) {
    std::string ns = json::text_at(object, "metadata.namespace").value_or("");
    one &= first || ns == scope.ns;
    if (first) scope.ns = std::move(ns);
    first = false;
  }
  scope.anywhere = one && scope.ns.empty();
  if (!one) scope.ns.clear();
  if (request.objects.size() == 1) scope.name = json::text_at(request.objects[0], "metadata.name").value_or("");
  return scope;
}

SessionReviewer::SessionReviewer(delegate::ClientSet::Handle client, delegate::PairView pair, std::unique_ptr<gateway::Gateway> gateway)
    : client_(std::move(client)), pair_(std::move(pair)), gateway_(std::move(gateway)) {}

SessionReviewer::~SessionReviewer() {
  if (client_) client_->close_pair(pair_.id);
}

Task<Result<AdmissionAnswer>> SessionReviewer::admit(const AdmissionRequest& request, MonoTime deadline) {
  gateway::Gateway::Review reads(*gateway_, scope_of(request));
  delegate::Admission admission(request.request, request.dry_run);
  auto asking = client_->admit(pair_, std::move(admission), deadline, reads);
  GS_CO_TRY(delegate::AdmissionVerdict verdict, co_await std::move(asking));
  co_return answer_of(std::move(verdict));
}

Task<Result<ConversionAnswer>> SessionReviewer::convert(const ConversionRequest& request, MonoTime deadline) {
  using Outcome = delegate::ConversionVerdict::Outcome;
  gateway::Gateway::Review reads(*gateway_, scope_of(request));
  const std::string configs = config_versions_;
  ConversionAnswer answer;
  while (answer.objects.size() < request.objects.size()) {
    delegate::Conversion conversion(request.desired_api_version, next_batch(request.objects, answer.objects.size()));
    const size_t asked = conversion.objects.size();
    auto asking = client_->convert(pair_, std::move(conversion), deadline, reads);
    GS_CO_TRY(delegate::ConversionVerdict verdict, co_await std::move(asking));
    answer.made_reads |= verdict.made_calls;
    std::string revision = joined(verdict.revision, configs);
    if (answer.objects.empty()) {
      answer.revision = std::move(revision);
    } else if (answer.revision != revision) {
      answer.revision.clear();
    }
    if (verdict.outcome == Outcome::kUndecided) co_return fail(undecided(verdict.reason, verdict.message));
    if (verdict.outcome == Outcome::kInvalid) co_return fail(Code::kInvalid, "{}", verdict.message);
    if (verdict.outcome == Outcome::kFailed) {
      answer.objects.clear();
      answer.failure = or_else(std::move(verdict.message), "the delegate did not say why");
      co_return std::move(answer);
    }
    if (verdict.objects.size() != asked) {
      co_return fail(Code::kInvalid, "converted.objects: {} for {} that were to be converted", verdict.objects.size(), asked);
    }
    for (std::string& object : verdict.objects) answer.objects.push_back(std::move(object));
  }
  co_return std::move(answer);
}

std::string SessionReviewer::revision() const {
  const auto known = client_->revision(pair_.id);
  return known ? joined(*known, config_versions_) : std::string();
}

void SessionReviewer::set_configs(delegate::ConfigSet configs) {
  config_versions_.clear();
  for (const delegate::ConfigObject& config : configs.objects) {
    config_versions_ += config.object ? fmt::format(" {}@{}", config.object->uid(), config.object->resource_version()) : " absent";
  }
  pair_.configs = std::move(configs);
}

}  // namespace gs::webhook
