#include "apiserver/rest_handler.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/authorization/write_guard.h"
#include "apiserver/discovery.h"
#include "apiserver/impersonation.h"
#include "apiserver/protobuf.h"
#include "apiserver/request_reader.h"
#include "apiserver/respond.h"
#include "apiserver/reviews.h"
#include "apiserver/version_view.h"
#include "base/strings.h"
#include "json/yaml.h"

namespace gs::apiserver {
namespace {

using gateway::PatchType;
using gateway::Verb;

constexpr size_t kMaxBody = 3 * 1024 * 1024;  // k8s.io/apiserver's limit
constexpr Duration kBodyTime = std::chrono::seconds(60);
constexpr Duration kSendTime = std::chrono::minutes(1);  // for a part of an answer
// How long an answer is withheld that never comes; longer than clients wait.
constexpr Duration kNeverAnswered = std::chrono::minutes(5);

Answer planned(const RequestFault& fault) {
  switch (fault.status) {
    case 429: {
      Answer answer = failure(429, "TooManyRequests", "Too many requests, please try again later.", fmt::format(R"({{"retryAfterSeconds":{}}})", fault.retry_after));
      answer.retry_after = fault.retry_after;
      return answer;
    }
    case 504: return too_large_version(2, 1);
    case 410: return expired("The provided continue parameter or resource version is too old.");
    case 400: return failure(422, "Invalid", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
    default: return failure(fault.status, fault.status == 503 ? "ServiceUnavailable" : "InternalError", "the server is currently unable to handle the request");
  }
}

Answer unsupported_media_type(std::string_view accepted) {
  return failure(415, "UnsupportedMediaType", fmt::format("the body of the request was in an unknown format - accepted media types include: {}", accepted));
}

std::string_view media_type(std::string_view content_type) { return trim(content_type.substr(0, content_type.find(';'))); }

bool is_deletion(const RestRequest& request) { return request.verb == Verb::kDelete || request.verb == Verb::kDeleteCollection; }

// The body as JSON, of whatever the client sent it in.
Checked<std::string> json_body(const ResourceType& resource, const RestRequest& request, std::string body, std::string_view content_type) {
  const std::string_view type = media_type(content_type);
  if (request.verb == Verb::kPatch || type.empty() || type == "application/json") return body;
  const bool needed = request.verb == Verb::kCreate || request.verb == Verb::kUpdate;
  if (!needed && !is_deletion(request)) return body;
  if (body.empty() && (type != kProtobuf || !needed)) return body;
  // A custom resource has no protobuf; the options of its deletion and its scale do.
  const bool custom = resource.custom && !is_deletion(request) && request.subresource != "scale";
  if (type == kProtobuf && !custom) return protobuf_body(resource, request, body);
  if (type != "application/yaml") {
    return refuse(unsupported_media_type(custom ? "application/json, application/yaml" : "application/json, application/yaml, application/vnd.kubernetes.protobuf"));
  }
  const auto documents = json::parse_yaml(body);
  if (!documents) return refuse(bad_request("error converting YAML to JSON: " + documents.error().message));
  if (documents->size() != 1) return refuse(bad_request("error converting YAML to JSON: one document is needed"));
  return documents->front().dump();
}

// /api/VERSION/... or /apis/GROUP/VERSION/...: no document of the server is that deep.
bool is_resource_path(std::string_view path) {
  const auto slashes = std::count(path.begin(), path.end(), '/');
  return (path.starts_with("/api/") && slashes >= 3 && !path.ends_with('/')) || (path.starts_with("/apis/") && slashes >= 4 && !path.ends_with('/'));
}

std::string header(const net::HttpRequest& request, std::string_view name) {
  const std::string* found = net::find_header(request.headers, name);
  return found != nullptr ? *found : "";
}

}  // namespace

RestHandler::RestHandler(Loop& loop, ResourceTable& table, Store& store, WatchOptions watches)
    : loop_(loop), table_(table), store_(store), registry_(loop, table, store), lister_(loop, store), watches_(loop, store, watches) {}

Checked<UserInfo> RestHandler::authenticate(net::HttpExchange& exchange) const {
  if (authenticator_ != nullptr) return authenticator_->authenticate(exchange.request(), exchange.client_certificate_subject(), service_accounts_);
  const std::string* header = net::find_header(exchange.request().headers, "authorization");
  const bool known = tokens_.empty() || (header != nullptr && header->starts_with("Bearer ") && tokens_.contains(header->substr(7)));
  if (!known) return refuse(failure(401, "Unauthorized", "Unauthorized"));
  return UserInfo();
}

Checked<UserInfo> RestHandler::admit(net::HttpExchange& exchange) const {
  Checked<UserInfo> user = authenticate(exchange);
  if (!user || authenticator_ == nullptr) return user;
  user = impersonate(exchange.request(), *std::move(user), authorizer_);
  if (!user) return user;
  if (std::optional<Answer> refusal = refuses(*user, exchange.request().method, exchange.request().target)) return refuse(*std::move(refusal));
  return user;
}

std::optional<Answer> RestHandler::refuses(const UserInfo& user, std::string_view method, std::string_view target) const {
  if (authorizer_ == nullptr) return std::nullopt;
  const Attributes asked = attributes_of(method, target);
  const Decision decision = authorizer_->authorize(user, asked);
  if (decision.allowed) return std::nullopt;
  return access_denied(user, asked, decision.reason);
}

Task<void> RestHandler::handle(net::HttpExchange& exchange) {
  ++stats_.requests;
  const net::HttpRequest& http = exchange.request();
  const std::string_view target = http.target;
  const size_t mark = target.find('?');
  const std::string_view path = target.substr(0, mark), query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  const std::string* accept = net::find_header(http.headers, "accept");
  const Representation errors = negotiate_errors(accept);
  const auto fail = [&](const Answer& answer) { respond(exchange, negotiated(answer, errors), loop_.random()); };
  const Checked<UserInfo> user = admit(exchange);
  if (!user) {
    if (user.error().status == 401) ++stats_.unauthorized;
    co_return fail(user.error());
  }
  if (!is_resource_path(path)) {
    if (const auto answer = health(path, query, store_.health())) co_return respond(exchange, *answer, loop_.random());
    if (const auto document = discovery(table_, http, path)) co_return respond(exchange, http.method == "GET" || http.method == "HEAD" ? *document : method_not_allowed(), loop_.random());
  }
  Checked<Route> found = route(http.method, target, header(http, "content-type"));
  if (!found) co_return fail(found.error());
  Checked<Representation> as = negotiate(accept, *found->type, found->request);
  if (!as) co_return fail(as.error());
  const RequestFault fault = faults_->on_request(found->request);
  if (fault.delay > Duration::zero()) {
    co_await sleep_for(loop_, fault.delay);
  }
  if (fault.status != 0) co_return fail(planned(fault));
  Route taken = *std::move(found);
  taken.user = *user;
  Representation representation = *std::move(as);
  co_await serve(exchange, std::move(taken), std::move(representation), fault);
}

Checked<RestHandler::Route> RestHandler::route(std::string_view method, std::string_view target, std::string_view content_type) const {
  const size_t mark = target.find('?');
  Checked<RestRequest> request = read_request(method, target.substr(0, mark), mark == std::string_view::npos ? "" : target.substr(mark + 1), content_type);
  if (!request) return refuse(std::move(request).error());
  Route out;
  out.request = *std::move(request);
  out.type = table_.find(out.request.group, out.request.version, out.request.resource);
  if (!out.type) {
    return refuse(of_kubernetes(table_, out.request.group) ? no_such_resource() : page_not_found());
  }
  if (Answer answer = check_served(*out.type, out.request); answer.status != 200) return refuse(std::move(answer));
  return out;
}

Answer RestHandler::check_served(const ResourceType& type, const RestRequest& request) const {
  const bool in_namespace = !request.ns.empty() && !is_namespace(type);
  if (is_namespace(type) && !request.ns.empty() && request.ns != request.name) return no_such_resource();
  if (request.name.find('/') != std::string::npos) return no_such_resource();
  if (request.name == "." || request.name == "..") return bad_request(fmt::format("Name parameter invalid: \"{}\": may not be '{}'", request.name, request.name));
  const bool across = request.verb == Verb::kList || request.verb == Verb::kWatch;
  if (type.namespaced != in_namespace && !(type.namespaced && across)) {
    if (type.custom) return page_not_found();
    return type.namespaced && request.name.empty() ? method_not_allowed() : no_such_resource();
  }
  if (!request.subresource.empty()) {
    const Subresource* known = type.subresource(request.subresource);
    if (!Registry::has_subresource(type, request.subresource)) return no_such_resource();
    const std::string_view verb = gateway::verb_name(request.verb);
    if (known != nullptr && std::find(known->verbs.begin(), known->verbs.end(), verb) == known->verbs.end()) return method_not_allowed();
    // Connections: there is no node behind this server.
    const bool token = request.subresource == "token" && service_accounts_ != nullptr;
    if (known != nullptr && !token && known->kind != type.kind && known->kind != "Scale" && request.subresource != "binding" && request.subresource != "eviction") {
      return failure(501, "NotImplemented", fmt::format("{}/{} is not served by this server", type.resource, request.subresource));
    }
  } else if (!type.serves(gateway::verb_name(request.verb))) {
    return method_not_allowed();
  }
  if (request.verb == Verb::kPatch) {
    const bool known = request.patch != PatchType::kNone && !(type.custom && request.patch == PatchType::kStrategicMerge);
    // Of built-in types go-restful says it, before Kubernetes looks.
    if (!known && !type.custom) return failure(415, "UnsupportedMediaType", "415: Unsupported Media Type", "{}");
    if (!known) return unsupported_media_type("application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
  }
  std::optional<Answer> refusal;
  if (across || request.verb == Verb::kDeleteCollection) refusal = check_list_options(request);
  if (request.verb == Verb::kCreate || request.verb == Verb::kUpdate || request.verb == Verb::kPatch) refusal = check_write_options(request);
  return refusal ? *std::move(refusal) : Answer();
}

Task<void> RestHandler::serve(net::HttpExchange& exchange, Route route, Representation as, RequestFault fault) {
  if (route.request.verb == Verb::kWatch) {
    ++stats_.watches;
    const WatchFault watch_fault = faults_->on_watch();
    co_return co_await watches_.serve(exchange, std::move(route.type), std::move(route.request), std::move(as), watch_fault, clients_);
  }
  const auto fail = [&](const Answer& answer) { respond(exchange, negotiated(answer, as), loop_.random()); };
  auto body = co_await exchange.read_all(kMaxBody, saturating_add(loop_.now(), kBodyTime));
  if (!body && body.error().code == Code::kTooLarge) {
    co_return fail(failure(413, "RequestEntityTooLarge", fmt::format("Request entity too large: limit is {}", kMaxBody)));
  }
  if (!body) co_return;  // the client is gone
  const bool write = route.request.is_write();
  if (write) {
    const Status writable = co_await store_.writable();
    if (!writable) co_return fail(failure(500, "InternalError", writable.error().message));
  }
  const Checked<std::string> json = json_body(*route.type, route.request, *std::move(body), header(exchange.request(), "content-type"));
  std::optional<conversion::Memo> memo;
  if (clients_ != nullptr && route.type->asks_webhook()) memo.emplace(loop_, *clients_);
  Answer answer;
  if (!json) {
    answer = json.error();
  } else if (memo || (write && admission_ != nullptr && admission_->any())) {
    auto serving = serve_in_steps(route, as, *json, fault, memo ? &*memo : nullptr);
    answer = co_await std::move(serving);
  } else {
    answer = serve_user(route, as, *json, fault);
  }
  // Nobody is told what a crash could take back; of a read this is the state it saw.
  const Status durable = co_await store_.durable(store_.version());
  if (!durable) answer = failure(500, "InternalError", durable.error().message);
  if (write) {
    ++stats_.writes;
    if (observer_ != nullptr) observer_->served(route.request, answer);
  }
  if (fault.answer == RequestFault::Answer::kNever) {
    co_await sleep_for(loop_, kNeverAnswered);
    co_return;
  }
  if (fault.answer == RequestFault::Answer::kCut) {
    exchange.start(net::HttpHead(answer.status));
    co_return;
  }
  if (!answer.more) co_return respond(exchange, negotiated(std::move(answer), as), loop_.random());
  co_await send_parts(exchange, std::move(answer), route.type->converter, memo ? &*memo : nullptr);
}

Task<void> RestHandler::send_parts(net::HttpExchange& exchange, Answer answer, conversion::ConverterPtr converter, conversion::Memo* memo) {
  exchange.start(head_of(answer, exchange.request(), loop_.random()));
  std::string part = std::move(answer.body);
  const auto next = [&] {
    const conversion::Converting converting(converter, memo);
    return answer.more->next(part);
  };
  for (bool more = true; true; more = next()) {
    const Status sent = co_await exchange.write(std::exchange(part, {}), saturating_add(loop_.now(), kSendTime));
    if (!sent) co_return;  // the client is gone, or takes nothing
    if (!more) co_return exchange.finish();
  }
}

Answer RestHandler::act_as_user(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault) {
  if (authorizer_ == nullptr) return act(route, as, body, fault);
  const WriteGuard guard(*authorizer_, route.user);
  const Registry::Guarded guarded(registry_, &guard);
  return act(route, as, body, fault);
}

Answer RestHandler::serve_user(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault) { return present(route, as, act_as_user(route, as, body, fault)); }

Answer RestHandler::serve_now(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault) { return present(route, as, act(route, as, body, fault)); }

Answer RestHandler::act(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault) {
  const ResourceType& type = *route.type;
  Answer answer;
  if (route.request.verb == Verb::kGet) {
    answer = route.request.subresource == "scale" ? registry_.scale(type, route.request)
             : route.request.subresource == "log" ? registry_.log(type, route.request)
                                                  : lister_.get(type, route.request, as);
  } else if (route.request.verb == Verb::kList) {
    answer = lister_.list(type, route.request, as, fault.stale_by);
  } else {
    answer = write(route, body);
  }
  return answer;
}

Answer RestHandler::present(const Route& route, const Representation& as, Answer answer) {
  const ResourceType& type = *route.type;
  if (route.request.verb == Verb::kList) ++stats_.lists;
  if (answer.written) answer.body = shown_text(type, *answer.written);
  if (route.request.is_write() && answer.is_object && answer.status < 300 && as.kind != Representation::Kind::kObject) {
    Presenter presenter(type, as, loop_.wall_now());
    if (auto refusal = presenter.refuses(false)) return *std::move(refusal);
    const std::string whole = std::exchange(answer.body, {});
    presenter.object(whole, answer.body);
  }
  if (type.deprecated && answer.status < 400) answer.warnings.insert(answer.warnings.begin(), type.deprecation_warning);
  return answer;
}

void RestHandler::set_webhook_clients(admission::WebhookClients& clients) {
  clients_ = &clients;
  admission_ = std::make_unique<admission::Admission>(loop_, table_, store_, clients);
  registry_.add_follower(admission_->configurations());
}

// The step is run until nothing in it is left to be decided: each time on the state of then, so that nothing is held while
// webhooks are asked, and what they said of another state counts for nothing.
Task<Answer> RestHandler::act_in_steps(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault, conversion::Memo* memo) {
  std::optional<admission::RequestGate> gate;
  // Also where no webhook is to be asked: it keeps what a step makes up, which a conversion is of.
  if (route.request.is_write()) gate.emplace(admission_->dispatcher(), route.user);
  const MonoTime deadline = saturating_add(loop_.now(), admission::Admission::kRequestTime);
  Answer answer;
  while (true) {
    {
      const conversion::Converting converting(route.type->converter, memo);
      const Registry::Admitting admitting(registry_, gate ? &*gate : nullptr);
      answer = act_as_user(route, as, body, fault);
    }
    const bool unconverted = memo != nullptr && memo->missing();
    if (!unconverted && !admission::is_undecided(answer)) break;
    if (loop_.now() >= deadline) {
      answer = failure(504, "Timeout", "Timeout: request did not complete within requested timeout", "{}");
      break;
    }
    if (unconverted) {
      auto converting = memo->convert(route.type->converter);
      std::optional<Answer> failed = co_await std::move(converting);
      if (failed) co_return *std::move(failed);
      continue;
    }
    auto deciding = gate->decide(deadline);
    co_await std::move(deciding);
  }
  if (!gate) co_return answer;
  for (const std::string& warning : gate->warnings()) {
    if (std::find(answer.warnings.begin(), answer.warnings.end(), warning) == answer.warnings.end()) answer.warnings.push_back(warning);
  }
  co_return answer;
}

Task<Answer> RestHandler::serve_in_steps(const Route& route, const Representation& as, std::string_view body, const RequestFault& fault, conversion::Memo* memo) {
  auto acting = act_in_steps(route, as, body, fault, memo);
  const Answer done = co_await std::move(acting);
  while (true) {
    Answer shown;
    {
      const conversion::Converting converting(route.type->converter, memo);
      shown = present(route, as, done);
    }
    if (memo == nullptr || !memo->missing()) co_return shown;
    // It was written, and is told from what is stored.
    auto converting = memo->convert(route.type->converter);
    std::optional<Answer> failed = co_await std::move(converting);
    if (failed) co_return *std::move(failed);
  }
}

Answer RestHandler::ask_review(const Route& route, std::string_view body) const {
  auto object = json::parse(body);
  if (!object || !object->is_object()) return bad_request("the body is not a JSON object");
  return review(*route.type, *std::move(object), ReviewContext{route.user, authenticator_, authorizer_, route.request.ns, service_accounts_}, loop_.wall_now());
}

Answer RestHandler::write(const Route& route, std::string_view body) {
  const bool token = service_accounts_ != nullptr && route.request.verb == Verb::kCreate && route.request.subresource == "token";
  if (token) return service_accounts_->issue(*route.type, route.request, body);
  switch (route.request.verb) {
    case Verb::kCreate: return route.type->stored ? registry_.create(*route.type, route.request, body) : ask_review(route, body);
    case Verb::kUpdate: return registry_.update(*route.type, route.request, body);
    case Verb::kPatch: return registry_.patch(*route.type, route.request, body);
    case Verb::kDelete: return registry_.remove(*route.type, route.request, body);
    case Verb::kDeleteCollection: return registry_.remove_collection(*route.type, route.request, body);
    default: return method_not_allowed();
  }
}

Answer RestHandler::ask(std::string_view method, std::string_view target, const std::string& body, std::string_view content_type, const UserInfo* user) {
  if (user != nullptr) {
    if (std::optional<Answer> refusal = refuses(*user, method, target)) return *std::move(refusal);
  }
  Checked<Route> found = route(method, target, content_type);
  if (!found) return found.error();
  const Checked<Representation> as = negotiate(nullptr, *found->type, found->request);
  const Checked<std::string> json = json_body(*found->type, found->request, body, content_type);
  if (!json) return json.error();
  if (user != nullptr) found->user = *user;
  Answer answer = user != nullptr ? serve_user(*found, *as, *json, {}) : serve_now(*found, *as, *json, {});
  while (answer.more) {
    if (!answer.more->next(answer.body)) answer.more.reset();
  }
  return answer;
}

}  // namespace gs::apiserver
