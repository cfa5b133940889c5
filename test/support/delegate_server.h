// A delegate's end of the protocol over our own gRPC framing: what simulations and the load generator
// decide with. Logic decides; this keeps sessions, pairs and calls.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gulfstream/delegate/v1/delegate.pb.h"
#include "net/grpc.h"
#include "runtime/task_scope.h"

namespace gs::test {

namespace pb = ::gulfstream::delegate::v1;

struct CallAnswer {
  int status = 0;  // 0: the session ended first
  std::string body;
  bool ok() const { return status >= 200 && status < 300; }
};

class DelegateServer;

// One stream of a plane. Lives until it ends; everything of its reconciles ends with it.
class DelegateSession {
 public:
  DelegateSession(Loop& loop, DelegateServer& server, net::HttpExchange& exchange);
  ~DelegateSession();

  // The plane's name for itself and this stream.
  const std::string& plane() const { return plane_; }
  uint64_t epoch() const { return epoch_; }
  // The pair of a reconcile: its Controller and cluster.
  const pb::Open& pair(uint32_t number) const { return pairs_.at(number); }
  // The number of the pair of a cluster; nullopt where none is open.
  std::optional<uint32_t> pair_of(const std::string& cluster) const;
  // Its configs, as last told; empty: none were.
  const pb::Config& config(uint32_t number) { return configs_[number]; }
  // `call` without its id.
  Task<CallAnswer> call(pb::Call call);
  // Does not wait for its answer.
  void call_and_forget(pb::Call call);
  void send(const pb::DelegateMessage& message) { send_bytes(message.SerializeAsString()); }
  // What may be no message at all.
  void send_bytes(const std::string& bytes);
  size_t in_flight() const { return reconciles_.size(); }
  // That were neither answered nor cancelled.
  size_t reviews() const { return reviews_.size(); }

 private:
  friend class DelegateServer;
  struct Waiting {
    explicit Waiting(Loop& loop) : done(loop) {}
    Event done;
    CallAnswer answer;
  };
  Task<void> run();
  Task<void> write();
  Status hear(const std::string& bytes);
  Task<void> reconcile(pb::Reconcile reconcile);
  Task<void> admit(pb::Admit admit);
  Task<void> convert(pb::Convert convert);

  Loop& loop_;
  DelegateServer& server_;
  net::HttpExchange& exchange_;
  net::GrpcServerStream stream_;
  std::string plane_;
  uint64_t epoch_ = 0;
  std::map<uint32_t, pb::Open> pairs_;
  std::map<uint32_t, pb::Config> configs_;
  std::map<uint64_t, std::shared_ptr<Waiting>> calls_;
  std::map<uint64_t, std::string> reconciles_;  // without a result yet: the key
  std::set<uint64_t> reviews_;
  uint64_t next_call_ = 1;
  std::string outgoing_;
  WaitQueue outgoing_ready_;
  bool ended_ = false;
  TaskScope scope_;
};

struct DelegateOptions {
  uint32_t max_in_flight = 64;
  uint32_t max_reviews = 0;  // 0: the protocol's default
  std::string revision = "r1";
  std::vector<std::string> capabilities;
};

class DelegateServer final : public net::HttpHandler {
 public:
  class Logic {
   public:
    virtual Task<pb::Result> reconcile(DelegateSession& session, pb::Reconcile reconcile) = 0;
    // A Reconcile whose key is in flight on the same stream, be it cancelled: a promise is broken.
    virtual void overlapping(const std::string& key) = 0;
    // With "webhooks" among the capabilities. Without their ids.
    virtual Task<pb::Admitted> admit(DelegateSession& session, pb::Admit admit);
    virtual Task<pb::Converted> convert(DelegateSession& session, pb::Convert convert);

   protected:
    ~Logic() = default;
  };
  DelegateServer(Loop& loop, Logic& logic, DelegateOptions options) : loop_(loop), logic_(logic), options_(std::move(options)) {}
  Task<void> handle(net::HttpExchange& exchange) override;
  const std::list<DelegateSession*>& sessions() const { return sessions_; }
  uint64_t reconciles() const { return reconciles_; }

 private:
  friend class DelegateSession;
  Loop& loop_;
  Logic& logic_;
  DelegateOptions options_;
  std::list<DelegateSession*> sessions_;
  uint64_t reconciles_ = 0;
};

}  // namespace gs::test
