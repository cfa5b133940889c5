#include "daemon/mcp.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "control/cluster_selector.h"
#include "control/directory_source.h"
#include "control/hub_source.h"
#include "control/status_writer.h"
#include "control/webhook_finalizers.h"
#include "daemon/health.h"
#include "daemon/hub_link.h"
#include "daemon/signals.h"
#include "daemon/trimmer.h"
#include "daemon/webhook_control.h"
#include "daemon/workers.h"
#include "fleet/leader_election.h"
#include "runtime/inotify_watch.h"
#include "store/sqlite_store.h"

namespace gs::daemon {
namespace {

// What is left to do after the reconciles have ended: the last status, and the lease.
constexpr Duration kFarewell = std::chrono::seconds(5);
// Status is looked at this often, and compared with the hub's whether it changed or not after kStatusCompare.
constexpr Duration kStatusPeriod = std::chrono::seconds(1);
constexpr Duration kStatusCompare = std::chrono::seconds(30);
// When no review has come for so long, API servers have gone elsewhere.
constexpr Duration kWebhookQuiet = std::chrono::seconds(3);

// "host_1f0c...": unique to this process, as Kubernetes components name themselves.
std::string own_identity() {
  char host[256] = "unknown";
  ::gethostname(host, sizeof(host) - 1);
  auto uuid = kube::read_file("/proc/sys/kernel/random/uuid");
  return fmt::format("{}_{}", host, uuid ? std::string(trim(*uuid)) : std::to_string(::getpid()));
}

// The program: a source says what is wanted, and while this plane may work its engine does it. Loop 0.
class Mcp final : public fleet::LeaderElector::Observer {
 public:
  explicit Mcp(const McpFlags& flags)
      : flags_(flags), worker_deps_(flags, tls_, metrics_), health_(loop_, [this](std::string path) { return answer(std::move(path)); }), scope_(loop_) {}

  int run() {
    if (const Status status = start(); !status) {
      fmt::print(stderr, "error: {}\n", status.error().message);
      return 1;
    }
    const Signals signals(loop_, [this](int signal) { stop(signal); });
    loop_.run_until([this] { return ended_; });
    scope_.cancel();
    end_writers();
    source_.reset();
    elector_.reset();
    end_work();
    state_.reset();  // stores what is pending
    log::info("stopped");
    return exit_code_;
  }

  void started_leading() override {
    if (state_) state_->begin_term(elector_->term(), elector_->term_before());
    serve_webhooks();
    apply();
  }

  // As client-go's components: the process ends, and with it every connection that could still carry a
  // write. Whoever runs it starts it again, and it waits for the lease like any other. (docs/adr/0004)
  void lost_leadership(const Error&) override {
    scope_.cancel();
    end_writers();
    end_work();
    exit_code_ = 1;
    ended_ = true;
  }

 private:
  bool leads() const { return !elector_ || elector_->leading(); }

  void end_writers() {
    status_.reset();
    finalizers_.reset();
    webhooks_.reset();
  }

  // What is in flight is cancelled; nobody waits for the disk.
  void end_work() {
    if (state_) state_->detach();
    workers_->stop();
  }

