#include "test/sim/logic.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace gs::sim {
namespace {

using json::Value;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

std::string number(const Value& thing) {
  const Value* n = thing.at("spec.n");
  return n != nullptr ? std::to_string(n->integer().value_or(-1)) : "none";
}

bool is_childless(const Value& thing) { return thing.at("spec.childless") != nullptr; }

// What the child of a Thing must hold.
struct Wanted {
  std::string n;
  std::string ref;
  std::string mode;
  std::string revision;
  uint64_t outside = 0;
};

// `guard` is the version of a child that is there.
std::string child_json(const Value& thing, const Wanted& wanted, const std::string& guard) {
  const std::string name(thing.text("metadata.name"));
  return fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}","namespace":"default","labels":{{"child":"yes"}},)"
                     R"("ownerReferences":[{{"apiVersion":"example.com/v1","kind":"Thing","name":"{}","uid":"{}","controller":true}}]{}}},)"
                     R"("data":{{"n":"{}","ref":"{}","mode":"{}","revision":"{}","outside":"{}"}}}})",
                     name, name, thing.text("metadata.uid"), guard.empty() ? "" : fmt::format(R"(,"resourceVersion":"{}")", guard), wanted.n, wanted.ref, wanted.mode,
                     wanted.revision, wanted.outside);
}

bool child_is_right(const Value& child, const Value& thing, const Wanted& wanted) {
  const Value* owners = child.at("metadata.ownerReferences");
  const bool owned = owners != nullptr && owners->array() != nullptr && owners->array()->size() == 1 &&
                     (*owners->array())[0].text("uid") == thing.text("metadata.uid");
  return owned && child.text("data.n") == wanted.n && child.text("data.ref") == wanted.ref && child.text("data.mode") == wanted.mode &&
         child.text("data.revision") == wanted.revision && child.text("data.outside") == std::to_string(wanted.outside);
}

std::string mode_of(const pb::Config& config) {
  for (const pb::ConfigObject& object : config.objects()) {
    if (!object.absent()) return std::string(json::parse(object.object()).value_or(Value()).text("data.mode"));
  }
  return "absent";
}

}  // namespace

std::string controller_name(int number) { return fmt::format("sim{}", number); }

std::string controller_json(int number, int generation) {
  const std::string name = controller_name(number);
  return fmt::format(R"({{"apiVersion":"gulfstream.dev/v1alpha1","kind":"Controller","metadata":{{"name":"{}","uid":"u{}","generation":{}}},"spec":{{
    "primary":{{"group":"example.com","version":"v1","resource":"things","match":[{{"fieldPath":"metadata.labels.app","value":"{}"}}]}},
    "secondary":[{{"version":"v1","resource":"configmaps"}},
                 {{"version":"v1","resource":"secrets","relationship":"Reference","verbs":["get","list","watch"]}}],
    "configs":[{{"apiVersion":"v1","kind":"ConfigMap","namespace":"default","name":"settings","onChanged":"Resync"}}],
    "delegate":"http://delegate-{}:9000"}}}})",
                     name, number, generation, name, number);
}

struct Logic::Work {
  Work(test::DelegateSession& s, const pb::Reconcile& r, std::string c, uint64_t attempt, Known& k, std::string rev)
      : session(s), reconcile(r), cluster(std::move(c)), tag(fmt::format("{}_{}_{}_{}", s.plane(), cluster, r.name(), attempt)), known(k), revision(std::move(rev)) {}
  test::DelegateSession& session;
  const pb::Reconcile& reconcile;
  std::string cluster;
  std::string tag;
  Known& known;
  std::string revision;
  Value thing;
  int writes = 0;
};

bool Logic::parse_tag(std::string_view manager, Tag& out) {
  const std::vector<std::string_view> parts = split(manager, '_');
  if (parts.size() != 5) return false;
  const auto attempt = parse_uint(parts[3]);
  out.plane = parts[0];
  out.key = std::string(parts[1]) + "/" + std::string(parts[2]);
  out.attempt = attempt.value_or(0);
  return attempt.has_value();
}

std::string Logic::thing_of(std::string_view manager) {
  const std::vector<std::string_view> parts = split(manager, '_');
  return parts.size() == 5 ? std::string(parts[2]) : std::string();
}

