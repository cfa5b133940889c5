#include "gateway/authority.h"

#include <fmt/format.h>
#include <rapidcheck.h>

#include <set>

namespace gs::gateway {
namespace {

RestRequest request(Verb verb, std::string resource, std::string ns, std::string name = "", std::string sub = "") {
  RestRequest r;
  r.verb = verb;
  r.version = "v1";
  r.resource = std::move(resource);
  r.ns = std::move(ns);
  r.name = std::move(name);
  r.subresource = std::move(sub);
  if (verb == Verb::kPatch) r.patch = PatchType::kMerge;
  return r;
}

// Primary websites, secondary configmaps (watched), authorized events (create), secrets (get, anywhere).
Rules namespaced_rules() {
  Rules rules;
  rules.primary = {"", "v1", "websites", "", {}, false};
  rules.secondary = {{"", "v1", "configmaps", "", {}, false}};
  rules.authorized = {{"", {"events"}, {"create"}, false},
                      {"", {"secrets"}, {"get"}, true},
                      {"", {"pods/eviction"}, {"create"}, false}};
  return rules;
}

struct Row {
  RestRequest request;
  bool allowed;
};

TEST(Authority, ANamespacedKeyReachesItsOwnNamespace) {
  const Authority authority(namespaced_rules());
  const KeyScope key{"a", "w"};
  const Row rows[] = {
      {request(Verb::kGet, "websites", "a", "other"), true},
      {request(Verb::kList, "websites", "a"), true},
      {request(Verb::kList, "websites", ""), false},
      {request(Verb::kGet, "websites", "b", "w"), false},
      {request(Verb::kUpdate, "websites", "a", "w"), true},
      {request(Verb::kUpdate, "websites", "a", "w", "status"), true},
      {request(Verb::kPatch, "websites", "a", "w", "finalizers"), true},
      {request(Verb::kUpdate, "websites", "a", "other"), false},
      {request(Verb::kUpdate, "websites", "a", "w", "scale"), false},
      {request(Verb::kCreate, "websites", "a"), false},
      {request(Verb::kDeleteCollection, "websites", "a"), false},
      {request(Verb::kCreate, "configmaps", "a"), true},
      {request(Verb::kCreate, "configmaps", "b"), false},
      {request(Verb::kList, "configmaps", ""), false},
      {request(Verb::kDeleteCollection, "configmaps", "a"), true},
      {request(Verb::kUpdate, "configmaps", "a", "x", "status"), true},
      {request(Verb::kUpdate, "configmaps", "a", "x", "scale"), false},
      {request(Verb::kCreate, "events", "a"), true},
      {request(Verb::kCreate, "events", "b"), false},
      {request(Verb::kPatch, "events", "a", "e"), false},
      {request(Verb::kGet, "secrets", "kube-system", "s"), true},
      {request(Verb::kList, "secrets", "kube-system"), false},
      {request(Verb::kCreate, "pods", "a", "p", "eviction"), true},
      {request(Verb::kGet, "pods", "a", "p"), false},
      {request(Verb::kGet, "nodes", "", "n"), false},
      {request(Verb::kGet, "namespaces", "a", "a"), false},
  };
  for (const Row& row : rows) {
    const Decision decision = authority.check(row.request, key);
    EXPECT_EQ(decision.allowed, row.allowed) << canonical_target(row.request) << " " << verb_name(row.request.verb);
    EXPECT_EQ(decision.missing.empty(), row.allowed);
  }
}

TEST(Authority, AnApplyThatMayCreateNeedsCreateToo) {
  Rules rules = namespaced_rules();
  rules.secondary[0].verbs = {"patch", "update"};
  const Authority authority(rules);
  RestRequest apply = request(Verb::kPatch, "configmaps", "a", "x");
  EXPECT_TRUE(authority.check(apply, {"a", "w"}).allowed);
  apply.patch = PatchType::kApply;
  const Decision decision = authority.check(apply, {"a", "w"});
  EXPECT_FALSE(decision.allowed);
  EXPECT_NE(decision.missing.find("verbs: [create]"), std::string::npos);
  apply.subresource = "status";
  EXPECT_TRUE(authority.check(apply, {"a", "w"}).allowed);
}

TEST(Authority, AnUpdateOfAKindThatUpdatesCreateNeedsCreateToo) {
  Rules rules = namespaced_rules();
  rules.authorized.push_back({"coordination.k8s.io", {"leases"}, {"update"}, false});
  RestRequest update = request(Verb::kUpdate, "leases", "a", "l");
  update.group = "coordination.k8s.io";
  EXPECT_FALSE(Authority(rules).check(update, {"a", "w"}).allowed);
  rules.authorized.back().verbs.push_back("create");
  EXPECT_TRUE(Authority(rules).check(update, {"a", "w"}).allowed);
}

TEST(Authority, AClusterScopedPrimaryReachesEveryNamespaceThatItsRulesCover) {
  Rules rules = namespaced_rules();
  rules.primary_namespaced = false;
  rules.primary.resource = "namespaces";
  const Authority authority(rules);
  const KeyScope key{"", "a"};
  EXPECT_TRUE(authority.check(request(Verb::kCreate, "configmaps", "b"), key).allowed);
  EXPECT_TRUE(authority.check(request(Verb::kList, "configmaps", ""), key).allowed);
  EXPECT_TRUE(authority.check(request(Verb::kPatch, "namespaces", "a", "a"), key).allowed);
  EXPECT_FALSE(authority.check(request(Verb::kPatch, "namespaces", "b", "b"), key).allowed);
}

TEST(Authority, ConfigsGrantReadingExactlyThoseObjects) {
  Rules rules = namespaced_rules();
  rules.configs = {{"", "v1", "configmaps", "system", "config-x"}};
  rules.secondary.clear();
  const Authority authority(rules);
  EXPECT_TRUE(authority.check(request(Verb::kGet, "configmaps", "system", "config-x"), {"a", "w"}).allowed);
  EXPECT_FALSE(authority.check(request(Verb::kGet, "configmaps", "system", "other"), {"a", "w"}).allowed);
  EXPECT_FALSE(authority.check(request(Verb::kList, "configmaps", "system"), {"a", "w"}).allowed);
  EXPECT_FALSE(authority.check(request(Verb::kUpdate, "configmaps", "system", "config-x"), {"a", "w"}).allowed);
}

TEST(Authority, ARefusalNamesTheRuleThatIsMissing) {
  const Decision decision = Authority(namespaced_rules()).check(request(Verb::kDelete, "secrets", "b", "s"), {"a", "w"});
  EXPECT_EQ(decision.missing,
            "delete secrets in namespace b is not granted to this Controller for key a/w; add {group: \"\", resources: "
            "[secrets], verbs: [delete], allowCrossNamespace: true} to spec.authorized");
}

TEST(Authority, PairWideReadsNeedDelegateWatch) {
  Rules rules = namespaced_rules();
  EXPECT_TRUE(Authority(rules).check_pair_wide(request(Verb::kWatch, "websites", "")).allowed);
  EXPECT_FALSE(Authority(rules).check_pair_wide(request(Verb::kWatch, "configmaps", "")).allowed);
  rules.secondary[0].delegate_watch = true;
  EXPECT_TRUE(Authority(rules).check_pair_wide(request(Verb::kWatch, "configmaps", "")).allowed);
  rules.secondary[0].ns = "a";
  EXPECT_FALSE(Authority(rules).check_pair_wide(request(Verb::kWatch, "configmaps", "")).allowed);
  EXPECT_TRUE(Authority(rules).check_pair_wide(request(Verb::kList, "configmaps", "a")).allowed);
  EXPECT_FALSE(Authority(rules).check_pair_wide(request(Verb::kDeleteCollection, "configmaps", "a")).allowed);
}

// The rules once more, as the design says them, sentence by sentence, without a look at authority.cc: what
// a declaration grants is written down as a list of permissions for this key, and a request passes when each verb
// that it amounts to is on the list.
struct Permission {
  std::string why;
  std::string verb, group, resource, subresource;
  std::string ns;  // "*": every namespace and none
  std::string name = "*";
};

const std::vector<std::string> kAllVerbs = {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"};

std::vector<std::string> verbs_meant(const std::vector<std::string>& verbs) {
  if (verbs.empty()) return kAllVerbs;  // "no verbs = all verbs"
  for (const std::string& verb : verbs) {
    if (verb == "*") return kAllVerbs;
  }
  return verbs;
}

std::vector<Permission> permissions(const Rules& rules, const KeyScope& key) {
  std::vector<Permission> out;
  // "For a namespaced primary: the key's own namespace", and for a cluster-scoped one everywhere.
  const std::string home = rules.primary_namespaced ? key.ns : "*";
  const auto narrowed = [&](const std::string& reach, const std::string& only) -> std::optional<std::string> {
    if (only.empty()) return reach;
    if (reach == "*" || reach == only) return only;
    return std::nullopt;
  };
  // "Primary: read in scope; write of the object, status and finalizers only for the key's own object."
  const WatchedRule& primary = rules.primary;
  for (const char* verb : {"get", "list", "watch"}) {
    for (const char* sub : {"", "status"}) {
      if (const auto ns = narrowed(home, primary.ns)) out.push_back({"primary", verb, primary.group, primary.resource, sub, *ns});
    }
  }
  for (const char* verb : {"update", "patch"}) {
    for (const char* sub : {"", "status", "finalizers"}) out.push_back({"own", verb, primary.group, primary.resource, sub, home, key.name});
  }
  out.push_back({"own", "delete", primary.group, primary.resource, "", home, key.name});
  // "reachable, not watched"; "Subresources must be named"; "*" is every resource and no subresource.
  for (const AuthorizedRule& rule : rules.authorized) {
    for (const std::string& verb : verbs_meant(rule.verbs)) {
      for (const std::string& named : rule.resources) {
        const size_t slash = named.find('/');
        const std::string reach = rule.allow_cross_namespace ? "*" : home;
        out.push_back({"authorized", verb, rule.group, named.substr(0, slash), slash == std::string::npos ? "" : named.substr(slash + 1), reach});
      }
    }
  }
  // "watched and accessed, all verbs unless verbs narrows it"; status is theirs without being named; other
  // namespaces need allowCrossNamespace in authorized "also for secondaries there".
  for (const WatchedRule& rule : rules.secondary) {
    for (const std::string& verb : verbs_meant(rule.verbs)) {
      std::set<std::string> reaches = {home};
      for (const AuthorizedRule& crossing : rules.authorized) {
        if (!crossing.allow_cross_namespace || crossing.group != rule.group) continue;
        const auto verbs = verbs_meant(crossing.verbs);
        const bool verb_too = std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
        for (const std::string& named : crossing.resources) {
          if (verb_too && (named == rule.resource || named == "*")) reaches.insert("*");
        }
      }
      for (const std::string& reach : reaches) {
        const auto ns = narrowed(reach, rule.ns);
        if (!ns) continue;
        for (const char* sub : {"", "status"}) out.push_back({"secondary", verb, rule.group, rule.resource, sub, *ns});
      }
    }
  }
  // "configs grant the reading of exactly those objects."
  for (const ConfigRule& config : rules.configs) out.push_back({"config", "get", config.group, config.resource, "", config.ns, config.name});
  return out;
}

bool naive(const Rules& rules, const RestRequest& r, const KeyScope& key) {
  // A Namespace is a cluster-scoped object, though its path reads as one of its own namespace.
  const std::string ns = r.resource == "namespaces" && r.group.empty() ? "" : r.ns;
  std::vector<std::string> needed = {std::string(verb_name(r.verb))};
  // "an apply that may create needs create as well as patch, and an update of a kind that can be created by update needs create"
  const bool upsert = r.resource == "leases" || r.resource == "services" || r.resource == "roles";
  if (r.subresource.empty() && r.verb == Verb::kPatch && r.patch == PatchType::kApply) needed.push_back("create");
  if (r.subresource.empty() && r.verb == Verb::kUpdate && upsert) needed.push_back("create");
  const auto list = permissions(rules, key);
  return std::all_of(needed.begin(), needed.end(), [&](const std::string& verb) {
    return std::any_of(list.begin(), list.end(), [&](const Permission& p) {
      const bool resource = p.resource == r.resource || (p.why == "authorized" && p.resource == "*");
      return p.verb == verb && p.group == r.group && resource && p.subresource == r.subresource && (p.ns == "*" || p.ns == ns) &&
             (p.name == "*" || p.name == r.name);
    });
  });
}

template <class T>
T pick(std::initializer_list<T> values) {
  return *rc::gen::elementOf(std::vector<T>(values));
}

struct Kind {
  std::string group, resource;
};
Kind random_kind() { return pick<Kind>({{"", "x"}, {"", "y"}, {"", "namespaces"}, {"", "services"}, {"coordination.k8s.io", "leases"}, {"rbac.authorization.k8s.io", "roles"}, {"z.dev", "x"}}); }

WatchedRule random_watched() {
  WatchedRule rule;
  const Kind kind = random_kind();
  rule.group = kind.group;
  rule.version = "v1";
  rule.resource = kind.resource;
  rule.ns = pick<std::string>({"", "", "a", "b"});
  rule.verbs = pick<std::vector<std::string>>({{}, {"*"}, {"get"}, {"patch"}, {"create", "patch"}, {"update", "delete", "list"}});
  return rule;
}

Rules random_rules() {
  Rules rules;
  rules.primary = random_watched();
  rules.primary.verbs.clear();
  rules.primary_namespaced = *rc::gen::arbitrary<bool>();
  for (int n = pick({0, 1, 2}); n > 0; --n) rules.secondary.push_back(random_watched());
  for (int n = pick({0, 1, 2, 3}); n > 0; --n) {
    const WatchedRule like = pick<int>({0, 1}) == 0 || rules.secondary.empty() ? random_watched() : rules.secondary[0];
    rules.authorized.push_back({like.group, pick<std::vector<std::string>>({{like.resource}, {"*"}, {like.resource + "/scale"}, {"x/status", "y"}, {"*", like.resource + "/status"}}),
                                like.verbs, *rc::gen::arbitrary<bool>()});
  }
  for (int n = pick({0, 1}); n > 0; --n) rules.configs.push_back({"", "v1", pick<std::string>({"x", "y"}), pick<std::string>({"a", "b", ""}), "n"});
  return rules;
}

std::string describe(const Rules& rules, const RestRequest& r, const KeyScope& key) {
  const auto watched = [](const WatchedRule& w) { return fmt::format("{}/{} ns={} verbs=[{}]", w.group, w.resource, w.ns, fmt::join(w.verbs, ",")); };
  std::string out = fmt::format("{} {} patch={} key={}/{}; primary {}{}", verb_name(r.verb), canonical_target(r), static_cast<int>(r.patch), key.ns,
                                key.name, watched(rules.primary), rules.primary_namespaced ? "" : " (cluster-scoped)");
  for (const WatchedRule& s : rules.secondary) out += "; secondary " + watched(s);
  for (const AuthorizedRule& a : rules.authorized) {
    out += fmt::format("; authorized {}/[{}] verbs=[{}]{}", a.group, fmt::join(a.resources, ","), fmt::join(a.verbs, ","), a.allow_cross_namespace ? " crossing" : "");
  }
  return out;
}

// By way of the path, as a delegate would send it: what is decided on is what goes to the cluster.
std::optional<RestRequest> random_request() {
  const Kind kind = random_kind();
  const std::string ns = pick<std::string>({"", "a", "b"});
  const std::string name = pick<std::string>({"n", "m", "a", "b"});
  const std::string sub = pick<std::string>({"", "", "", "/status", "/scale", "/finalizers"});
  const bool one = pick({0, 1, 1}) == 1;
  std::string path = kind.group.empty() ? "/api/v1" : "/apis/" + kind.group + "/v1";
  if (!ns.empty() && kind.resource != "namespaces") path += "/namespaces/" + ns;
  path += "/" + kind.resource + (one ? "/" + name + sub : "");
  const std::string method = pick<std::string>({"GET", "GET", "POST", "PUT", "PATCH", "DELETE"});
  const std::string type = pick<std::string>({"application/merge-patch+json", "application/apply-patch+yaml"});
  auto request = parse_rest_request(method, path, method == "GET" && !one ? pick<std::string>({"", "watch=true"}) : "", type);
  if (!request) return std::nullopt;
  const size_t query = canonical_target(*request).find('?');
  RC_ASSERT(canonical_target(*request).substr(0, query) == path);
  return *std::move(request);
}

TEST(Authority, DecidesAsANaiveStatementOfTheRulesDoes) {
  size_t allowed = 0, refused = 0;
  EXPECT_TRUE(rc::check([&] {
    const Rules rules = random_rules();
    const KeyScope key{rules.primary_namespaced ? pick<std::string>({"a", "b"}) : "", pick<std::string>({"n", "m", "a"})};
    const Authority authority(rules);
    for (int i = 0; i < 100; ++i) {
      const auto request = random_request();
      if (!request) continue;
      const Decision decision = authority.check(*request, key);
      ++(decision.allowed ? allowed : refused);
      if (decision.allowed != naive(rules, *request, key)) RC_FAIL(describe(rules, *request, key) + (decision.allowed ? ": passed" : ": refused"));
      RC_ASSERT(decision.missing.empty() == decision.allowed);
    }
  }));
  EXPECT_GT(allowed, 500u) << "the property says something about both";
  EXPECT_GT(refused, 500u);
}

// The rules of a review, again: one permission for each way to something.
bool naive_review(const Rules& rules, const RestRequest& r, const KeyScope& review) {
  const std::string ns = r.group.empty() && r.resource == "namespaces" ? "" : r.ns;
  if (r.verb != Verb::kGet && r.verb != Verb::kList) return false;
  for (const ConfigRule& config : rules.configs) {
    const bool that = config.group == r.group && config.resource == r.resource && config.ns == ns && config.name == r.name;
    if (that && r.verb == Verb::kGet && r.subresource.empty()) return true;
  }
  for (const AuthorizedRule& rule : rules.authorized) {
    if (rule.group != r.group) continue;
    const std::set<std::string> verbs(rule.verbs.begin(), rule.verbs.end());
    if (!verbs.empty() && !verbs.contains("*") && !verbs.contains(r.verb == Verb::kGet ? "get" : "list")) continue;
    for (const std::string& resource : rule.resources) {
      const bool that = r.subresource.empty() ? resource == "*" || resource == r.resource : resource == r.resource + "/" + r.subresource;
      const bool here = !ns.empty() && ns == review.ns;
      if (that && (rule.allow_cross_namespace || review.anywhere || here)) return true;
    }
  }
  return false;
}

TEST(Authority, DecidesOnReviewsAsANaiveStatementOfTheirRulesDoes) {
  size_t allowed = 0, refused = 0, beyond = 0;
  EXPECT_TRUE(rc::check([&] {
    const Rules rules = random_rules();
    KeyScope review{pick<std::string>({"a", "b"}), pick<std::string>({"n", "m"})};
    review.review = true;
    review.anywhere = *rc::gen::arbitrary<bool>();
    if (review.anywhere) review.ns.clear();
    for (int i = 0; i < 400; ++i) {
      const auto request = random_request();
      if (!request) continue;
      const Decision decision = Authority(rules).check(*request, review);
      ++(decision.allowed ? allowed : refused);
      if (decision.allowed != naive_review(rules, *request, review)) RC_FAIL(describe(rules, *request, review) + (decision.allowed ? ": passed" : ": refused"));
      RC_ASSERT(decision.missing.empty() == decision.allowed);
      RC_ASSERT(!decision.allowed || !request->is_write());
      // What a Controller is granted for this key, and a review is not.
      const KeyScope key{review.ns, review.name};
      beyond += !decision.allowed && Authority(rules).check(*request, key).allowed;
    }
  }));
  EXPECT_GT(allowed, 200u);
  EXPECT_GT(refused, 200u);
  EXPECT_GT(beyond, 200u);
}

TEST(Authority, AReviewReadsWhatItsWebhookIsAuthorizedToAndNeverWrites) {
  Rules rules;
  rules.authorized = {{"", {"secrets"}, {"get"}, false}, {"", {"configmaps"}, {}, true}};
  rules.configs = {{"", "v1", "configmaps", "system", "config-x"}};
  KeyScope review{"a", "p"};
  review.review = true;
  const Authority authority(rules);
  EXPECT_TRUE(authority.check(request(Verb::kGet, "secrets", "a", "s"), review).allowed);
  EXPECT_EQ(authority.check(request(Verb::kGet, "secrets", "b", "s"), review).missing,
            "get secrets in namespace b is not granted to this Webhook for a review of a/p; add {group: \"\", resources: [secrets], verbs: [get], "
            "allowCrossNamespace: true} to spec.authorized");
  EXPECT_TRUE(authority.check(request(Verb::kList, "configmaps", ""), review).allowed);
  EXPECT_EQ(authority.check(request(Verb::kWatch, "configmaps", "a"), review).missing,
            "watch configmaps is refused: a review reads, by get and list, and never watches, whatever spec.authorized grants");
  RestRequest dry = request(Verb::kCreate, "configmaps", "a");
  dry.options["dryRun"] = "All";
  EXPECT_EQ(authority.check(dry, review).missing,
            "create configmaps is refused: a review reads, by get and list, and never writes, whatever spec.authorized grants; write in the "
            "reconcile of a Controller");
  review.anywhere = true;
  review.ns = "";
  EXPECT_TRUE(authority.check(request(Verb::kGet, "secrets", "b", "s"), review).allowed) << "a Namespace is under review";
}

// What a delegate may see for the whole pair it may see in some reconcile: nothing is gained by leaving the key out.
TEST(Authority, PairWideReadsReachNoFurtherThanWhatIsWatched) {
  EXPECT_TRUE(rc::check([] {
    Rules rules = random_rules();
    for (WatchedRule& rule : rules.secondary) rule.delegate_watch = *rc::gen::arbitrary<bool>();
    const auto request = random_request();
    if (!request || !Authority(rules).check_pair_wide(*request).allowed) return;
    RC_ASSERT(!request->is_write() && request->verb != Verb::kGet && request->subresource.empty());
    const auto watches = [&](const WatchedRule& rule) {
      return rule.group == request->group && rule.resource == request->resource && (rule.ns.empty() || rule.ns == request->ns);
    };
    const bool secondary = std::any_of(rules.secondary.begin(), rules.secondary.end(), [&](const WatchedRule& r) { return r.delegate_watch && watches(r); });
    RC_ASSERT(watches(rules.primary) || secondary);
  }));
}

}  // namespace
}  // namespace gs::gateway
