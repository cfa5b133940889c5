#include "control/event_recorder.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "json/writer.h"

namespace gs::control {
namespace {

constexpr size_t kMaxName = 253;

// What an Event is about: v1.ObjectReference.
std::string reference(const kube::Object& object) {
  std::string out;
  json::Writer json(out);
  json.begin_object().key("kind").string(object.kind()).key("apiVersion").string(object.api_version());
  if (!object.ns().empty()) json.key("namespace").string(object.ns());
  json.key("name").string(object.name()).key("uid").string(object.uid());
  json.key("resourceVersion").string(object.resource_version()).end_object();
  return out;
}

bool is_dns_subdomain(std::string_view name) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > kMaxName) return false;
  for (const std::string_view label : split(name, '.')) {
    if (label.empty() || !alphanumeric(label.front()) || !alphanumeric(label.back())) return false;
    if (!std::all_of(label.begin(), label.end(), [&](char c) { return alphanumeric(c) || c == '-'; })) return false;
  }
  return true;
}

std::string key_of(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out.append(part).push_back('\0');
  return out;
}

}  // namespace

void EventRecorder::record(const kube::Object& object, const delegate::RecordedEvent& event) {
  // The source is this recorder's; an object that was created anew is another one.
  const std::string about = key_of({object.api_version(), object.kind(), object.ns(), object.name(), object.uid(), event.type});
  Pending pending;
  pending.type = event.type;
  pending.reason = event.reason;
  pending.message = event.message;
  const std::string similar = key_of({about, event.reason});
  const bool combined = combines(similar, event.message);
  if (combined) pending.message = "(combined from similar events): " + event.message;
  pending.key = combined ? similar : key_of({about, event.reason, event.message});
  // Aggregation comes before the limit, as in client-go's EventCorrelate.
  if (!allowed(about) || queue_.size() >= kQueue) {
    ++stats_.dropped;
    return;
  }
  pending.ns = object.ns().empty() ? "default" : std::string(object.ns());
  pending.about = reference(object);
  pending.object = std::string(object.name());
  pending.at = loop_.wall_now();
  queue_.push_back(std::move(pending));
  if (writing_) return;
  writing_ = true;
  scope_.spawn(write_all());
}

bool EventRecorder::allowed(const std::string& object_key) {
  Bucket& bucket = buckets_[object_key];
  const MonoTime now = loop_.now();
  if (bucket.at != MonoTime{}) bucket.tokens = std::min(kBurst, bucket.tokens + to_seconds(now - bucket.at) / to_seconds(kRefill));
  bucket.at = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

bool EventRecorder::combines(const std::string& similar_key, const std::string& message) {
  Similar& similar = similar_[similar_key];
  const MonoTime now = loop_.now();
  if (now - similar.last > kSimilarWindow) similar.messages.clear();
  similar.last = now;
  similar.messages.insert(message);
  if (similar.messages.size() < kSimilar) return false;
  similar.messages.erase(similar.messages.begin());
  return true;
}

// Runs while there is something to write.
Task<void> EventRecorder::write_all() {
  while (!queue_.empty()) {
    Pending event = std::move(queue_.front());
    queue_.pop_front();
    for (int attempt = 1; true; ++attempt) {
      Pending copy = event;
      auto writing = write(std::move(copy));
      const bool settled = co_await writing;
      if (settled) break;
      if (attempt >= kTries) {
        ++stats_.failed;
        break;
      }
      const Duration wait = loop_.random().jitter(kRetry, 0.2);
      co_await sleep_for(loop_, wait);
    }
  }
  writing_ = false;
}

// A valid name for the object's next Event: GenerateEventName in client-go's tools/internal/events.
std::string EventRecorder::name_for(const std::string& object) {
  const auto nanos = static_cast<uint64_t>(loop_.wall_now().time_since_epoch().count()) + ++names_;
  std::string name = fmt::format("{}.{:x}", object, nanos);
  if (is_dns_subdomain(name)) return name;
  return fmt::format("{:016x}-{:016x}", loop_.random().next(), nanos);
}

std::string EventRecorder::create_body(const Pending& event, const std::string& name) const {
  const std::string time = format_rfc3339(event.at);
  std::string out;
  json::Writer json(out);
  json.begin_object().key("kind").string("Event").key("apiVersion").string("v1");
  json.key("metadata").begin_object().key("name").string(name).key("namespace").string(event.ns).end_object();
  json.key("involvedObject").raw(event.about);
  json.key("type").string(event.type).key("reason").string(event.reason).key("message").string(event.message);
  json.key("source").begin_object().key("component").string(component_).end_object();
  json.key("reportingComponent").string(component_).key("count").integer(1);
  json.key("firstTimestamp").string(time).key("lastTimestamp").string(time).end_object();
  return out;
}

Task<bool> EventRecorder::write(Pending event) {
  const Written known = written_[event.key];
  if (known.count > 0) {
    kube::Request patch("PATCH", fmt::format("/api/v1/namespaces/{}/events/{}?fieldManager={}", event.ns, known.name, percent_encode(component_)));
    patch.content_type = "application/strategic-merge-patch+json";
    json::Writer json(patch.body);
    json.begin_object().key("count").integer(known.count + 1).key("message").string(event.message);
    json.key("lastTimestamp").string(format_rfc3339(event.at)).end_object();
    patch.repeatable = false;
    patch.deadline = saturating_add(loop_.now(), kTimeout);
    auto patching = transport_.send(std::move(patch));
    const auto patched = co_await patching;
    if (!patched || patched->status == 429 || patched->status >= 500) co_return false;
    if (patched->status < 300) {
      written_[event.key].count = known.count + 1;
      ++stats_.written;
      co_return true;
    }
    // It has expired since (an hour, by default): begin anew.
  }
  const std::string name = name_for(event.object);
  kube::Request create("POST", fmt::format("/api/v1/namespaces/{}/events?fieldManager={}", event.ns, percent_encode(component_)));
  create.content_type = "application/json";
  create.body = create_body(event, name);
  create.repeatable = false;
  create.deadline = saturating_add(loop_.now(), kTimeout);
  auto creating = transport_.send(std::move(create));
  const auto created = co_await creating;
  if (!created || created->status == 429 || created->status >= 500) co_return false;
  if (created->status >= 300) {
    ++stats_.failed;
    const Error why = kube::status_error(created->status, created->body, created->retry_after, loop_.wall_now());
    log::warning("an Event was not accepted", {{"component", component_}, {"namespace", event.ns}, {"object", event.object}, {"err", why.message}});
    co_return true;
  }
  Written& written = written_[event.key];
  written.name = name;
  written.count = 1;
  ++stats_.written;
  co_return true;
}

}  // namespace gs::control