Task<test::CallAnswer> Logic::ask(Work& work, std::string method, std::string path, std::string query, std::string body) {
  pb::Call call;
  call.set_reconcile(work.reconcile.id());
  call.set_pair(work.reconcile.pair());
  call.set_method(method);
  call.set_path(path);
  call.set_query(query);
  call.set_body(body);
  if (!body.empty()) call.set_content_type(method == "PATCH" ? "application/merge-patch+json" : "application/json");
  Task<test::CallAnswer> calling = work.session.call(std::move(call));
  test::CallAnswer answer = co_await calling;
  if (method == "GET") check_own_write(work, path, answer);
  co_return answer;
}

// What this key wrote is seen by its reads, also from the cache: the same object is not older.
void Logic::check_own_write(Work& work, const std::string& path, const test::CallAnswer& answer) {
  const auto written = work.known.written.find(path);
  if (written == work.known.written.end() || !answer.ok()) return;
  const Value object = json::parse(answer.body).value_or(Value());
  const auto version = parse_uint(object.text("metadata.resourceVersion"));
  if (object.text("metadata.uid") == written->second.first && version && *version < written->second.second) {
    problems.insert(fmt::format("{}: {} was written at {} and read at {}", work.tag, path, written->second.second, *version));
  }
}

// A write says which call it is. What comes of it decides what may be said of it later.
Task<test::CallAnswer> Logic::write(Work& work, std::string method, std::string path, std::string body) {
  const std::string manager = fmt::format("{}_{}", work.tag, ++work.writes);
  Task<test::CallAnswer> asking = ask(work, method, path, "fieldManager=" + manager, std::move(body));
  const test::CallAnswer answer = co_await asking;
  if (answer.status == 503 || answer.status == 429) denied_.emplace(work.cluster, manager);
  if (!answer.ok()) co_return answer;
  const Value object = json::parse(answer.body).value_or(Value());
  const std::string at = method == "POST" ? path + "/" + work.reconcile.name() : path;
  if (!at.ends_with("/status")) work.known.written[at] = {std::string(object.text("metadata.uid")), parse_uint(object.text("metadata.resourceVersion")).value_or(0)};
  co_return answer;
}

// A pause; false: this reconcile hangs for longer than anybody waits. What it does then is done in vain.
Task<bool> Logic::think(Work& work) {
  const bool hangs = random_.chance(rates.hang) && (hangs_only_in.empty() || hangs_only_in == work.cluster);
  const Duration time = hangs ? random_.between(minutes(2) + milliseconds(10), minutes(2) + seconds(15)) : random_.between(Duration(0), rates.longest_thought);
  co_await sleep_for(loop_, time);
  if (!hangs) co_return true;
  Task<test::CallAnswer> calling = ask(work, "POST", kMapsPath, "fieldManager=refused", R"({"metadata":{"name":"hung"}})");
  const test::CallAnswer answer = co_await calling;
  if (answer.ok()) problems.insert("a call of a cancelled reconcile was answered with " + std::to_string(answer.status));
  co_return false;
}

Task<test::CallAnswer> Logic::get(Work& work, std::string path) {
  Task<test::CallAnswer> asking = ask(work, "GET", std::move(path), random_.chance(rates.live) ? "" : "resourceVersion=0", "");
  co_return co_await asking;
}

// Blindly: that there is none is as well.
Task<int> Logic::ensure_no_child(Work& work) {
  const bool go_on = co_await think(work);
  if (!go_on) co_return 504;
  const auto gone = co_await ask(work, "DELETE", fmt::format("{}/{}", kMapsPath, work.reconcile.name()), "", "");
  co_return gone.ok() || gone.status == 404 ? 0 : gone.status;
}