  Status start() {
    GS_TRY_STATUS(check_flags(flags_));
    if (!flags_.delegate_ca_file.empty()) {
      GS_TRY(const std::string pem, kube::read_file(flags_.delegate_ca_file));
      GS_TRY(worker_deps_.delegate_trust, tls_.trust(pem));
    }
    if (!flags_.state.empty()) {
      store::SqliteStoreOptions options;
      options.path = flags_.state;
      state_ = std::make_unique<store::SqliteStore>(std::move(options));
      worker_deps_.state = state_.get();
      if (!flags_.leader_elect()) state_->begin_term("alone", "alone");
    }
    if (!flags_.delegate_credentials.empty()) {
      GS_TRY(worker_deps_.delegate_credentials, delegate::read_credential_files(flags_.delegate_credentials));
    }
    if (!flags_.webhook_client_ca_file.empty()) {
      GS_TRY(const std::string pem, kube::read_file(flags_.webhook_client_ca_file));
      GS_TRY(worker_deps_.webhook_client_trust, tls_.trust(pem));
    }
    if (!flags_.events_ca_file.empty()) {
      GS_TRY(const std::string pem, kube::read_file(flags_.events_ca_file));
      GS_TRY(worker_deps_.events_trust, tls_.trust(pem));
    }
    if (!flags_.events_token_file.empty()) {
      GS_TRY(const std::string token, kube::read_file(flags_.events_token_file));
      if (trim(token).empty()) return fail(Code::kInvalid, "--events-token-file {}: is empty", flags_.events_token_file);
    }
    workers_ = std::make_unique<Workers>(loop_, worker_deps_, flags_.loops);
    if (!flags_.listen.empty()) {
      GS_TRY(const ListenAddress address, ListenAddress::parse("--listen", flags_.listen));
      GS_TRY_STATUS(workers_->listen(address));
    }
    scope_.spawn(trim_when_quiet(loop_));
    if (!flags_.metrics_address.empty()) GS_TRY_STATUS(health_.listen(flags_.metrics_address));
    GS_TRY_STATUS(flags_.config.empty() ? start_hub() : start_directory());
    log::info("Gulfstream starts", {{"version", kVersion}, {"source", source_name_}, {"leaderElect", flags_.leader_elect()}, {"metricsAddress", flags_.metrics_address}});
    return ok();
  }

  control::Source::Sink sink() {
    return [this](control::Desired desired) {
      wanted_ = std::move(desired);
      apply();
    };
  }

  // A standby knows what is wanted and does none of it, but for serving webhooks.
  void apply() {
    if (!wanted_ || stopping_) return;
    if (leads()) {
      applied_ = true;
      workers_->apply(*wanted_);
    } else if (!flags_.listen.empty()) {
      workers_->apply(webhooks_only(*wanted_));
    }
  }

  // Without Controllers, and with the clusters that have Webhooks.
  static control::Desired webhooks_only(const control::Desired& all) {
    control::Desired out = all;
    out.controllers.clear();
    std::erase_if(out.clusters, [&](const fleet::ClusterSpec& cluster) {
      return std::none_of(all.webhooks.begin(), all.webhooks.end(),
                          [&](const auto& webhook) { return webhook.spec && control::selects(webhook.spec->cluster_selector, cluster, all); });
    });
    return out;
  }

  void begin_webhooks(const std::string& ns) {
    if (flags_.listen.empty()) return;
    webhooks_ = std::make_unique<WebhookControl>(loop_, flags_, hub_ ? &hub_->transport() : nullptr, ns, [this](std::shared_ptr<const webhook::Material> material) {
      material_ = std::move(material);
      workers_->serve_webhooks(material_, leads());
    });
    serve_webhooks();
  }

  void serve_webhooks() {
    if (!webhooks_ || !leads()) return;
    webhooks_->lead();
    workers_->serve_webhooks(material_, true);
  }

  Status start_directory() {
    source_name_ = flags_.config;
    GS_TRY(source_, control::DirectorySource::start(loop_, flags_.config, sink(), InotifyWatch::make(loop_)));
    begin_webhooks("");
    scope_.spawn(follow_reports());
    return ok();
  }

  Status start_hub() {
    GS_TRY(kube::ConnectionConfig connection, source_connection(flags_));
    control::HubOptions options;
    options.ns = own_namespace(flags_);
    options.policy.allow_insecure_skip_tls_verify = flags_.cluster_allow_insecure_skip_tls_verify;
    options.policy.allow_proxy_url = flags_.cluster_allow_proxy_url;
    if (!flags_.is_hub()) options.self = self_cluster(connection);
    GS_TRY(hub_, HubLink::make(loop_, tls_, std::move(connection)));
    source_name_ = hub_->server();
    if (flags_.leader_elect()) {
      elector_ = std::make_unique<fleet::LeaderElector>(loop_, hub_->transport(), election_options(options.ns), *this);
      loop_.post([this] { elector_->start(); });
    }
    // No cluster is dialled before it is known where the hub is.
    loop_.post([this, options] {
      hub_->follow_addresses([this, options](const std::vector<net::IpAddress>& addresses) {
        if (const Status status = workers_->deny_hub(addresses); !status) log::error("the hub's addresses are not denied", {{"err", status.error()}});
        if (!source_) begin_reading(options);
      });
    });
    return ok();
  }

