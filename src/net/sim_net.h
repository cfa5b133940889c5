// A simulated network in a SimWorld: named hosts, listeners, connections with seeded delays and
// chunks, and faults. Within a stream bytes keep their order; between streams nothing is promised.
// Both ends may live on different loops. The same seed gives the same run.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/byte_stream.h"
#include "net/dns.h"
#include "runtime/sim_loop.h"

namespace gs::net {

namespace internal {
class SimStream;
struct SimPort;
}  // namespace internal

// How bytes fare from one host to another; the way back has its own.
struct SimLink {
  SimLink() = default;
  Duration min_latency = std::chrono::microseconds(200);
  Duration max_latency = std::chrono::milliseconds(5);
  size_t max_chunk = 16 * 1024;       // deliveries are cut at random up to this
  double bytes_per_second = 0;        // 0: no limit
  double reset_probability = 0;       // per delivery
  bool refuse = false;                // dials are refused
  bool blackhole = false;             // silently drops; connections that lose bytes stay half-open for good
  MonoTime blocked_until{};           // a partition: deliveries and dials wait
};

// Outlives its connectors, listeners and streams.
class SimNet {
 public:
  explicit SimNet(SimWorld& world) : world_(world) {}
  SimNet(const SimNet&) = delete;
  SimNet& operator=(const SimNet&) = delete;

  // A host that is dialled by name or address. Listening adds a host without an address by itself.
  void add_host(const std::string& name, const std::string& address);

  // The link for changing; what is changed holds for deliveries from now on.
  SimLink& link(const std::string& from, const std::string& to);
  // The link for all pairs that were not asked for by name.
  SimLink& default_link() { return default_link_; }

  // Nothing passes in either direction for a while (then it does, later: TCP repeats), or until heal().
  void partition(const std::string& a, const std::string& b, Duration time);
  void partition(const std::string& a, const std::string& b);
  void heal(const std::string& a, const std::string& b);
  // Drops everything in both directions without telling anyone; heal() ends it for new connections.
  void blackhole(const std::string& a, const std::string& b);
  // Every connection between the two fails at both ends.
  void reset(const std::string& a, const std::string& b);
  // The ends at `to` hear that `from` finished; the other direction goes on.
  void half_close(const std::string& from, const std::string& to);
  // As if the machine lost power: its connections die unheard, its listeners refuse.
  void crash(const std::string& host);

  // What TLS would have agreed on, on connections made from now on; empty, as at first: there is none.
  void set_alpn(std::string alpn) { alpn_ = std::move(alpn); }

  size_t connections() const;
  SimWorld& world() { return world_; }

 private:
  friend class SimConnector;
  friend class SimListener;
  friend class SimResolver;
  friend class internal::SimStream;

  const SimLink& find_link(const std::string& from, const std::string& to) const;
  // The host's name; empty when nobody has this name or address.
  std::string find_host(const std::string& name_or_address) const;
  std::string address_of(const std::string& host) const;
  std::string outcome_of_dial(const std::string& from, const Endpoint& endpoint);
  std::unique_ptr<ByteStream> open(SimLoop& loop, const std::string& from, const std::string& to, uint16_t port);
  void for_each_between(const std::string& a, const std::string& b,
                        const std::function<void(internal::SimStream&)>& action);
  void links_changed(const std::string& a, const std::string& b);

  SimWorld& world_;
  SimLink default_link_;
  std::map<std::pair<std::string, std::string>, SimLink> links_;
  std::map<std::string, std::string> addresses_;  // by host
  std::map<std::pair<std::string, uint16_t>, std::shared_ptr<internal::SimPort>> ports_;
  std::list<internal::SimStream*> streams_;  // in order of their making
  std::string alpn_;
  uint64_t next_id_ = 1;
  uint16_t next_port_ = 30000;
  std::map<uint64_t, std::unique_ptr<ByteStream>> backlog_;  // not accepted yet; last: its streams look at the rest
};

class SimConnector final : public Connector {
 public:
  // `filter` (may be null) is asked about the address of the host, where it has one.
  SimConnector(SimLoop& loop, SimNet& net, std::string from_host, const DestinationFilter* filter = nullptr)
      : loop_(loop), net_(net), from_(std::move(from_host)), filter_(filter) {}
  Task<Result<std::unique_ptr<ByteStream>>> connect(Endpoint endpoint, MonoTime deadline) override;

 private:
  SimLoop& loop_;
  SimNet& net_;
  std::string from_;
  const DestinationFilter* filter_;
};

class SimListener final : public Listener {
 public:
  // Port 0: any free one. Fails when it is taken.
  static Result<std::unique_ptr<SimListener>> listen(SimLoop& loop, SimNet& net, const std::string& host,
                                                     uint16_t port, Acceptor& acceptor);
  ~SimListener() override;
  uint16_t port() const override { return port_; }

 private:
  SimListener(SimNet& net, std::string host, uint16_t port) : net_(net), host_(std::move(host)), port_(port) {}
  SimNet& net_;
  std::string host_;
  uint16_t port_;
  std::shared_ptr<internal::SimPort> state_;
};

// Answers with the addresses of the network's hosts, after a delay.
class SimResolver final : public Resolver {
 public:
  SimResolver(SimLoop& loop, SimNet& net) : loop_(loop), net_(net) {}
  // Nobody answers for this name any more, or again.
  void silence(const std::string& name, bool silent = true) { silent_[name] = silent; }
  Task<Result<std::vector<IpAddress>>> resolve(std::string host, MonoTime deadline) override;

 private:
  SimLoop& loop_;
  SimNet& net_;
  std::map<std::string, bool> silent_;
};

}  // namespace gs::net