Task<int> Logic::ensure_child(Work& work, const std::string& n) {
  const std::string name = work.reconcile.name();
  Wanted wanted;
  wanted.n = n;
  wanted.mode = mode_of(work.session.config(work.reconcile.pair()));
  wanted.revision = work.revision;
  wanted.outside = outside(work.cluster, name);
  const auto reference = co_await get(work, fmt::format("{}/{}", kSecretsPath, work.thing.text("spec.ref")));
  if (!reference.ok() && reference.status != 404) co_return reference.status;
  wanted.ref = "absent";
  if (reference.ok()) wanted.ref = json::parse(reference.body).value_or(Value()).text("data.v");
  const bool go_on = co_await think(work);
  if (!go_on) co_return 504;
  const std::string path = fmt::format("{}/{}", kMapsPath, name);
  const auto child = co_await get(work, path);
  if (!child.ok() && child.status != 404) co_return child.status;
  const Value present = json::parse(child.ok() ? child.body : "null").value_or(Value());
  if (!child.ok()) {
    const auto made = co_await write(work, "POST", kMapsPath, child_json(work.thing, wanted, ""));
    if (!made.ok()) co_return made.status;
  } else if (!child_is_right(present, work.thing, wanted)) {
    const auto changed = co_await write(work, "PATCH", path, child_json(work.thing, wanted, std::string(present.text("metadata.resourceVersion"))));
    if (!changed.ok()) co_return changed.status;
  }
  co_return 0;
}

// The answers' statuses as one: 0 is well.
Task<int> Logic::ensure(Work& work) {
  const std::string name = work.reconcile.name(), n = number(work.thing);
  Task<int> seeing = is_childless(work.thing) ? ensure_no_child(work) : ensure_child(work, n);
  const int seen_to = co_await seeing;
  if (seen_to != 0) co_return seen_to;
  if (work.thing.text("status.observed") == n) co_return 0;
  if (random_.chance(rates.hasty)) {
    pb::Call call;
    call.set_reconcile(work.reconcile.id());
    call.set_method("PATCH");
    call.set_path(fmt::format("{}/{}", kMapsPath, name));
    call.set_query(fmt::format("fieldManager={}_{}", work.tag, ++work.writes));
    call.set_content_type("application/merge-patch+json");
    call.set_body(R"({"metadata":{"annotations":{"hasty":"yes"}}})");
    work.session.call_and_forget(std::move(call));
    co_return 500;
  }
  const std::string status = fmt::format(R"({{"metadata":{{"uid":"{}"}},"status":{{"observed":"{}"}}}})", work.thing.text("metadata.uid"), n);
  const auto told = co_await write(work, "PATCH", fmt::format("{}/{}/status", kThingsPath, name), status);
  co_return told.ok() ? 0 : told.status;
}

// The child goes, then the finalizer that waited for it. A child is told from a later one by its uid.
Task<int> Logic::clean_up(Work& work) {
  const std::string name = work.reconcile.name();
  const auto child = co_await ask(work, "GET", fmt::format("{}/{}", kMapsPath, name), "", "");
  if (!child.ok() && child.status != 404) co_return child.status;
  if (child.ok()) {
    const auto parsed = json::parse(child.body);
    const auto gone = co_await ask(work, "DELETE", fmt::format("{}/{}", kMapsPath, name), "", fmt::format(R"({{"preconditions":{{"uid":"{}"}}}})", parsed->text("metadata.uid")));
    if (!gone.ok() && gone.status != 404) co_return gone.status;
  }
  const Value* finalizers = work.thing.at("metadata.finalizers");
  if (finalizers == nullptr) co_return 0;
  const std::string guard = fmt::format(R"({{"metadata":{{"finalizers":null,"uid":"{}","resourceVersion":"{}"}}}})", work.thing.text("metadata.uid"), work.thing.text("metadata.resourceVersion"));
  const auto freed = co_await write(work, "PATCH", fmt::format("{}/{}", kThingsPath, name), guard);
  co_return freed.ok() || freed.status == 404 ? 0 : freed.status;
}

