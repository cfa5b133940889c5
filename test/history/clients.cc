#include "test/history/clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "json/value.h"
#include "runtime/sync.h"

namespace gs::history {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;
using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kMaps = "/api/v1/namespaces/default/configmaps";

uint64_t version_of(const json::Value& object) { return parse_uint(object.text("metadata.resourceVersion")).value_or(0); }
Seen seen_in(const json::Value& object) { return Seen{version_of(object), std::string(object.text("data.v"))}; }

kube::Request request_of(const Operation& op) {
  const std::string at = kMaps + "/" + op.key;
  const auto body = [&](uint64_t version) {
    json::Value object;
    object["apiVersion"] = "v1";
    object["kind"] = "ConfigMap";
    object["metadata"]["name"] = op.key;
    if (version != 0) object["metadata"]["resourceVersion"] = std::to_string(version);
    object["data"]["v"] = op.value;
    return object.dump();
  };
  kube::Request out("GET", op.kind == Kind::kCreate || op.kind == Kind::kList ? kMaps : at);
  if (op.kind == Kind::kCreate) out.method = "POST";
  if (op.kind == Kind::kUpdate) out.method = "PUT";
  if (op.kind == Kind::kDelete) out.method = "DELETE";
  if (out.method == "GET") return out;
  out.repeatable = false;
  out.content_type = "application/json";
  if (op.kind == Kind::kDelete) {
    out.body = fmt::format(R"({{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{{"resourceVersion":"{}"}}}})", op.precondition);
  } else {
    out.body = body(op.precondition);
  }
  return out;
}

}  // namespace

void Clients::start(int writers, int watchers, int objects, Duration pause) {
  writers_ = writers;
  for (int i = 0; i < writers; ++i) scope_.spawn(write(i, objects, pause));
  for (int i = 0; i < watchers; ++i) scope_.spawn(watch(pause));
}

void Clients::end() { scope_.cancel(); }

Task<void> Clients::fill_in(Operation& op, kube::Request request) {
  request.deadline = saturating_add(loop_.now(), seconds(10));
  const bool read = request.method == "GET";
  const auto answer = co_await transport_.send(std::move(request));
  if (!answer) {
    // Only what provably was not processed.
    if (!read && answer.error().code == Code::kUnavailable) op.outcome = Outcome::kRefused;
    co_return;
  }
  if (answer->status == 404 && op.kind == Kind::kGet) op.outcome = Outcome::kDone;
  if (answer->status >= 400 && answer->status < 500 && op.kind != Kind::kGet) op.outcome = Outcome::kRefused;
  if (answer->status >= 300) co_return;
  const auto body = json::parse(answer->body);
  if (!body) co_return;
  op.outcome = Outcome::kDone;
  op.seen = op.kind == Kind::kList || op.kind == Kind::kDelete ? Seen() : seen_in(*body);
  if (op.kind != Kind::kList) co_return;
  op.version = version_of(*body);
  const json::Value* items = body->find("items");
  for (size_t i = 0; items != nullptr && items->array() != nullptr && i < items->array()->size(); ++i) {
    const json::Value& item = (*items->array())[i];
    if (item.text("data.v").empty()) continue;  // kube-root-ca.crt and the like are not ours
    op.items[std::string(item.text("metadata.name"))] = seen_in(item);
  }
}

// In the history from its beginning: it may never end.
Task<Operation> Clients::run(Operation op) {
  op.began = ++clock_;
  const size_t place = history_.operations.size();
  history_.operations.push_back(op);
  kube::Request request = request_of(op);
  co_await fill_in(op, std::move(request));
  op.ended = ++clock_;
  history_.operations[place] = op;
  const bool write = op.kind != Kind::kGet && op.kind != Kind::kList;
  if (write && op.outcome == Outcome::kDone) ++acknowledged_;
  co_return op;
}

