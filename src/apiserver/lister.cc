#include "apiserver/lister.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/protobuf.h"
#include "apiserver/version_view.h"
#include "base/strings.h"
#include "json/writer.h"
#include "schema/go_json.h"

namespace gs::apiserver {
namespace {

// A continue token is base64 of {"v":"meta.k8s.io/v1","rv":7,"start":"ns/name\u0000"}, URL-safe and without padding. The
// key is within the collection: of what is in a namespace its name, where one namespace is listed.
std::string encode_continue(int64_t version, std::string_view after) {
  std::string text;
  json::Writer writer(text);
  std::string start(after);
  start += '\0';
  writer.begin_object().key("v").string("meta.k8s.io/v1").key("rv").integer(version).key("start").string(start).end_object();
  std::string out = base64_encode(text);
  while (out.ends_with('=')) out.pop_back();
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  return out;
}

struct Continue {
  int64_t version = 0;
  std::string after;
};

Checked<Continue> decode_continue(std::string_view token) {
  std::string text(token);
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  while (text.size() % 4 != 0) text += '=';
  const auto decoded = base64_decode(text);
  const auto value = decoded ? schema::parse_as_go(*decoded) : fail(Code::kInvalid, "illegal base64 data");
  if (!value || !value->is_object()) return refuse(bad_request("invalid continue token: continue key is not valid: " + (value ? "not an object" : value.error().message)));
  if (value->text("v") != "meta.k8s.io/v1") return refuse(bad_request(fmt::format("invalid continue token: continue key is not valid: server does not recognize this encoded version {}", value->text("v"))));
  const json::Value* version = value->find("rv");
  Continue out;
  out.version = version != nullptr ? version->integer().value_or(0) : 0;
  out.after = value->text("start");
  if (out.version == 0) return refuse(bad_request("invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
  if (out.after.empty()) return refuse(bad_request("invalid continue token: continue key is not valid: encoded start key empty (version meta.k8s.io/v1)"));
  if (out.after.ends_with('\0')) out.after.pop_back();
  if (out.after.find("..") != std::string::npos || out.after.find("//") != std::string::npos) return refuse(bad_request("invalid continue token: continue key is not valid: " + out.after));
  return out;
}

// A key of the store as a token has it, and back.
std::string token_key(const Stored& object, const std::string& ns) { return ns.empty() && !object.ns.empty() ? std::string(object.key()) : std::string(object.name); }
std::string store_key(const ResourceType& type, const std::string& after, const std::string& ns) {
  return !type.namespaced ? "/" + after : ns.empty() ? after : Store::key(ns, after);
}

// Leaves the first `limit` that match (0: all). True: there are more behind them, which may not match: a page that is full ends
// the search (k8s.io/apiserver's cacher and etcd3 alike), so that an empty page may follow.
bool select(std::vector<StoredPtr>& objects, const Selection& selection, uint64_t limit) {
  size_t kept = 0, seen = 0;
  for (; seen < objects.size() && (limit == 0 || kept < limit); ++seen) {
    if (selection.matches(*objects[seen])) std::swap(objects[kept++], objects[seen]);
  }
  const bool more = seen < objects.size();
  objects.resize(kept);
  return more;
}

// The items of a list, on their way. What they are is fixed: objects are immutable.
class Items final : public BodyParts {
 public:
  Items(Presenter presenter, std::vector<StoredPtr> objects) : presenter_(std::move(presenter)), objects_(std::move(objects)) {}
  bool next(std::string& out) override {
    const size_t end = out.size() + kPart;
    for (; at_ < objects_.size() && out.size() < end; ++at_) {
      if (at_ > 0) out += ',';
      presenter_.item(*std::exchange(objects_[at_], nullptr), out);
    }
    if (at_ < objects_.size()) return true;
    if (!std::exchange(ended_, true)) Presenter::end_list(out);
    return false;
  }

 private:
  static constexpr size_t kPart = 128 * 1024;
  Presenter presenter_;
  std::vector<StoredPtr> objects_;
  size_t at_ = 0;
  bool ended_ = false;
};

}  // namespace

Answer Lister::get(const ResourceType& type, const gateway::RestRequest& request, const Representation& as) const {
  Presenter presenter(type, as, loop_.wall_now());
  if (auto refusal = presenter.refuses(false)) return *std::move(refusal);
  if (const std::string_view text = request.option("resourceVersion"); !text.empty()) {
    const auto version = parse_uint(text);
    if (!version) return failure(500, "", bad_version(text));
    if (*version > store_.version()) return too_large_version(*version, store_.version());
  }
  const StoredPtr object = store_.get(type, type.namespaced ? request.ns : "", request.name);
  if (!object) return not_found(type.judged_as(), request.name);
  Answer answer(200, "");
  presenter.object(*object, answer.body);
  return answer;
}

Checked<Lister::Start> Lister::start(const ResourceType& type, const gateway::RestRequest& request, uint64_t limit, uint64_t stale_by) const {
  Start out;
  out.version = store_.version();
  const std::string_view text = request.option("resourceVersion"), match = request.option("resourceVersionMatch"), token = request.option("continue");
  const auto wanted = text.empty() ? std::optional<uint64_t>(0) : parse_uint(text);
  if (!wanted) return refuse(bad_request(fmt::format("invalid resource version: {}", bad_version(text))));
  if (!token.empty()) {
    if (*wanted != 0) return refuse(bad_request("specifying resource version is not allowed when using continue"));
    const Checked<Continue> from = decode_continue(token);
    if (!from) return refuse(from.error());
    out.after = store_key(type, from->after, type.namespaced ? request.ns : "");
    out.inconsistent = from->version < 0;
    if (!out.inconsistent) out.version = static_cast<uint64_t>(from->version);
    if (out.version > store_.version()) return refuse(too_large_version(out.version, store_.version()));
    return out;
  }
  if (text.empty()) return out;
  if (*wanted > out.version) return refuse(too_large_version(*wanted, out.version, match == "Exact"));
  out.exact = match == "Exact" || (match.empty() && limit > 0 && *wanted > 0);
  out.version = out.exact ? *wanted : std::max(*wanted, out.version - std::min(out.version - 1, stale_by));
  return out;
}

// etcd3's handleCompactedErrorForPaging: the client may go on with what there is now.
Answer Lister::too_old(const ResourceType& type, const Start& start) const {
  if (start.after.empty()) return expired(fmt::format("The resourceVersion for the provided list is too old."));
  Answer answer = expired(
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the "
      "remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now "
      "may show up in the list.");
  std::string meta = R"("metadata":{"continue":")" + encode_continue(-1, start.after.substr(type.namespaced ? 0 : 1)) + "\"}";
  if (const size_t at = answer.body.find(R"("metadata":{})"); at != std::string::npos) answer.body.replace(at, 13, meta);
  return answer;
}

Answer Lister::list(const ResourceType& type, const gateway::RestRequest& request, const Representation& as, uint64_t stale_by) const {
  Presenter presenter(type, as, loop_.wall_now());
  if (auto refusal = presenter.refuses(true)) return *std::move(refusal);
  const Checked<Selection> selection = Selection::from(type, request);
  if (!selection) return selection.error();
  // What may be of any version comes from the watch cache, which knows no pages.
  const uint64_t limit = request.option("resourceVersion") == "0" ? 0 : parse_uint(request.option("limit")).value_or(0);
  const Checked<Start> from = start(type, request, limit, stale_by);
  if (!from) return from.error();
  // One name is a get: informers of a single object ask so.
  const auto name = selection->name();
  const bool one = name && from->version == store_.version() && from->after.empty() && (!type.namespaced || !selection->ns().empty());
  const StoredPtr only = one ? store_.get(type, selection->ns(), *name) : nullptr;
  auto objects = one ? std::optional(only ? std::vector<StoredPtr>{only} : std::vector<StoredPtr>()) : store_.list_at(type, selection->ns(), from->version, from->after);
  if (!objects) {
    Start shown = *from;
    if (!request.ns.empty() && type.namespaced && !shown.after.empty()) shown.after = shown.after.substr(request.ns.size() + 1);
    return too_old(type, shown);
  }
  ListMeta meta;
  meta.version = from->version;
  const bool more = selection->plain() ? limit > 0 && objects->size() > limit : select(*objects, *selection, limit);
  if (more) {
    meta.next = encode_continue(from->inconsistent ? static_cast<int64_t>(store_.version()) : static_cast<int64_t>(from->version), token_key(*(*objects)[limit - 1], selection->ns()));
    if (selection->plain()) meta.remaining = objects->size() - limit;
    objects->resize(limit);
  }
  // What takes a webhook is asked about in one, not as it is sent.
  if (type.asks_webhook()) {
    for (const StoredPtr& object : *objects) shown(type, *object);
  }
  Answer answer(200, "");
  if (objects->empty() && !as.protobuf) {
    presenter.empty_list(meta, answer.body);
    return answer;
  }
  if (as.protobuf) {
    // In one part: its length stands at its beginning.
    answer.body = protobuf_list(type, as, presenter, meta, *objects);
    answer.content_type = kProtobuf;
    return answer;
  }
  presenter.begin_list(meta, answer.body);
  auto items = std::make_shared<Items>(std::move(presenter), *std::move(objects));
  // A short one is whole, with its length.
  if (items->next(answer.body)) answer.more = std::move(items);
  return answer;
}

}  // namespace gs::apiserver
