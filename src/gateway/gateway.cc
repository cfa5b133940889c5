#include "gateway/gateway.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "gateway/list_body.h"
#include "gateway/versions.h"
#include "gateway/wire_options.h"
#include "gulfstream/delegate/v1/delegate.pb.h"

namespace gs::gateway {
namespace {

constexpr size_t kMaxFieldManager = 128;
constexpr size_t kPrunedPerCall = 4;

// resourceVersion as an API server reads it: "0" is any, another is "not older than"; a list says so with
// resourceVersionMatch, or means it where it asks for no pages.
bool any_version_from(const RestRequest& request, const std::string& cached) {
  const std::string_view wanted = request.option("resourceVersion");
  if (wanted.empty()) return false;
  const std::string_view match = request.option("resourceVersionMatch");
  if (!match.empty() && match != "NotOlderThan") return false;
  if (wanted == "0") return true;
  const bool exact = request.verb == Verb::kList && match.empty() && request.options.contains("limit");
  return !exact && reached(cached, wanted);
}

std::string key_text(const KeyScope& key) { return key.ns.empty() ? key.name : key.ns + "/" + key.name; }

}  // namespace

std::string field_manager_of(const std::string& controller) {
  std::string out = "gulfstream-" + controller;
  if (out.size() <= kMaxFieldManager) return out;
  const std::string hash = fmt::format("-{:016x}", store::Digester().text(controller).finish().low);
  return out.substr(0, kMaxFieldManager - hash.size()) + hash;
}

Gateway::Gateway(Loop& loop, kube::KubeTransport& transport, cache::InformerSet& informers, Rules rules, Kinds kinds,
                 std::string controller, std::string cluster)
    : loop_(loop),
      transport_(transport),
      informers_(informers),
      authority_(std::move(rules)),
      kinds_(std::move(kinds)),
      field_manager_(field_manager_of(controller)),
      refusals_(loop, std::move(controller), std::move(cluster)) {}

Task<void> Gateway::Reconcile::handle(const delegate::pb::Call& call, delegate::CallReply& reply) {
  return gateway_.serve(*this, call, reply);
}

std::string Gateway::kind_of(const cache::GroupVersionResource& resource) const {
  const auto found = kinds_.find(resource);
  return found == kinds_.end() ? std::string() : found->second;
}

cache::Informer* Gateway::covering(const cache::GroupVersionResource& resource, std::string_view ns) const {
  cache::Informer* informer = informers_.find_covering(resource, ns);
  const bool current = informer != nullptr && informer->synced() && informer->health() == cache::Health::kLive;
  return current ? informer : nullptr;
}

void Gateway::prune_overlay(size_t most) {
  const auto covering = [this](const cache::GroupVersionResource& resource, const std::string& ns) {
    return informers_.find_covering(resource, ns);
  };
  overlay_.prune(covering, most, loop_.now());
}

// What refuses the call, if anything does.
std::optional<Answer> Gateway::check(const Result<RestRequest>& request, const KeyScope& key, const delegate::pb::Call& call) {
  if (!request) {
    refusals_.count(Refusal::kMalformed, key_text(key), call.method() + " " + call.path(), request.error().message);
    return status_answer(400, "BadRequest", request.error().message);
  }
  const auto what = [&] { return fmt::format("{} {}", verb_name(request->verb), canonical_target(*request)); };
  const Decision decision = authority_.check(*request, key);
  if (!decision.allowed && !mutated(Mutation::kRefusedForwarded)) {
    refusals_.count(decision.only_create_missing ? Refusal::kCreate : Refusal::kNotGranted, key_text(key), what(), decision.missing);
    return status_answer(403, "Forbidden", decision.missing);
  }
  if (request->verb == Verb::kWatch) {
    const std::string why = "a watch is not bound to a reconcile: set delegateWatch and watch for the pair, with reconcile 0";
    refusals_.count(Refusal::kUnsupported, key_text(key), what(), why);
    return status_answer(405, "MethodNotAllowed", why);
  }
  return std::nullopt;
}

Task<void> Gateway::serve(Reconcile& reconcile, const delegate::pb::Call& call, delegate::CallReply& reply) {
  auto request = parse_rest_request(call.method(), call.path(), call.query(), call.content_type());
  std::optional<Answer> answer = check(request, reconcile.key_, call);
  if (!answer) {
    prune_overlay(kPrunedPerCall);
    if (cache::Informer* informer = cache_for(reconcile, *request, call)) {
      if (request->verb == Verb::kGet) {
        answer = get_from_cache(reconcile, *request, *informer);
      } else if (auto items = list_from_cache(reconcile, *request, *informer)) {
        ++stats_.from_cache;
        std::string kind = items->empty() ? kind_of(resource_of(*request)) : std::string((*items)[0]->kind());
        auto sending = send_list(reply, resource_of(*request), std::move(kind), informer->resource_version(), *std::move(items));
        co_await sending;
        co_return;
      }
      stats_.from_cache += answer.has_value();
    }
  }
  if (!answer) {
    ++stats_.forwarded;
    const bool whole_list = request->verb == Verb::kList && !request->options.contains("limit") && !request->options.contains("continue");
    if (whole_list) {
      kube::Request out = to_server(*request, call);
      auto listing = forward_list(reconcile, *std::move(request), std::move(out), reply);
      co_await listing;
      co_return;
    }
    auto forwarding = forward(reconcile, *std::move(request), call, reply);
    answer = co_await forwarding;
  }
  // An answer that nobody wants any more is no error.
  auto sending = reply.part(answer->status, std::move(answer->content_type), std::move(answer->body), true);
  co_await sending;
}

// resourceVersion=0 means that any version will do. Only where an informer that is synced and live, and
// has no selector of its own, covers the request; otherwise it proves no absence.
cache::Informer* Gateway::cache_for(const Reconcile& reconcile, const RestRequest& request, const delegate::pb::Call& call) const {
  if (request.verb != Verb::kGet && request.verb != Verb::kList) return nullptr;
  if (!request.subresource.empty() || !is_plain(accept_of(call.accept())) || overlay_.full()) return nullptr;
  const auto resource = resource_of(request);
  if (reconcile.live_.contains(resource)) return nullptr;
  // Field selectors and pages are the server's business.
  for (const char* option : {"fieldSelector", "continue", "sendInitialEvents"}) {
    if (request.options.contains(option)) return nullptr;
  }
  cache::Informer* informer = covering(resource, scope_of(request));
  if (informer == nullptr || !any_version_from(request, informer->resource_version())) return nullptr;
  return kube::LabelSelector::parse(request.option("labelSelector")) ? informer : nullptr;
}

std::optional<Answer> Gateway::get_from_cache(Reconcile& reconcile, const RestRequest& request, cache::Informer& informer) {
  const auto resource = resource_of(request);
  const std::string ns = scope_of(request);
  const auto view = overlay_.merge(informer, ns, request.name, informer.store().get(ns, request.name), loop_.now());
  if (view.live) return std::nullopt;
  reconcile.reads_.read_name(resource, ns, request.name, view.object, true);
  if (!view.object) {
    const std::string group = resource.group.empty() ? "" : "." + resource.group;
    return status_answer(404, "NotFound", fmt::format("{}{} \"{}\" not found", request.resource, group, request.name));
  }
  Answer out;
  out.status = 200;
  out.body = std::string(view.object->json());
  return out;
}

std::optional<std::vector<kube::ObjectRef>> Gateway::list_from_cache(Reconcile& reconcile, const RestRequest& request,
                                                                     cache::Informer& informer) {
  const auto resource = resource_of(request);
  const std::string ns = scope_of(request);
  const std::string selector_text(request.option("labelSelector"));
  const auto selector = kube::LabelSelector::parse(selector_text);
  std::vector<kube::ObjectRef> items;
  ListDigest digest;
  bool live = false;
  const auto take = [&](const Overlay::View& view) {
    live |= view.live;
    if (!view.object || !selector->matches(view.object->labels())) return;
    digest.add(*view.object);
    items.push_back(view.object);
  };
  // merge() may drop entries: what is only written is noted first.
  std::vector<std::pair<std::string, std::string>> written;
  overlay_.for_each(resource, [&](const std::string& at, const std::string& name) {
    if ((ns.empty() || at == ns) && !informer.store().get(at, name)) written.emplace_back(at, name);
  });
  informer.store().for_each(ns, [&](const kube::ObjectRef& object) {
    take(overlay_.merge(informer, object->ns(), object->name(), object, loop_.now()));
  });
  for (const auto& [at, name] : written) take(overlay_.merge(informer, at, name, kube::ObjectRef(), loop_.now()));
  if (live) return std::nullopt;
  reconcile.reads_.read_list(resource, ns, selector_text, informer.resource_version(), digest, true);
  return items;
}

kube::Request Gateway::to_server(const RestRequest& request, const delegate::pb::Call& call) const {
  kube::Request out(std::string(request.method()), canonical_target(request));
  out.body = call.body();
  out.content_type = call.content_type();
  out.accept = accept_of(call.accept());
  out.repeatable = !request.is_write();
  out.deadline = saturating_add(loop_.now(), kCallTimeout);
  return out;
}

// A list without pages may be long: what is longer than kHeldList goes on as it comes. Where it breaks off
// in the middle the delegate sees JSON that is not complete.
Task<void> Gateway::forward_list(Reconcile& reconcile, RestRequest request, kube::Request out, delegate::CallReply& reply) {
  out.deadline = saturating_add(loop_.now(), kListTimeout);
  const MonoTime deadline = out.deadline;
  const Sight before = sight(request);
  auto opening = transport_.open(std::move(out));
  auto stream = co_await opening;
  if (!stream) {
    stats_.failed += stream.error().http_status == 0;
    Answer answer = error_answer(stream.error(), false);
    auto sending = reply.part(answer.status, std::move(answer.content_type), std::move(answer.body), true);
    co_await sending;
    co_return;
  }
  std::string held;
  int status = 200;  // of the first part only
  while (true) {
    auto reading = (*stream)->read(deadline);
    auto bytes = co_await reading;
    if (!bytes && status != 0) {
      Answer answer = error_answer(bytes.error(), false);
      auto sending = reply.part(answer.status, std::move(answer.content_type), std::move(answer.body), true);
      co_await sending;
      co_return;
    }
    const bool end = !bytes || bytes->empty();
    if (bytes) held += *bytes;
    if (!end && held.size() < kHeldList) continue;
    if (end && status != 0) {
      observe_list(reconcile, request, held, before);
    } else if (status != 0) {
      const auto resource = resource_of(request);
      reconcile.reads_.read_list(resource, scope_of(request), std::string(request.option("labelSelector")), "", std::nullopt, false);
      // Nobody looks at its items: what of them goes before the watch is back would not be missed.
      if (covering(resource, scope_of(request)) == nullptr && !before.version.empty()) overlay_.lose();
    }
    auto sending = reply.part(status, status != 0 ? "application/json" : "", std::move(held), end);
    const Status sent = co_await sending;
    if (!sent || end) co_return;
    held = std::string();
    status = 0;
  }
}

Task<Answer> Gateway::forward(Reconcile& reconcile, RestRequest request, const delegate::pb::Call& call, delegate::CallReply& reply) {
  const bool managed = request.verb == Verb::kCreate || request.verb == Verb::kUpdate || request.verb == Verb::kPatch;
  if (managed && request.option("fieldManager").empty()) request.options["fieldManager"] = field_manager_;
  const auto resource = resource_of(request);
  const Sight before = sight(request);
  const DryRun dry_run = dry_run_of(request, call.body());
  auto sending = transport_.send(to_server(request, call));
  auto response = co_await sending;
  // Whether it happened is not known, or what became of how many.
  const bool unclear = !response ? response.error().code != Code::kUnavailable && response.error().code != Code::kForbidden
                                 : response->status >= 500 || dry_run == DryRun::kUnknown ||
                                       (request.verb == Verb::kDeleteCollection && response->status < 300);
  if (request.is_write() && unclear && dry_run != DryRun::kYes) reconcile.live_.insert(resource);
  if (!response) {
    ++stats_.failed;
    co_return error_answer(response.error(), request.is_write());
  }
  if (!response->warning.empty()) reply.warn(warnings_of(response->warning));
  Answer answer = server_answer(*std::move(response), loop_.wall_now());
  observe(reconcile, request, answer, before, dry_run != DryRun::kNo);
  co_return answer;
}

bool Gateway::may_get(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name,
                      const KeyScope& key) const {
  RestRequest request;
  request.verb = Verb::kGet;
  request.group = resource.group;
  request.version = resource.version;
  request.resource = resource.resource;
  request.name = name;
  // As the path of a Namespace is read: its own name is its namespace.
  request.ns = is_namespace_object(request) ? name : ns;
  return authority_.check(request, key).allowed;
}

}  // namespace gs::gateway