// What the rules forbid; an API server that sees any of it tells.
Task<void> Logic::misbehave(Work& work) {
  const std::string other = "x" + work.reconcile.name();
  test::CallAnswer answer;
  switch (random_.below(5)) {
    case 4: {
      // Of a reconcile that has finished.
      const auto finished = finished_.find(work.session.plane() + std::to_string(work.session.epoch()));
      if (finished == finished_.end()) co_return;
      pb::Call call;
      call.set_reconcile(finished->second);
      call.set_method("POST");
      call.set_path(kMapsPath);
      call.set_query("fieldManager=refused");
      call.set_content_type("application/json");
      call.set_body(R"({"metadata":{"name":"late"}})");
      Task<test::CallAnswer> calling = work.session.call(std::move(call));
      answer = co_await calling;
      break;
    }
    case 0: answer = co_await ask(work, "DELETE", fmt::format("{}/s-0", kSecretsPath), "", ""); break;
    case 1: answer = co_await ask(work, "POST", "/api/v1/namespaces/other/configmaps", "fieldManager=refused", R"({"metadata":{"name":"x"}})"); break;
    case 2: answer = co_await ask(work, "PATCH", fmt::format("{}/{}", kThingsPath, other), "fieldManager=refused", R"({"spec":{"n":-7}})"); break;
    default: answer = co_await ask(work, "POST", fmt::format("{}/../secrets", kMapsPath), "fieldManager=refused", R"({"metadata":{"name":"x"}})"); break;
  }
  if (answer.ok()) problems.insert("a call that must be refused was answered with " + std::to_string(answer.status));
}

// Messages that no honest delegate sends; none may change what the plane does, but that garbage ends the stream.
void Logic::lie(Work& work) {
  pb::DelegateMessage message;
  const uint64_t strange = 1'000'000 + random_.below(1000);
  const auto finished = finished_.find(work.session.plane() + std::to_string(work.session.epoch()));
  switch (random_.below(8)) {
    case 0: message.mutable_result()->mutable_ok(), message.mutable_result()->set_id(finished != finished_.end() ? finished->second : strange); break;
    case 1: message.mutable_cancel_call()->set_id(strange); break;
    case 2: message.mutable_window()->set_id(strange), message.mutable_window()->set_bytes(UINT32_MAX); break;
    case 3: message.mutable_enqueue()->set_pair(static_cast<uint32_t>(strange)), message.mutable_enqueue()->set_name("t0"); break;
    case 4: message.mutable_enqueue()->set_pair(work.reconcile.pair()), message.mutable_enqueue()->set_name(fmt::format("nobody{}", random_.below(5))), message.mutable_enqueue()->set_namespace_("default"); break;
    case 5: message.mutable_admitted()->set_id(work.reconcile.id()), message.mutable_admitted()->mutable_allowed(); break;
    case 6: message.mutable_call()->set_id(0), message.mutable_call()->set_reconcile(work.reconcile.id()), message.mutable_call()->set_path(kMapsPath); break;
    default: return work.session.send_bytes("\xff\xff\xff garbage");
  }
  work.session.send(message);
}

Task<pb::Result> Logic::decide(Work& work) {
  pb::Result result;
  if (random_.chance(rates.later)) {
    result.mutable_requeue_after()->set_milliseconds(random_.below(5000));
    co_return result;
  }
  if (random_.chance(rates.lie)) lie(work);
  const bool go_on = co_await think(work);
  if (!go_on || random_.chance(rates.fail)) {
    if (random_.chance(0.5)) {
      result.mutable_transient()->set_reason("Random");
    } else {
      result.mutable_conflict()->set_reason("Random");
    }
    co_return result;
  }
  if (random_.chance(rates.refused)) {
    Task<void> wrong = misbehave(work);
    co_await wrong;
  }
  const bool wanted = work.reconcile.primary_case() == pb::Reconcile::kObject && work.thing.text("metadata.deletionTimestamp").empty();
  Task<int> doing = wanted ? ensure(work) : clean_up(work);
  const int status = co_await doing;
  if (status == 0) {
    result.mutable_ok();
  } else if (status == 409) {
    result.mutable_conflict()->set_reason("Conflict");
  } else {
    result.mutable_transient()->set_reason("Status" + std::to_string(status));
  }
  co_return result;
}

