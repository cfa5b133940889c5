#include "cache/reflector.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/mutation.h"
#include "base/strings.h"
#include "json/scan.h"
#include "json/split.h"
#include "json/value.h"

namespace gs::cache {
namespace {

constexpr size_t kMaxObject = 16 * 1024 * 1024;
// Servers that cannot leave the rest out send it.
constexpr const char* kMetadataOnly = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
constexpr std::string_view kInitialEventsEnd = "k8s.io/initial-events-end";

// The kind of a list's items: "PodList" -> "Pod". Other lists name it in the items.
std::string item_kind(std::string_view list_kind) {
  return list_kind.ends_with("List") && list_kind != "List" ? std::string(list_kind.substr(0, list_kind.size() - 4)) : "";
}

std::optional<EventType> event_type(std::string_view type) {
  if (type == "ADDED") return EventType::kAdded;
  if (type == "MODIFIED") return EventType::kModified;
  if (type == "DELETED") return EventType::kDeleted;
  return std::nullopt;
}

bool ends_initial_events(std::string_view object) {
  bool found = false;
  const auto annotations = json::raw_at(object, "metadata.annotations");
  if (!annotations) return false;
  json::for_each_string(*annotations, [&](std::string_view key, std::string_view value) {
    found |= key == kInitialEventsEnd && value == "true";
  });
  return found;
}

}  // namespace

// One watch.
struct Reflector::WatchRun {
  bool initial = false;  // before the bookmark that ends the initial events
  size_t events = 0;
  std::optional<MonoTime> opened;
  MonoTime last_object{};
};

struct Reflector::Lease {
  Lease(Loop& loop, Duration i) : idle(i), lapse(loop, [this] { end(); }) {}
  void begin(Semaphore::Permit p) {
    permit = std::move(p);
    lapse.arm_after(idle);
  }
  void progress() {
    if (lapse.armed()) lapse.arm_after(idle);
  }
  void end() {
    lapse.disarm();
    Semaphore::Permit back = std::move(permit);
  }
  Duration idle;
  Semaphore::Permit permit;
  CallbackTimer lapse;
};

Reflector::Reflector(Loop& loop, kube::KubeTransport& transport, InformerKey key, ReflectorSink& sink,
                     ReflectorOptions options)
    : loop_(loop), transport_(transport), key_(std::move(key)), sink_(sink), options_(options), kicked_(loop) {}

std::string Reflector::target(const std::string& query) const {
  std::string out = key_.resource.collection_path(key_.ns) + "?" + query;
  if (!key_.label_selector.empty()) out += "&labelSelector=" + percent_encode(key_.label_selector);
  if (!key_.field_selector.empty()) out += "&fieldSelector=" + percent_encode(key_.field_selector);
  return out;
}

void Reflector::tell_health() {
  if (protocol_.take_health_changed()) sink_.health_changed();
}

Task<void> Reflector::run() {
  while (true) {
    const Step step = protocol_.next();
    const Health before = protocol_.health();
    switch (step.kind) {
      case Step::Kind::kWait: {
        const bool kicked = co_await kicked_.wait(saturating_add(loop_.now(), step.wait));
        protocol_.on_waited(kicked);
        break;
      }
      case Step::Kind::kList:
        co_await list(step);
        break;
      case Step::Kind::kWatch:
      case Step::Kind::kWatchList:
        co_await watch(step);
        break;
    }
    if (mutated(Mutation::kHealthUntold) && protocol_.health() == before) protocol_.take_health_changed();
    tell_health();
  }
}

kube::Request Reflector::request_for(std::string target, kube::Lane lane) const {
  kube::Request request("GET", std::move(target));
  request.lane = lane;
  request.deadline = saturating_add(loop_.now(), options_.head_timeout);
  if (options_.metadata_only) request.accept = kMetadataOnly;
  return request;
}

// Connects first: a server that cannot be reached takes no place from others.
Task<Status> Reflector::lease(kube::Lane lane, Lease& lease) {
  if (options_.list_permits == nullptr) co_return ok();
  auto connecting = transport_.ready(lane, saturating_add(loop_.now(), options_.head_timeout));
  GS_CO_TRY_STATUS(co_await connecting);
  auto acquiring = options_.list_permits->acquire();
  GS_CO_TRY(Semaphore::Permit permit, co_await acquiring);
  lease.begin(std::move(permit));
  co_return ok();
}

Task<void> Reflector::list(Step step) {
  ++stats_.lists;
  int page = 0;
  std::string version;
  auto listing = list_with_lease(step, page, version);
  const Status status = co_await listing;
  if (!status && !(page > 0 && mutated(Mutation::kPartialListTaken))) {
    sink_.replace_abandoned();
    protocol_.on_list_failed(status.error(), page, loop_.now(), loop_.random());
    co_return;
  }
  sink_.replace_finish();
  protocol_.on_listed(version);
}

std::string Reflector::page_query(const Step& step, const std::string& next) const {
  if (!next.empty()) return fmt::format("limit={}&continue={}", options_.page_size, percent_encode(next));
  std::string query = step.chunked ? fmt::format("limit={}", options_.page_size) : "limit=0";
  if (step.resource_version.empty()) return query;
  query += "&resourceVersion=" + step.resource_version;
  if (step.resource_version != "0") query += "&resourceVersionMatch=NotOlderThan";
  return query;
}

Task<Status> Reflector::list_with_lease(Step step, int& page, std::string& version) {
  Lease place(loop_, options_.permit_idle);
  auto leasing = lease(kube::Lane::kRequest, place);
  GS_CO_TRY_STATUS(co_await leasing);
  sink_.replace_begin();
  std::string next;
  do {
    std::string query = page_query(step, next);
    next.clear();
    auto reading = list_page(target(query), place, version, next);
    GS_CO_TRY_STATUS(co_await reading);
    ++page;
  } while (!next.empty() && !mutated(Mutation::kListPageLost));
  co_return ok();
}

// Items are parsed one by one as they arrive: neither the list's text nor its tree is ever whole.
Task<Status> Reflector::list_page(std::string target, Lease& lease, std::string& version, std::string& next) {
  auto opening = transport_.open(request_for(std::move(target), kube::Lane::kRequest));
  GS_CO_TRY(const auto stream, co_await opening);
  json::ListSplitter splitter(kMaxObject);
  // The list of a built-in type names the kind once, before the items; other items carry their own.
  std::string kind, api_version;
  const json::Each on_item = [&](std::string_view item) -> Status {
    if (kind.empty()) {
      kind = item_kind(splitter.peek("kind"));
      api_version = splitter.peek("apiVersion");
    }
    GS_TRY(kube::ObjectRef object, kube::Object::parse(item, options_.parse, api_version, kind));
    sink_.replace_item(std::move(object));
    return ok();
  };
  while (true) {
    auto reading = stream->read(saturating_add(loop_.now(), options_.list_idle));
    GS_CO_TRY(const std::string bytes, co_await reading);
    if (bytes.empty()) break;
    lease.progress();
    GS_CO_TRY_STATUS(splitter.feed(bytes, on_item));
  }
  GS_CO_TRY(const std::string envelope, splitter.finish());
  GS_CO_TRY(const json::Value list, json::parse(envelope));
  if (list.text("kind") == "Table") co_return fail(Code::kInternal, "the server answered a list with a Table");
  version = list.text("metadata.resourceVersion");
  next = list.text("metadata.continue");
  co_return ok();
}

Task<void> Reflector::watch(Step step) {
  WatchRun run;
  run.initial = step.kind == Step::Kind::kWatchList;
  ++stats_.watches;
  const Duration timeout = loop_.random().jitter(options_.watch_timeout, 1.0);
  std::string query = fmt::format("watch=true&allowWatchBookmarks=true&timeoutSeconds={}",
                                  std::chrono::duration_cast<std::chrono::seconds>(timeout).count());
  if (run.initial) query += "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  if (!step.resource_version.empty()) query += "&resourceVersion=" + step.resource_version;

  auto watching = read_watch(target(query), run);
  const Status status = co_await watching;
  if (run.initial) {
    sink_.replace_abandoned();
    const Error why = status ? Error(Code::kUnavailable, "the watch ended before the initial events did") : status.error();
    protocol_.on_watch_list_failed(why, loop_.now(), loop_.random());
    co_return;
  }
  const Duration open_for = run.opened ? loop_.now() - *run.opened : Duration::zero();
  protocol_.on_watch_ended(status ? nullptr : &status.error(), run.events, open_for, loop_.now(), loop_.random());
}

Task<Status> Reflector::read_watch(std::string target, WatchRun& run) {
  Lease place(loop_, options_.permit_idle);
  if (run.initial) {
    auto leasing = lease(kube::Lane::kWatch, place);
    GS_CO_TRY_STATUS(co_await leasing);
    sink_.replace_begin();
  }
  std::unique_ptr<kube::ResponseStream> stream;
  {
    // The finished task holds its frame, and a watch lives long.
    auto opening = transport_.open(request_for(std::move(target), kube::Lane::kWatch));
    GS_CO_TRY(stream, co_await opening);
  }
  run.opened = run.last_object = loop_.now();
  if (!run.initial) {
    protocol_.on_watch_opened();
    tell_health();
  }
  json::ValueSplitter splitter(kMaxObject);
  const json::Each on_frame = [&](std::string_view frame) { return watch_event(frame, run); };
  while (true) {
    const MonoTime silent = mutated(Mutation::kSilentWatchKept) ? kNoDeadline : saturating_add(loop_.now(), options_.watch_idle);
    auto reading = stream->read(run.initial ? std::min(silent, saturating_add(run.last_object, options_.initial_idle)) : silent);
    auto bytes = co_await reading;
    if (!bytes && bytes.error().code == Code::kDeadlineExceeded && run.initial) {
      // A server that ignores sendInitialEvents never ends them.
      co_return fail(Code::kUnsupported, "no end of the initial events");
    }
    if (!bytes && bytes.error().code == Code::kDeadlineExceeded) {
      co_return fail(Code::kUnavailable, "the watch was silent for {}", format_go_duration(options_.watch_idle));
    }
    if (!bytes) co_return fail(std::move(bytes).error());
    if (bytes->empty()) co_return ok();
    place.progress();
    GS_CO_TRY_STATUS(splitter.feed(*bytes, on_frame));
    if (!run.initial) place.end();
  }
}

// {"type":"ADDED","object":{...}}
Status Reflector::watch_event(std::string_view frame, WatchRun& run) {
  std::string type;
  std::optional<std::string_view> object;
  json::for_each_member(frame, [&](std::string_view key, std::string_view value) {
    if (key == "type") type = json::text_of(value);
    if (key == "object") object = value;
  });
  if (type.empty() || !object) return fail(Code::kInternal, "a watch event without type or object");
  if (type == "ERROR") {
    GS_TRY_STATUS(json::validate(frame));
    if (mutated(Mutation::kErrorEventIgnored)) return ok();
    const auto code = parse_uint(json::text_at(*object, "code").value_or("500"));
    return fail(kube::status_error(static_cast<int>(code.value_or(500)), *object, {}, loop_.wall_now()));
  }
  if (type == "BOOKMARK") {
    GS_TRY_STATUS(json::validate(frame));
    ++stats_.bookmarks;
    const std::string version = json::text_at(*object, "metadata.resourceVersion").value_or("");
    if (run.initial) {
      if (!ends_initial_events(*object) && !mutated(Mutation::kAnyBookmarkSyncs)) return ok();
      run.initial = false;
      sink_.replace_finish();
      protocol_.on_watch_list_synced(version);
      tell_health();
    } else {
      protocol_.on_version(version);
    }
    return ok();
  }
  const auto kind = event_type(type);
  if (!kind) return fail(Code::kInternal, "a watch event of the unknown type \"{}\"", truncate_utf8(type, 32));
  auto parsed = kube::Object::parse(*object, options_.parse);
  if (!parsed) {
    ++stats_.malformed;
    return fail(Code::kInternal, "a watch event's object: {}", parsed.error().message);
  }
  ++stats_.events;
  ++run.events;
  run.last_object = loop_.now();
  if (run.initial) {
    sink_.replace_item(*std::move(parsed));
    return ok();
  }
  const std::string version((*parsed)->resource_version());
  const bool lost = (*kind == EventType::kDeleted && mutated(Mutation::kDeletedEventLost)) || (run.events == 1 && mutated(Mutation::kFirstEventLost));
  if (!lost) sink_.changed(*kind, *std::move(parsed));
  protocol_.on_version(version);
  return ok();
}

}  // namespace gs::cache
