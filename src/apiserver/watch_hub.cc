#include "apiserver/watch_hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "apiserver/protobuf.h"
#include "apiserver/respond.h"
#include "apiserver/version_view.h"
#include "runtime/task_scope.h"

namespace gs::apiserver {
namespace {

// Events that are converted together.
constexpr size_t kConvertedAtOnce = 100;
// A client that takes nothing for so long is gone.
constexpr Duration kSendTime = std::chrono::minutes(1);

template <class Object>
void frame(std::string_view type, const Object& object, Presenter& presenter, std::string& out) {
  if (presenter.protobuf()) {
    std::string json;
    presenter.object(object, json);
    return protobuf_event(type, json, out);
  }
  out += "{\"type\":\"";
  out += type;
  out += "\",\"object\":";
  presenter.object(object, out);
  out += "}\n";
}

// A Status is no object of the type.
void error_frame(const Answer& status, const Presenter& presenter, std::string& out) {
  if (presenter.protobuf()) return protobuf_event("ERROR", status.body, out);
  out += "{\"type\":\"ERROR\",\"object\":";
  out += status.body;
  out += "}\n";
}

Task<void> wake_when_gone(net::HttpExchange& exchange, WaitQueue& queue) {
  co_await exchange.wait_client_gone();
  queue.wake_all();
}

}  // namespace

struct WatchHub::Watch {
  Watch(net::HttpExchange& e, ResourceTypePtr t, Representation as, Selection s, Collection& c, WallTime now)
      : exchange(e), type(std::move(t)), presenter(*type, std::move(as), now), selection(std::move(s)), collection(c) {}
  net::HttpExchange& exchange;
  ResourceTypePtr type;
  Presenter presenter;
  Selection selection;
  Collection& collection;
  uint64_t incarnation = 0;
  std::vector<StoredPtr> initial;  // still to be sent as ADDED
  size_t sent_initial = 0;
  bool ends_initial = false;  // a bookmark says that the initial events are complete
  bool bookmarks = false;
  uint64_t initial_version = 0;
  uint64_t next = 0;  // number of the change that comes next
  MonoTime begun{};
  MonoTime end{};
  MonoTime next_bookmark{};
  WatchFault fault;
  // Where it takes a webhook to say what objects are: what was converted, and how many of the next events are.
  std::optional<conversion::Memo> memo;
  size_t converted = 0;
};

// Where to start: from a version, or with the present state first.
Task<void> WatchHub::serve(net::HttpExchange& exchange, ResourceTypePtr type, gateway::RestRequest request, Representation as, WatchFault fault, admission::WebhookClients* clients) {
  const auto answer = [&](const Answer& a) { respond(exchange, negotiated(a, as), loop_.random()); };
  Checked<Selection> selection = Selection::from(*type, request);
  if (!selection) co_return answer(selection.error());
  const bool initial_asked = request.option("sendInitialEvents") == "true";
  const bool bookmarks = request.option("allowWatchBookmarks") == "true";
  const std::string_view version_text = request.option("resourceVersion");
  const auto version = version_text.empty() ? std::optional<uint64_t>(0) : parse_uint(version_text);
  if (!version) co_return answer(failure(500, "", bad_version(version_text)));
  if (initial_asked && *version > store_.version()) co_return answer(too_large_version(*version, store_.version()));

  Watch watch(exchange, type, std::move(as), *std::move(selection), store_.collection(*type), loop_.wall_now());
  watch.incarnation = watch.collection.incarnation();
  watch.bookmarks = bookmarks;
  // SetListOptionsDefaults: who watches from anywhere asks for initial events, and with bookmarks for their end.
  const bool from_anywhere = *version == 0 && request.option("sendInitialEvents").empty() && request.option("resourceVersionMatch").empty();
  watch.ends_initial = (initial_asked || from_anywhere) && bookmarks;
  watch.fault = fault;
  if (clients != nullptr && watch.type->asks_webhook()) watch.memo.emplace(loop_, *clients);
  if (initial_asked || (*version == 0 && request.option("sendInitialEvents") != "false")) {
    watch.initial = store_.list(*type, watch.selection.ns());
    watch.initial_version = store_.version();
    watch.next = watch.collection.end();
  } else {
    const auto from = *version == 0 ? watch.collection.end() : watch.collection.after(*version);
    net::HttpHead head(200);
    if (!from) {
      // As the watch cache does it: 200, then an ERROR event.
      head.headers.emplace_back("content-type", watch.presenter.watch_type());
      std::string out;
      error_frame(expired(fmt::format("too old resource version: {} ({})", *version, store_.version())), watch.presenter, out);
      co_return exchange.respond(head, out);
    }
    watch.next = *from;
  }
  watch.begun = loop_.now();
  const auto seconds = parse_uint(request.option("timeoutSeconds"));
  const Duration time = seconds && *seconds > 0 ? Duration(std::chrono::seconds(std::min<uint64_t>(*seconds, 24 * 3600))) : loop_.random().jitter(options_.min_timeout, 1.0);
  watch.end = watch.begun + time;
  watch.next_bookmark = next_bookmark(watch);
  struct Count {
    explicit Count(size_t& n) : value(n) { ++value; }
    ~Count() { --value; }
    size_t& value;
  } const open(open_);
  co_await run(watch);
}

StoredPtr WatchHub::told(const Watch& watch, const Change& change, std::string_view& type) {
  const bool was = change.before && watch.selection.matches(*change.before);
  const bool is = change.type != ChangeType::kDeleted && watch.selection.matches(*change.object);
  type = !is ? "DELETED" : was ? "MODIFIED" : "ADDED";
  if (is) return change.object;
  if (!was) return nullptr;
  // What leaves a selection is told as it was when it last belonged to it, in the version of its leaving.
  return change.type == ChangeType::kDeleted ? change.object : with_version(*change.before, change.version);
}

Task<std::optional<Answer>> WatchHub::convert_next(Watch& watch) {
  watch.memo->clear();
  watch.converted = 0;
  {
    const conversion::Converting converting(watch.type->converter, &*watch.memo);
    for (size_t i = watch.sent_initial; i < watch.initial.size() && watch.converted < kConvertedAtOnce; ++i, ++watch.converted) {
      if (watch.selection.matches(*watch.initial[i])) shown(*watch.type, *watch.initial[i]);
    }
    std::string_view type;
    for (uint64_t n = std::max(watch.next, watch.collection.first()); n < watch.collection.end() && watch.converted < kConvertedAtOnce; ++n, ++watch.converted) {
      if (watch.collection.change(n).version > store_.durable_version()) break;
      if (const StoredPtr object = told(watch, watch.collection.change(n), type)) shown(*watch.type, *object);
    }
  }
  if (!watch.memo->missing()) co_return std::nullopt;
  auto asking = watch.memo->convert(watch.type->converter);
  co_return co_await std::move(asking);
}

bool WatchHub::behind(const Watch& watch) const {
  if (watch.sent_initial < watch.initial.size() || watch.next < watch.collection.first()) return true;
  return watch.next < watch.collection.end() && watch.collection.change(watch.next).version <= store_.durable_version();
}

bool WatchHub::take(Watch& watch, std::string& out) const {
  const conversion::Converting converting(watch.memo ? watch.type->converter : nullptr, watch.memo ? &*watch.memo : nullptr);
  const auto may = [&] { return out.size() < options_.batch_bytes && (!watch.memo || watch.converted > 0); };
  const auto took = [&] { watch.converted -= watch.memo ? 1 : 0; };
  watch.presenter.set_now(loop_.wall_now());
  if (watch.ends_initial && std::exchange(watch.fault.early_bookmark, false)) {
    bookmark(watch, false, out);
    return true;
  }
  while (watch.sent_initial < watch.initial.size() && may()) {
    took();
    const StoredPtr object = std::move(watch.initial[watch.sent_initial++]);
    if (watch.selection.matches(*object)) frame("ADDED", *object, watch.presenter, out);
  }
  if (watch.sent_initial < watch.initial.size()) return true;
  watch.initial.clear();
  watch.sent_initial = 0;
  if (watch.ends_initial) {
    bookmark(watch, true, out);
    watch.ends_initial = false;
  }
  if (watch.next < watch.collection.first()) return false;
  while (watch.next < watch.collection.end() && may()) {
    const Change& change = watch.collection.change(watch.next);
    if (change.version > store_.durable_version()) break;
    ++watch.next;
    took();
    std::string_view type;
    if (const StoredPtr object = told(watch, change, type)) frame(type, *object, watch.presenter, out);
  }
  return true;
}

void WatchHub::bookmark(Watch& watch, bool initial_end, std::string& out) const {
  const uint64_t version = initial_end ? watch.initial_version : store_.durable_version();
  frame("BOOKMARK",
        fmt::format(R"({{"metadata":{{"resourceVersion":"{}"{}}}}})", version, initial_end ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : ""),
        watch.presenter, out);
}

// cacheWatcher.nextBookmarkTime: about every minute, and shortly before the watch ends, so that who comes back knows a
// version that is new.
MonoTime WatchHub::next_bookmark(const Watch& watch) const {
  constexpr Duration kBeforeEnd = std::chrono::seconds(2);
  const MonoTime now = loop_.now(), regular = now + loop_.random().jitter(options_.bookmark_period, 0.1), last = watch.end - kBeforeEnd;
  const MonoTime next = std::min(regular, last);
  return next > now ? next : watch.end + kBeforeEnd;
}

MonoTime WatchHub::wake_at(const Watch& watch) const {
  MonoTime at = watch.end;
  if (watch.bookmarks) at = std::min(at, watch.next_bookmark);
  for (const auto& after : {watch.fault.silent_after, watch.fault.cut_after, watch.fault.expire_after}) {
    if (after) at = std::min(at, watch.begun + *after);
  }
  return at;
}

Task<void> WatchHub::run(Watch& watch) {
  Answer begun(200, "");
  begun.content_type = watch.presenter.watch_type();
  if (watch.type->deprecated) begun.warnings.push_back(watch.type->deprecation_warning);
  watch.exchange.start(head_of(begun, watch.exchange.request(), loop_.random()));
  const Status durable = co_await store_.durable(watch.initial_version);
  if (!durable) co_return;  // reset: the client comes again
  TaskScope scope(loop_);
  scope.spawn(wake_when_gone(watch.exchange, watch.collection.changed));
  const auto due = [&](const std::optional<Duration>& after) { return after && loop_.now() >= watch.begun + *after; };
  while (!watch.exchange.client_gone()) {
    // An answer that was begun and not finished is reset.
    if (due(watch.fault.cut_after)) co_return;
    if (due(watch.fault.silent_after)) {
      if (loop_.now() >= watch.end) co_return;
      co_await watch.collection.changed.wait(watch.end);
      continue;
    }
    if (watch.fault.late > Duration::zero()) {
      co_await sleep_for(loop_, watch.fault.late);
    }
    std::optional<Answer> unconverted;
    if (watch.memo) {
      auto converting = convert_next(watch);
      unconverted = co_await std::move(converting);
    }
    std::string out;
    bool over = loop_.now() >= watch.end || watch.collection.incarnation() != watch.incarnation;
    if (unconverted) {
      error_frame(*unconverted, watch.presenter, out);
      over = true;
    } else if (due(watch.fault.expire_after) || !take(watch, out)) {
      error_frame(expired("The resourceVersion for the provided watch is too old."), watch.presenter, out);
      over = true;
    } else if (out.empty() && watch.bookmarks && loop_.now() >= watch.next_bookmark) {
      bookmark(watch, false, out);
      watch.next_bookmark = next_bookmark(watch);
    }
    const bool wrote = !out.empty();
    if (wrote) {
      const Status written = co_await watch.exchange.write(std::move(out), saturating_add(loop_.now(), kSendTime));
      if (!written) co_return;
    }
    if (over) co_return watch.exchange.finish();
    if (wrote || (watch.memo && behind(watch))) continue;
    co_await watch.collection.changed.wait(wake_at(watch));
  }
}

}  // namespace gs::apiserver