Task<pb::Result> Logic::reconcile(test::DelegateSession& session, pb::Reconcile reconcile) {
  const std::string cluster = session.pair(reconcile.pair()).cluster().name();
  const uint64_t attempt = next_attempt_++;
  const MonoTime began = loop_.now();
  std::shared_ptr<Known>& slot = known_[session.plane() + "/" + cluster + "/" + reconcile.name()];
  if (!slot) slot = std::make_shared<Known>();
  const std::shared_ptr<Known> held = slot;
  Known& known = *held;
  if (known.forgotten && known.stream == session.epoch() && reconcile.attempt() > 1) {
    problems.insert(fmt::format("{} of {} ended well, and is attempt {} next", reconcile.name(), cluster, reconcile.attempt()));
  }
  pending_.erase({cluster, reconcile.name()});
  for (const auto& [at, name] : pending_) {
    if (at == cluster) tell(session, cluster, name);
  }
  Work work(session, reconcile, cluster, attempt, known, revision);
  std::string json = reconcile.object();
  if (reconcile.has_unmatched()) json = reconcile.unmatched().object();
  if (reconcile.has_gone()) json = "null";
  work.thing = json::parse(json).value_or(Value());
  Task<pb::Result> deciding = decide(work);
  pb::Result result = co_await deciding;
  finished_[session.plane() + std::to_string(session.epoch())] = reconcile.id();
  // Where it took long, a deadline may have decided.
  known.stream = session.epoch();
  known.forgotten = result.has_ok() && loop_.now() - began < minutes(1);
  co_return result;
}

void Logic::forget() {
  known_.clear();
  finished_.clear();
  denied_.clear();
  told_.clear();
  outside_.clear();
}

void Logic::change_outside(const std::string& cluster, const std::string& name) {
  ++outside_[{cluster, name}];
  pending_.emplace(cluster, name);
  told_.clear();
  if (server == nullptr) return;
  for (test::DelegateSession* session : server->sessions()) tell(*session, cluster, name);
}

uint64_t Logic::outside(const std::string& cluster, const std::string& name) const {
  const auto found = outside_.find({cluster, name});
  return found == outside_.end() ? 0 : found->second;
}

void Logic::tell(test::DelegateSession& session, const std::string& cluster, const std::string& name) {
  const auto pair = session.pair_of(cluster);
  if (!pair || !told_.insert(fmt::format("{} {} {}/{}", session.plane(), session.epoch(), cluster, name)).second) return;
  pb::DelegateMessage message;
  message.mutable_enqueue()->set_pair(*pair);
  message.mutable_enqueue()->set_namespace_("default");
  message.mutable_enqueue()->set_name(name);
  session.send(message);
}

std::string judge(apiserver::ApiServer& server, const std::string& cluster, const std::map<std::string, const Logic*>& deciders) {
  const auto things = server.table().find("example.com", "things"), maps = server.table().find("", "configmaps"), secrets = server.table().find("", "secrets");
  const auto settings = server.store().get(*maps, "default", "settings");
  const std::string mode = settings ? std::string(settings->value().text("data.mode")) : "absent";
  std::map<std::string, Value> wanted;
  for (const auto& stored : server.store().list(*things, "default")) {
    const Value thing = stored->value();
    if (!thing.text("metadata.deletionTimestamp").empty()) return fmt::format("thing {} waits for its finalizer", stored->name);
    if (!deciders.contains(std::string(thing.text("metadata.labels.app")))) continue;
    if (thing.text("status.observed") != number(thing)) return fmt::format("thing {} has number {} and observed {}", stored->name, number(thing), thing.text("status.observed"));
    if (!is_childless(thing)) wanted[std::string(stored->name)] = thing;
  }
  for (const auto& stored : server.store().list(*maps, "default")) {
    const Value child = stored->value();
    if (child.text("metadata.labels.child") != "yes") continue;
    const auto thing = wanted.find(std::string(stored->name));
    if (thing == wanted.end()) return fmt::format("child {} has no thing", stored->name);
    const auto secret = server.store().get(*secrets, "default", thing->second.text("spec.ref"));
    Wanted right;
    right.n = number(thing->second);
    right.ref = secret ? std::string(secret->value().text("data.v")) : "absent";
    right.mode = mode;
    const Logic& decider = *deciders.at(std::string(thing->second.text("metadata.labels.app")));
    right.revision = decider.revision;
    right.outside = decider.outside(cluster, thing->first);
    if (!child_is_right(child, thing->second, right)) return fmt::format("child {} is {}; wanted {}", stored->name, stored->json, child_json(thing->second, right, ""));
    wanted.erase(thing);
  }
  return wanted.empty() ? "" : "thing " + wanted.begin()->first + " has no child";
}

}  // namespace gs::sim