Task<void> Clients::write(int client, int objects, Duration pause) {
  std::map<std::string, Seen> known;
  for (int n = 0; !stopping_; ++n) {
    const Duration wait = random_.between(Duration::zero(), pause);
    co_await sleep_for(loop_, wait);
    Operation op;
    op.key = fmt::format("k{}", random_.below(static_cast<uint64_t>(objects)));
    const Seen before = known.contains(op.key) ? known.at(op.key) : Seen();
    const uint64_t what = random_.below(10);
    op.kind = what == 0 ? Kind::kList : what <= 3 ? Kind::kGet : before.version == 0 ? Kind::kCreate : what == 4 ? Kind::kDelete : Kind::kUpdate;
    if (op.kind == Kind::kCreate || op.kind == Kind::kUpdate) op.value = fmt::format("c{}-{}", client, n);
    if (op.kind == Kind::kUpdate || op.kind == Kind::kDelete) op.precondition = before.version;
    const Operation done = co_await run(std::move(op));
    if (done.kind == Kind::kList && done.outcome == Outcome::kDone) known = done.items;
    if (done.kind == Kind::kList) continue;
    known[done.key] = done.seen;
    // Who was refused or heard nothing looks again before the next write.
    if (done.kind != Kind::kGet && done.outcome != Outcome::kDone) {
      Operation look;
      look.key = done.key;
      const Operation looked = co_await run(std::move(look));
      known[done.key] = looked.seen;
    }
  }
  --writers_;
}

Task<bool> Clients::final_list() {
  Operation op;
  op.kind = Kind::kList;
  const Operation done = co_await run(std::move(op));
  co_return done.outcome == Outcome::kDone;
}

Task<void> Clients::watch(Duration pause) {
  while (true) {
    Operation list;
    list.kind = Kind::kList;
    const Operation listed = co_await run(std::move(list));
    bool goes_on = listed.outcome == Outcome::kDone;
    uint64_t version = listed.version;
    const size_t place = history_.watches.size();
    if (goes_on) history_.watches.emplace_back();
    if (goes_on) history_.watches[place].from = version;
    while (goes_on) {
      goes_on = co_await follow(place, version);
      co_await sleep_for(loop_, pause);
    }
    if (listed.outcome == Outcome::kDone) ++expired_;
    co_await sleep_for(loop_, pause);
  }
}

Task<bool> Clients::follow(size_t place, uint64_t& version) {
  const uint64_t timeout = 1 + random_.below(60);
  kube::Request request("GET", fmt::format("{}?watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}", kMaps, version, timeout));
  request.lane = kube::Lane::kWatch;
  request.deadline = saturating_add(loop_.now(), seconds(10));
  auto stream = co_await transport_.open(std::move(request));
  if (!stream) co_return stream.error().code != Code::kExpired;
  std::string rest;
  const MonoTime end = saturating_add(loop_.now(), seconds(90));
  while (true) {
    const auto bytes = co_await (*stream)->read(end);
    if (!bytes || bytes->empty()) co_return true;
    rest += *bytes;
    for (size_t line = rest.find('\n'); line != std::string::npos; line = rest.find('\n')) {
      const bool more = deliver(history_.watches[place], rest.substr(0, line), version);
      if (!more) co_return false;
      rest.erase(0, line + 1);
    }
  }
}

bool Clients::deliver(Watch& watch, const std::string& line, uint64_t& version) {
  const auto event = json::parse(line);
  if (!event) return true;
  const std::string_view type = event->text("type");
  if (type == "ERROR") return false;
  const json::Value& object = *event->find("object");
  Delivery out;
  out.type = type == "ADDED" ? Delivery::Type::kAdded : type == "MODIFIED" ? Delivery::Type::kModified : type == "DELETED" ? Delivery::Type::kDeleted : Delivery::Type::kBookmark;
  out.key = object.text("metadata.name");
  out.seen = seen_in(object);
  out.at = ++clock_;
  version = out.seen.version;
  if (out.type == Delivery::Type::kBookmark || !out.seen.value.empty()) watch.deliveries.push_back(std::move(out));
  return true;
}

}  // namespace gs::history
