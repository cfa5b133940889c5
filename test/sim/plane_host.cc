#include "test/sim/plane_host.h"

#include <fmt/format.h>

namespace gs::sim {

using std::chrono::milliseconds;

DelegateHost::DelegateHost(SimWorld& world, net::SimNet& net, int number, uint64_t seed, test::DelegateOptions options)
    : net_(net), options_(std::move(options)), host(fmt::format("delegate-{}", number)), loop(world.add_loop()), logic(loop, seed) {
  net.add_host(host, fmt::format("10.0.9.{}", number + 1));
  start();
}

void DelegateHost::start() {
  if (http) return;
  logic.revision = options_.revision = fmt::format("r{}", ++starts_ / 3);
  server = std::make_unique<test::DelegateServer>(loop, logic, options_);
  logic.server = server.get();
  http = std::make_unique<net::HttpServer>(loop, *server);
  listener = *net::SimListener::listen(loop, net_, host, 9000, *http);
}

void DelegateHost::kill() {
  net_.crash(host);
  listener.reset();
  http.reset();
  if (server) reconciles_ += server->reconciles();
  logic.server = nullptr;
  server.reset();
}

void SimDisk::written_soon() {
  if (!write_.armed()) write_.arm_after(loop_.random().between(milliseconds(0), milliseconds(50)));
}
void SimDisk::begin_term(std::string now, std::string before) {
  memory_.begin_term(std::move(now), std::move(before));
  written_soon();
}
void SimDisk::put(const std::shared_ptr<const store::PairName>& pair, store::KeyRecord record, uint32_t marks) {
  memory_.put(pair, std::move(record), marks);
  written_soon();
}
void SimDisk::erase(const std::shared_ptr<const store::PairName>& pair, std::string ns, std::string name, uint32_t marks) {
  memory_.erase(pair, std::move(ns), std::move(name), marks);
  written_soon();
}
void SimDisk::put_pair(const std::shared_ptr<const store::PairName>& pair, store::PairRecord record) {
  memory_.put_pair(pair, std::move(record));
  written_soon();
}
void SimDisk::erase_pair(const std::shared_ptr<const store::PairName>& pair) {
  memory_.erase_pair(pair);
  written_soon();
}

void SimDisk::load(const std::shared_ptr<const store::PairName>& pair, std::string after_ns, std::string after_name, Loop& loop, Loaded done) {
  scope_.spawn(load_later(pair, std::move(after_ns), std::move(after_name), &loop, std::move(done)));
}

Task<void> SimDisk::load_later(std::shared_ptr<const store::PairName> pair, std::string after_ns, std::string after_name, Loop* loop, Loaded done) {
  co_await sleep_for(loop_, loop_.random().between(milliseconds(0), std::chrono::seconds(3)));
  memory_.load(pair, std::move(after_ns), std::move(after_name), *loop, std::move(done));
}

void SimDisk::crash() {
  scope_.cancel();
  write_.disarm();
  memory_.crash();
  memory_.restart();
}

namespace {

net::TlsContext& shared_tls() {
  static net::TlsContext context;  // nothing here speaks TLS
  return context;
}

kube::ConnectionConfig hub_connection(const std::string& host) {
  kube::ConnectionConfig out;
  out.server = *kube::parse_server_url("http://" + host + ":443");
  return out;
}

}  // namespace

class PlaneHost::Process final : public fleet::LeaderElector::Observer {
 public:
  Process(PlaneHost& host, std::string identity)
      : host_(host), identity_(std::move(identity)), connector_(host.loop, host.net_, host.host), resolver_(host.loop, host.net_), clusters_(host.loop, shared_tls(), connector_), lists_(host.loop, 2) {
    clusters_.reflector.list_permits = &lists_;
    clusters_.reflector.page_size = host.options_.page_size;
    clusters_.writes_on_watches = host.options_.writes_on_watches;
    if (host.options_.hub.empty()) {
      if (host.disk_) host.disk_->begin_term("alone", "alone");
      begin();
      return;
    }
    hub_ = std::make_unique<kube::HttpTransport>(host.loop, connector_, hub_connection(host.options_.hub), kube::HttpTransportOptions());
    fleet::LeaderElectionOptions options;
    options.ns = "default";
    options.name = "gulfstream";
    options.identity = identity_;
    elector_ = std::make_unique<fleet::LeaderElector>(host.loop, *hub_, options, *this);
    elector_->start();
  }
  ~Process() { end(); }

  void started_leading() override {
    if (host_.disk_) host_.disk_->begin_term(elector_->term(), elector_->term_before());
    begin();
  }
  void lost_leadership(const Error&) override {
    end();
    host_.ended_ = true;
  }
  void begin() {
    control::EngineDeps deps(clusters_, connector_, resolver_, metrics_);
    deps.identity = identity_;
    deps.allow_insecure_delegates = true;
    deps.queue = host_.options_.queue;
    deps.state = host_.disk_.get();
    engine = std::make_unique<control::Engine>(host_.loop, std::move(deps));
    engine->apply(host_.wanted_);
  }
  void end() {
    if (host_.disk_) host_.disk_->detach();
    engine.reset();
  }

 private:
  PlaneHost& host_;
  std::string identity_;
  net::SimConnector connector_;
  net::SimResolver resolver_;
  fleet::ClusterDeps clusters_;
  Semaphore lists_;
  Metrics metrics_;
  std::unique_ptr<kube::HttpTransport> hub_;
  std::unique_ptr<fleet::LeaderElector> elector_;

 public:
  std::unique_ptr<control::Engine> engine;
};

PlaneHost::PlaneHost(SimWorld& world, net::SimNet& net, std::string name, PlaneOptions options)
    : world_(world), net_(net), options_(std::move(options)), host(std::move(name)), loop(world.add_loop()) {
  if (options_.keeps_state) disk_ = std::make_unique<SimDisk>(loop);
}

PlaneHost::~PlaneHost() { kill(); }

void PlaneHost::start() {
  ended_ = false;
  const std::string identity = fmt::format("{}.{}", host, ++starts_);
  loop.post([this, identity] { process_ = std::make_unique<Process>(*this, identity); });
  world_.run_for(milliseconds(1));
}

void PlaneHost::kill() {
  net_.crash(host);
  process_.reset();
  if (disk_) disk_->crash();
}

void PlaneHost::apply(const control::Desired& wanted) {
  wanted_ = wanted;
  loop.post([this] {
    if (process_ && process_->engine) process_->engine->apply(wanted_);
  });
  world_.run_for(milliseconds(1));
}

bool PlaneHost::working() const { return process_ != nullptr && process_->engine != nullptr; }

control::Engine* PlaneHost::engine() { return process_ ? process_->engine.get() : nullptr; }

}  // namespace gs::sim
