// What the cluster answered enters the overlay and the read set.
#include "gateway/gateway.h"
#include "gateway/versions.h"
#include "json/scan.h"

namespace gs::gateway {
namespace {

bool same(const kube::ObjectRef& a, const kube::ObjectRef& b) {
  if (!a || !b) return !a && !b;
  return a->uid() == b->uid() && a->resource_version() == b->resource_version();
}
}  // namespace

Gateway::Sight Gateway::sight(const RestRequest& request) const {
  Sight out;
  const std::string ns = scope_of(request);
  const cache::Informer* informer = informers_.find_covering(resource_of(request), ns);
  if (informer == nullptr) return out;
  if (!request.name.empty()) out.object = informer->store().get(ns, request.name);
  out.version = std::string(informer->resource_version());
  return out;
}

void Gateway::observe(Reconcile& reconcile, const RestRequest& request, const Answer& answer, const Sight& sight, bool dry_run) {
  if (!request.is_write()) return observe_read(reconcile, request, answer, sight);
  const kube::ObjectRef& before = sight.object;
  const bool done = answer.status >= 200 && answer.status < 300;
  if (!done || dry_run || request.verb == Verb::kDeleteCollection) return;
  const auto resource = resource_of(request);
  const std::string ns = scope_of(request);
  if (!request.subresource.empty() && request.subresource != "status") {
    // It changed the object, or not; the answer does not show it (an Eviction, a Scale).
    reconcile.live_.insert(resource);
    return reconcile.reads_.read_other();
  }
  const auto object = kube::Object::parse(answer.body);
  const bool is_object = object && (*object)->kind() != "Status" && (*object)->kind() != "Table" && !(*object)->name().empty();
  if (request.verb == Verb::kDelete) return observe_delete(reconcile, request, is_object ? *object : kube::ObjectRef(), answer.body, before);
  if (!is_object) {
    reconcile.live_.insert(resource);
    return reconcile.reads_.read_other();
  }
  const std::string name((*object)->name());
  const bool whole = (*object)->kind() != "PartialObjectMetadata";
  reconcile.reads_.wrote(resource, ns, name, before, *object);
  const MonoTime now = loop_.now();
  const auto enter = [&](const WatchedRule& rule) {
    const cache::GroupVersionResource watched(rule.group, rule.version, rule.resource);
    if (rule.group != resource.group || rule.resource != resource.resource || watched == resource) return;
    // Written in another version than the one that is cached.
    overlay_.wrote_unseen(watched, ns, name, std::string((*object)->resource_version()), now);
  };
  enter(authority_.rules().primary);
  for (const WatchedRule& rule : authority_.rules().secondary) enter(rule);
  if (informers_.find_covering(resource, ns) == nullptr) return;  // nobody reads it from a cache
  if (whole) {
    overlay_.wrote(resource, *object, now);
  } else {
    overlay_.wrote_unseen(resource, ns, name, std::string((*object)->resource_version()), now);
  }
}

// A deletion that waits for finalizers answers with the object, one that was carried out with a Status
// that names the uid, or with the object's last state.
void Gateway::observe_delete(Reconcile& reconcile, const RestRequest& request, const kube::ObjectRef& object, std::string_view body,
                             const kube::ObjectRef& before) {
  const auto resource = resource_of(request);
  const std::string ns = scope_of(request);
  reconcile.reads_.wrote(resource, ns, request.name, before, kube::ObjectRef());
  if (informers_.find_covering(resource, ns) == nullptr) return;
  const MonoTime now = loop_.now();
  if (object && object->kind() == "PartialObjectMetadata") {
    return overlay_.wrote_unseen(resource, ns, request.name, std::string(object->resource_version()), now);
  }
  if (object && object->deleting()) return overlay_.wrote(resource, object, now);
  std::string uid = object ? std::string(object->uid()) : json::text_at(body, "details.uid").value_or("");
  const bool same = before && (uid.empty() || before->uid() == uid);
  if (uid.empty() && before) uid = std::string(before->uid());
  if (uid.empty()) {
    reconcile.live_.insert(resource);
    return;
  }
  const std::string version = object ? std::string(object->resource_version()) : same ? std::string(before->resource_version()) : "";
  overlay_.deleted(resource, ns, request.name, uid, version, before, now);
}

void Gateway::observe_read(Reconcile& reconcile, const RestRequest& request, const Answer& answer, const Sight& before) {
  if (request.verb == Verb::kList) {
    if (answer.status == 200) return observe_list(reconcile, request, answer.body, before);
    return;
  }
  const auto resource = resource_of(request);
  const std::string ns = scope_of(request);
  if (!request.subresource.empty() && request.subresource != "status") return reconcile.reads_.read_other();
  const bool backed = covering(resource, ns) != nullptr;
  if (answer.status == 404) {
    reconcile.reads_.read_name(resource, ns, request.name, kube::ObjectRef(), backed);
    return compare_with_cache(reconcile, request, kube::ObjectRef(), before);
  }
  if (answer.status != 200) return;
  const auto object = kube::Object::parse(answer.body);
  if (!object || (*object)->kind() == "Table") return reconcile.reads_.read_other();
  reconcile.reads_.read_name(resource, ns, request.name, *object, backed);
  if ((*object)->kind() != "PartialObjectMetadata") compare_with_cache(reconcile, request, *object, before);
}

// An answer and the watch are two streams, and either may be ahead. What the answer shows first is kept, so that
// it is missed when no watch ever shows it; what the watch showed first came before anybody was known to have read.
void Gateway::compare_with_cache(Reconcile& reconcile, const RestRequest& request, const kube::ObjectRef& read, const Sight& before) {
  const std::string ns = scope_of(request);
  const cache::Informer* informer = informers_.find_covering(resource_of(request), ns);
  if (informer == nullptr) return;
  const kube::ObjectRef cached = informer->store().get(ns, request.name);
  if (read && overlay_.read(*informer, read, cached, loop_.now())) return;
  const bool changed = !same(cached, before.object) && !same(cached, read);
  const bool came_and_went = read && !cached && !before.object && !reached(before.version, read->resource_version());
  if (changed || came_and_went) reconcile.reads_.overtaken();
}

// Field selectors and pages hold less than the label selector says: they trigger as if they held all of
// it, and cannot be compared later.
void Gateway::observe_list(Reconcile& reconcile, const RestRequest& request, std::string_view body, const Sight& before) {
  const auto resource = resource_of(request);
  const std::string ns = scope_of(request);
  const std::string selector(request.option("labelSelector"));
  const bool valid = json::validate(body).has_value();
  const auto items = valid ? json::raw_at(body, "items") : std::nullopt;
  const std::string version = valid ? json::text_at(body, "metadata.resourceVersion").value_or("") : "";
  const bool part = request.options.contains("continue") || request.options.contains("fieldSelector") ||
                    !json::text_at(valid ? body : "{}", "metadata.continue").value_or("").empty();
  const cache::Informer* informer = informers_.find_covering(resource, ns);
  std::optional<ListDigest> digest;
  if (items && !part) digest.emplace();
  if (items) {
    json::for_each_element(*items, [&](std::string_view item) {
      const auto text = [&](const char* path) { return json::text_at(item, path).value_or(""); };
      const std::string at = text("metadata.resourceVersion");
      if (digest) digest->add(text("metadata.namespace"), text("metadata.name"), text("metadata.uid"), at);
      if (informer != nullptr && !reached(informer->resource_version(), at)) list_item_ahead(*informer, item);
    });
  }
  // A later page is of the version of the first: changes since then are news.
  reconcile.reads_.read_list(resource, ns, selector, version, digest, covering(resource, ns) != nullptr);
  // The watch went on while the answer was under way.
  const bool went_on = informer != nullptr && digest && informer->resource_version() != before.version && reached(informer->resource_version(), version);
  const auto selects = kube::LabelSelector::parse(selector);
  if (went_on && selects && digest_of(*informer, ns, *selects) != *digest) reconcile.reads_.overtaken();
}

// Of a list's items those that the cache has not reached.
void Gateway::list_item_ahead(const cache::Informer& informer, std::string_view item) {
  const auto object = kube::Object::parse(item);
  if (!object || (*object)->name().empty() || (*object)->kind() == "PartialObjectMetadata") return;
  overlay_.read(informer, *object, informer.store().get((*object)->ns(), (*object)->name()), loop_.now());
}

}  // namespace gs::gateway