  void begin_reading(const control::HubOptions& options) {
    auto source = std::make_unique<control::HubSource>(loop_, hub_->transport(), options, sink());
    status_ = std::make_unique<control::StatusWriter>(loop_, *source, hub_->transport());
    if (!flags_.listen.empty()) finalizers_ = std::make_unique<control::WebhookFinalizers>(loop_, *source, hub_->transport());
    source_ = std::move(source);
    begin_webhooks(options.ns);
    scope_.spawn(follow_reports());
  }

  // What is reported goes into status, and moves certificates on: by the plane that does the work, and nobody else.
  Task<void> follow_reports() {
    uint64_t seen = 0;
    MonoTime compared{};
    while (!stopping_) {
      co_await sleep_for(loop_, loop_.random().jitter(kStatusPeriod, 0.2));
      if (!applied_ || stopping_) continue;
      const uint64_t changes = co_await workers_->changes();
      const bool pending = finalizers_ && finalizers_->pending();
      if (stopping_ || (changes == seen && !pending && loop_.now() - compared <= kStatusCompare)) continue;
      seen = changes;
      compared = loop_.now();
      Summary summary = co_await workers_->summary();
      if (stopping_) continue;
      if (webhooks_) {
        webhooks_->observe(summary.report, source_->synced() && summary.settled);
        webhooks_->annotate(summary.report);
      }
      if (finalizers_ && source_->synced()) finalizers_->update(summary.report);
      if (status_) status_->update(std::move(summary.report));
    }
  }

  fleet::ClusterSpec self_cluster(const kube::ConnectionConfig& connection) const {
    if (!flags_.in_cluster) return control::cluster_from_kubeconfig("local", flags_.kubeconfig, flags_.context);
    fleet::ClusterSpec self;
    self.name = "in-cluster";
    self.uid = sha256_hex(self.name).substr(0, 32);
    self.connection = std::make_shared<const kube::ConnectionConfig>(connection);
    self.digest = self.uid;
    return self;
  }

  fleet::LeaderElectionOptions election_options(const std::string& ns) const {
    const LeaderElectionFlags& flags = flags_.leader_election;
    fleet::LeaderElectionOptions options;
    options.ns = flags.resource_namespace.empty() ? ns : flags.resource_namespace;
    options.name = flags.resource_name;
    options.identity = own_identity();
    options.lease_duration = flags.lease_duration;
    options.renew_deadline = flags.renew_deadline;
    options.retry_period = flags.retry_period;
    return options;
  }

  void stop(int signal) {
    if (stopping_) {
      // Asked twice: at once.
      log::warning("stopping without draining", {{"signal", signal}});
      ended_ = true;
      return;
    }
    log::info("draining", {{"signal", signal}, {"timeout", format_go_duration(flags_.drain_timeout)}});
    stopping_ = true;
    scope_.spawn(drain());
  }

  // The lease is given back last: while anything of ours might still write, it is ours.
  Task<void> drain() {
    // Reviews first: their delegates are reached by what is drained next.
    const MonoTime half = saturating_add(loop_.now(), flags_.drain_timeout / 2);
    co_await workers_->drain_webhooks(kWebhookQuiet, half);
    const size_t left = co_await workers_->drain(saturating_add(loop_.now(), flags_.drain_timeout));
    if (left > 0) log::warning("reconciles were still in flight when the drain timeout ended", {{"inFlight", left}});
    if (status_ && applied_) {
      Summary last = co_await workers_->summary();
      if (webhooks_) webhooks_->annotate(last.report);
      status_->update(std::move(last.report));
      const bool written = co_await status_->flush(saturating_add(loop_.now(), kFarewell));
      if (!written) log::warning("the last status could not be written");
    }
    end_work();
    state_.reset();
    if (elector_) {
      co_await elector_->release(saturating_add(loop_.now(), kFarewell));
    }
    ended_ = true;
  }

  Task<std::optional<HealthAnswer>> answer(std::string path) {
    if (path == "/healthz" || path == "/livez") co_return HealthAnswer(200, "ok\n");
    const bool known = path == "/readyz" || path == "/metrics" || path == "/statusz";
    if (!known) co_return std::nullopt;
    Summary summary = co_await workers_->summary();
    if (webhooks_) webhooks_->annotate(summary.report);
    if (path == "/readyz") {
      const std::string why = not_ready(summary);
      co_return why.empty() ? HealthAnswer(200, "ok\n") : HealthAnswer(503, why + "\n");
    }
    if (path == "/statusz") co_return HealthAnswer(200, summary.report.to_text());
    co_return HealthAnswer(200, metrics(summary), "text/plain; version=0.0.4; charset=utf-8");
  }

