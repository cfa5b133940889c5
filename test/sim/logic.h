// What the simulated delegates decide, and the same said as a function of the inputs: for each Thing labelled
// app=<Controller> a ConfigMap of the same name with its number, its Secret's value, the cluster's settings, the
// revision of the logic and something that only the delegate knows of (it enqueues a key when that changes), or none
// where the Thing is childless (which is seen to without a look); its status tells the number. Now and then a delegate fails, hangs, comes back later, asks for what it may not have, or lies.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apiserver/api_server.h"
#include "json/value.h"
#include "test/support/delegate_server.h"

namespace gs::sim {

namespace pb = ::gulfstream::delegate::v1;

inline constexpr const char* kThingsPath = "/apis/example.com/v1/namespaces/default/things";
inline constexpr const char* kMapsPath = "/api/v1/namespaces/default/configmaps";
inline constexpr const char* kSecretsPath = "/api/v1/namespaces/default/secrets";

// The Controllers are told apart by the label that their Things have.
std::string controller_name(int number);
std::string controller_json(int number, int generation);

// Rates of what goes wrong in the delegate itself.
struct LogicRates {
  double fail = 0;
  double hang = 0;
  double later = 0;  // comes back after a while, having done nothing
  double hasty = 0;  // gives its result before its last write was answered
  double refused = 0;
  double lie = 0;
  double live = 0;  // reads from the cluster what the plane's cache could tell
  Duration longest_thought = std::chrono::milliseconds(20);
};

class Logic final : public test::DelegateServer::Logic {
 public:
  Logic(Loop& loop, uint64_t seed) : loop_(loop), random_(seed) {}
  LogicRates rates;
  std::string hangs_only_in;  // a cluster's name; empty: everywhere
  std::string revision;
  test::DelegateServer* server = nullptr;  // while there is one
  std::set<std::string> problems;

  // What is outside of Kubernetes changes for a Thing: its key is enqueued until it is reconciled.
  void change_outside(const std::string& cluster, const std::string& name);
  uint64_t outside(const std::string& cluster, const std::string& name) const;
  // Keys that no stream could be told of, as cluster and name.
  const std::set<std::pair<std::string, std::string>>& pending() const { return pending_; }

  Task<pb::Result> reconcile(test::DelegateSession& session, pb::Reconcile reconcile) override;
  void overlapping(const std::string& key) override { problems.insert("a key was in flight twice on one stream: " + key); }

  // Which attempt a write belongs to, by its field manager: "plane.1_c0_name_7_2".
  struct Tag {
    std::string plane;
    std::string key;
    uint64_t attempt = 0;
  };
  static bool parse_tag(std::string_view manager, Tag& out);
  static std::string thing_of(std::string_view manager);
  // Writes that the plane said were not carried out, by cluster and field manager.
  const std::set<std::pair<std::string, std::string>>& denied() const { return denied_; }
  // The plane begins anew with a cluster, or the cluster itself went back: what was written may not be seen at first.
  void forget_writes() { known_.clear(); }
  // What it knows of the past, which is no memory of the plane's.
  void forget();

 private:
  struct Work;
  // What is known of a key in one process of the plane.
  struct Known {
    uint64_t stream = 0;      // of the last result
    bool forgotten = false;   // that result was ok: the plane counts no failures any more
    std::map<std::string, std::pair<std::string, uint64_t>> written;  // by path: uid and version of what its last reconcile wrote
  };
  Task<bool> think(Work& work);
  Task<test::CallAnswer> ask(Work& work, std::string method, std::string path, std::string query, std::string body);
  Task<test::CallAnswer> write(Work& work, std::string method, std::string path, std::string body);
  Task<test::CallAnswer> get(Work& work, std::string path);
  Task<int> ensure(Work& work);
  Task<int> ensure_child(Work& work, const std::string& n);
  Task<int> ensure_no_child(Work& work);
  Task<int> clean_up(Work& work);
  Task<void> misbehave(Work& work);
  Task<pb::Result> decide(Work& work);
  void lie(Work& work);
  void tell(test::DelegateSession& session, const std::string& cluster, const std::string& name);
  void check_own_write(Work& work, const std::string& path, const test::CallAnswer& answer);

  Loop& loop_;
  Random random_;
  uint64_t next_attempt_ = 1;
  std::map<std::string, uint64_t> finished_;  // by plane and epoch: the last reconcile that ended
  std::map<std::string, std::shared_ptr<Known>> known_;  // by plane, cluster and key
  std::set<std::pair<std::string, std::string>> denied_;
  std::map<std::pair<std::string, std::string>, uint64_t> outside_;
  std::set<std::pair<std::string, std::string>> pending_;
  std::set<std::string> told_;  // which stream was told of which key
};

// What is wrong with the state of a cluster, judged by the function alone; empty: nothing. `deciders` by the label of the
// Things that are theirs.
std::string judge(apiserver::ApiServer& server, const std::string& cluster, const std::map<std::string, const Logic*>& deciders);

}  // namespace gs::sim
