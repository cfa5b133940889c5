#include "gateway/pair_reads.h"

#include <algorithm>

#include "base/strings.h"
#include "delegate/session.h"
#include "gateway/list_body.h"
#include "gateway/versions.h"
#include "gateway/wire_options.h"
#include "gulfstream/delegate/v1/delegate.pb.h"

namespace gs::gateway {
namespace {

bool is_true(std::string_view option) { return option == "true" || option == "1" || option == "True" || option == "TRUE" || option == "t"; }

void event(std::string& out, std::string_view type, std::string_view object) {
  out += "{\"type\":\"";
  out += type;
  out += "\",\"object\":";
  out += object;
  out += "}\n";
}

std::string bookmark(const cache::GroupVersionResource& resource, const std::string& kind, const std::string& version, bool initial_end) {
  std::string out = "{\"kind\":\"" + kind + "\",\"apiVersion\":\"" + (resource.group.empty() ? "" : resource.group + "/") + resource.version +
                    "\",\"metadata\":{\"resourceVersion\":\"" + version + "\"";
  if (initial_end) out += R"(,"annotations":{"k8s.io/initial-events-end":"true"})";
  return out + "}}";
}

Answer bad(const std::string& why) { return status_answer(400, "BadRequest", why); }
Answer expired(std::string_view version) {
  return status_answer(410, "Expired", fmt::format("too old resource version: {}; list again", version));
}

}  // namespace

// One watch that is served. Lives in the frame of handle().
struct PairReads::Stream {
  Stream(const cache::Informer& i, Journal& j, delegate::CallReply& r, Filter f)
      : informer(i), journal(j), reply(r), filter(std::move(f)), version(i.resource_version()) {}
  const cache::Informer& informer;
  Journal& journal;
  delegate::CallReply& reply;
  Filter filter;
  uint64_t place = 0;   // in the journal
  std::string version;  // up to which all was sent, where `place` is the journal's end
  bool initial = false;
  bool initial_end = false;  // say where the initial events end
  bool bookmarks = false;
  std::vector<kube::ObjectRef> present;  // the initial events
  MonoTime ends = kNoDeadline;
  std::string kind;
};

bool PairReads::Filter::matches(const kube::Object& object) const {
  return (ns.empty() || object.ns() == ns) && (name.empty() || object.name() == name) && labels.matches(object.labels());
}

// Without the pair's informers nothing is served; a restart of the pair's watches drops them with this.
const cache::Informer* PairReads::informer_for(const RestRequest& request) const {
  const auto covers = [&](const cache::Informer* informer) {
    const cache::InformerKey& key = informer->key();
    return key.resource == resource_of(request) && (key.ns.empty() || key.ns == scope_of(request));
  };
  const auto found = std::find_if(informers_.begin(), informers_.end(), covers);
  return found == informers_.end() ? nullptr : *found;
}

std::optional<Answer> PairReads::refuse(const Result<RestRequest>& request, const delegate::pb::Call& call) {
  Refusals& refusals = gateway_.refusals();
  if (!request) {
    refusals.count(Refusal::kMalformed, "", call.method() + " " + call.path(), request.error().message);
    return bad(request.error().message);
  }
  const std::string what = fmt::format("{} {}", verb_name(request->verb), canonical_target(*request));
  const Decision decision = gateway_.authority().check_pair_wide(*request);
  if (!decision.allowed) {
    refusals.count(Refusal::kNotGranted, "", what, decision.missing);
    return status_answer(403, "Forbidden", decision.missing);
  }
  if (!is_plain(accept_of(call.accept()))) {
    const std::string why = "the plane's cache is served as plain JSON only";
    refusals.count(Refusal::kUnsupported, "", what, why);
    return status_answer(406, "NotAcceptable", why);
  }
  return std::nullopt;
}

Result<PairReads::Filter> PairReads::filter_of(const RestRequest& request) const {
  Filter out;
  out.ns = scope_of(request);
  GS_TRY(out.labels, kube::LabelSelector::parse(request.option("labelSelector")));
  const std::string_view fields = request.option("fieldSelector");
  for (const std::string_view field : split(fields, ',')) {
    if (field.empty()) continue;
    const size_t equals = field.find('=');
    const std::string_view name = field.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? "" : field.substr(equals + (field.substr(equals, 2) == "==" ? 2 : 1));
    const bool known = !value.empty() && !name.ends_with('!');
    if (known && name == "metadata.name") {
      out.name = value;
    } else if (known && name == "metadata.namespace" && (out.ns.empty() || out.ns == value)) {
      out.ns = value;
    } else {
      return fail(Code::kInvalid, "fieldSelector \"{}\": the plane's cache selects by metadata.name and metadata.namespace", fields);
    }
  }
  return out;
}

std::vector<kube::ObjectRef> PairReads::select(const cache::Informer& informer, const Filter& filter) const {
  std::vector<kube::ObjectRef> out;
  informer.store().for_each(filter.ns, [&](const kube::ObjectRef& object) {
    if (filter.matches(*object)) out.push_back(object);
  });
  return out;
}

Journal& PairReads::journal_of(const cache::Informer& informer) {
  std::unique_ptr<Journal>& slot = journals_[&informer];
  if (!slot) slot = std::make_unique<Journal>(loop_, informer.resource_version());
  return *slot;
}

void PairReads::changed(const cache::Informer& informer, const kube::ObjectRef& before, const kube::ObjectRef& after, bool deleted) {
  const auto found = journals_.find(&informer);
  if (found == journals_.end()) return;  // nobody has asked for it
  Journal::Change change;
  change.before = before;
  change.after = after;
  change.deleted = deleted;
  found->second->push(std::move(change));
}

std::optional<Answer> PairReads::list_refusal(const RestRequest& request, const cache::Informer& informer) const {
  if (!request.option("continue").empty()) return bad("the plane's cache lists whole, without pages");
  const std::string_view version = request.option("resourceVersion");
  const std::string_view match = request.option("resourceVersionMatch");
  if (match == "Exact" && version != informer.resource_version()) return expired(version);
  if (!version.empty() && newer(version, informer.resource_version())) {
    return status_answer(504, "Timeout", fmt::format("Too large resource version: {}, current: {}", version, informer.resource_version()),
                         std::chrono::seconds(1));
  }
  return std::nullopt;
}

// Where the watch begins.
std::optional<Answer> PairReads::begin_watch(const RestRequest& request, Stream& stream) {
  const std::string_view version = request.option("resourceVersion");
  const std::string_view initial = request.option("sendInitialEvents");
  stream.bookmarks = is_true(request.option("allowWatchBookmarks"));
  stream.initial_end = is_true(initial);
  if (!initial.empty() && request.option("resourceVersionMatch") != "NotOlderThan") {
    return bad("sendInitialEvents requires resourceVersionMatch=NotOlderThan");
  }
  if (stream.initial_end && !stream.bookmarks) return bad("sendInitialEvents requires allowWatchBookmarks");
  const bool any = version.empty() || version == "0";
  stream.initial = stream.initial_end || (initial.empty() && any);
  if (stream.initial || any) {
    stream.journal.settle(stream.informer.resource_version());
    stream.place = stream.journal.end();
    if (stream.initial) stream.present = select(stream.informer, stream.filter);
  } else {
    const auto place = stream.journal.place_of(version);
    if (!place) return expired(version);
    stream.place = *place;
    stream.version = std::string(version);
  }
  Duration limit = loop_.random().jitter(kLongestWatch, 1.0);
  if (const auto seconds = parse_uint(request.option("timeoutSeconds")); seconds && *seconds > 0 && *seconds < 86'400) {
    limit = std::chrono::seconds(*seconds);
  }
  stream.ends = saturating_add(loop_.now(), limit);
  return std::nullopt;
}

Task<void> PairReads::handle(const delegate::pb::Call& call, delegate::CallReply& reply) {
  const auto request = parse_rest_request(call.method(), call.path(), call.query(), call.content_type());
  std::optional<Answer> answer = refuse(request, call);
  const cache::Informer* informer = answer ? nullptr : informer_for(*request);
  if (!answer && (informer == nullptr || !informer->synced())) {
    answer = status_answer(503, "ServiceUnavailable", "the plane's cache is not complete yet", std::chrono::seconds(1));
  }
  Result<Filter> filter = fail(Code::kInvalid, "");
  if (!answer) {
    filter = filter_of(*request);
    if (!filter) answer = bad(filter.error().message);
  }
  if (!answer && request->verb == Verb::kList) {
    answer = list_refusal(*request, *informer);
    if (!answer) {
      journal_of(*informer).settle(informer->resource_version());
      std::vector<kube::ObjectRef> items = select(*informer, *filter);
      auto sending = send_list(reply, resource_of(*request), gateway_.kind_of(resource_of(*request)), informer->resource_version(), std::move(items));
      co_await sending;
      co_return;
    }
  }
  if (!answer) {
    Stream stream(*informer, journal_of(*informer), reply, *std::move(filter));
    stream.kind = gateway_.kind_of(resource_of(*request));
    answer = begin_watch(*request, stream);
    if (!answer) {
      auto watching = watch(stream);
      co_await watching;
      co_return;
    }
  }
  auto sending = reply.part(answer->status, std::move(answer->content_type), std::move(answer->body), true);
  co_await sending;
}

Task<Status> PairReads::send_initial(Stream& stream) {
  std::string part;
  for (size_t i = 0; i < stream.present.size(); ++i) {
    event(part, "ADDED", stream.present[i]->json());
    stream.present[i] = kube::ObjectRef();
    if (part.size() < delegate::kPartSize) continue;
    auto sending = stream.reply.part(0, "", std::move(part), false);
    const Status sent = co_await sending;
    if (!sent) co_return sent;
    part = std::string();
  }
  stream.present.clear();
  if (stream.initial_end) event(part, "BOOKMARK", bookmark(stream.informer.key().resource, stream.kind, stream.version, true));
  if (part.empty()) co_return ok();
  auto sending = stream.reply.part(0, "", std::move(part), false);
  co_return co_await sending;
}

bool PairReads::read_journal(Stream& stream, std::string& part) {
  Journal& journal = stream.journal;
  if (!journal.holds(stream.place)) return false;
  while (stream.place < journal.end() && part.size() < delegate::kPartSize) {
    const Journal::Change& change = journal.at(stream.place++);
    const bool was = change.before && stream.filter.matches(*change.before);
    const bool is = stream.filter.matches(*change.after);
    stream.version = std::string(change.after->resource_version());
    if (!is && !was) continue;
    event(part, change.deleted || !is ? "DELETED" : was ? "MODIFIED" : "ADDED", change.after->json());
  }
  return true;
}

Task<void> PairReads::watch(Stream& stream) {
  struct Count {
    explicit Count(size_t& n) : value(n) { ++value; }
    ~Count() { --value; }
    size_t& value;
  } count(watching_);
  // The head at once, as an API server sends it: the watch stands.
  auto beginning = stream.reply.part(200, "application/json", "", false);
  Status sent = co_await beginning;
  if (sent && stream.initial) {
    auto initial = send_initial(stream);
    sent = co_await initial;
  }
  MonoTime next_bookmark = saturating_add(loop_.now(), kBookmarks);
  while (sent) {
    std::string part;
    bool end = loop_.now() >= stream.ends;
    if (!read_journal(stream, part)) {
      event(part, "ERROR", expired(stream.version).body);
      end = true;
    } else if (part.empty() && stream.bookmarks && loop_.now() >= next_bookmark) {
      // All changes up to the cache's version have been sent.
      event(part, "BOOKMARK", bookmark(stream.informer.key().resource, stream.kind, stream.informer.resource_version(), false));
      next_bookmark = saturating_add(loop_.now(), kBookmarks);
    }
    if (part.empty() && !end) {
      if (!stream.reply.wanted()) co_return;
      MonoTime until = std::min(stream.ends, saturating_add(loop_.now(), kLook));
      if (stream.bookmarks) until = std::min(until, next_bookmark);
      co_await stream.journal.changed().wait(until);
      continue;
    }
    auto sending = stream.reply.part(0, "", std::move(part), end);
    sent = co_await sending;
    if (end) co_return;
  }
}

}  // namespace gs::gateway