  std::string not_ready(const Summary& summary) const {
    if (stopping_) return "draining";
    if (!source_ || !source_->synced()) {
      const std::string problem = source_ ? source_->problem() : "";
      return problem.empty() ? "Controllers and Clusters are not read yet" : problem;
    }
    if (!flags_.listen.empty()) {
      const std::string why = webhooks_ ? webhooks_->not_ready() : "webhooks: certificates are not read yet";
      if (!why.empty()) return why;
    }
    // A standby is ready: it has what it needs to take over, and to serve webhooks meanwhile.
    if (!leads()) return flags_.listen.empty() || summary.settled ? "" : "webhooks' configurations are not read yet";
    return applied_ && summary.settled ? "" : "caches are not synced";
  }

  void show_state(const store::StoreStats& stats) {
    metrics_.gauge("gulfstream_state_available", "1 while state is kept for the next start.").set(stats.available);
    metrics_.gauge("gulfstream_state_rows", "Keys in the state file, counted now and then.").set(double(stats.rows));
    metrics_.gauge("gulfstream_state_pending", "Records that wait to be stored.").set(double(stats.pending));
    MetricSums counts;
    counts.count("gulfstream_state_written_total", "Records stored.", stats.written);
    counts.count("gulfstream_state_errors_total", "Errors of the state file.", stats.errors);
    counts.count("gulfstream_state_dropped_total", "Records that were not stored: no file, or a full queue.", stats.dropped);
    counts.show(metrics_);
  }

  std::string metrics(const Summary& summary) {
    summary.metrics.show(metrics_);
    if (state_) show_state(state_->stats());
    if (webhooks_) webhooks_->show(metrics_);
    if (elector_) {
      metrics_.gauge("leader_election_master_status", "1 while this process holds the lease.", {{"name", flags_.leader_election.resource_name}}).set(elector_->leading());
    }
    MetricSums counts;
    counts.count("gulfstream_log_lines_dropped_total", "Lines of the log that standard error did not take in time.", log::dropped());
    if (status_) {
      counts.count("gulfstream_status_writes_total", "Writes of status to the hub.", status_->writes());
      counts.count("gulfstream_status_write_failures_total", "Of these, those that failed and are tried again.", status_->failures());
    }
    counts.show(metrics_);
    return metrics_.expose();
  }

  const McpFlags& flags_;
  Metrics metrics_;
  net::TlsContext tls_;
  UvLoop loop_;
  WorkerDeps worker_deps_;
  std::unique_ptr<store::StateStore> state_;  // null: none is kept
  std::unique_ptr<Workers> workers_;
  HealthEndpoints health_;
  std::string source_name_;
  std::unique_ptr<HubLink> hub_;
  std::unique_ptr<control::Source> source_;
  std::unique_ptr<control::StatusWriter> status_;  // null: no hub
  std::unique_ptr<control::WebhookFinalizers> finalizers_;  // null: no hub, or no webhooks are served
  std::unique_ptr<WebhookControl> webhooks_;                // null: none are served
  std::shared_ptr<const webhook::Material> material_;       // null: there is none yet
  std::unique_ptr<fleet::LeaderElector> elector_;
  std::optional<control::Desired> wanted_;
  bool applied_ = false;
  bool stopping_ = false;
  bool ended_ = false;
  int exit_code_ = 0;
  TaskScope scope_;
};

}  // namespace

int run_mcp(const McpFlags& flags) {
  // An arena a loop. Threads that work now and then (files, logs, SQLite) would have some of their own, and each
  // would keep what a fleet's configuration once took to read.
  mallopt(M_ARENA_MAX, static_cast<int>(flags.loops));
  log::configure(flags.log_level, flags.log_format);
  raise_file_limit();  // a cluster has one connection, or two; shells and many services begin with 1024
  int code = 0;
  {
    Mcp mcp(flags);
    code = mcp.run();
  }
  log::flush();
  return code;
}

}  // namespace gs::daemon
