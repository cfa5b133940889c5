#include "apiserver/impersonation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "gateway/rest_request.h"
#include "schema/go_text.h"
#include "schema/names.h"

namespace gs::apiserver {
namespace {

using Refusal = std::optional<Answer>;

constexpr std::string_view kExtraPrefix = "impersonate-extra-";
constexpr std::string_view kNodePrefix = "system:node:";

// Namespace and name of "system:serviceaccount:NAMESPACE:NAME".
std::optional<std::pair<std::string, std::string>> service_account_of(std::string_view name) {
  constexpr std::string_view kPrefix = "system:serviceaccount:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::vector<std::string_view> parts = split(name.substr(kPrefix.size()), ':');
  if (parts.size() != 2 || !schema::dns1123_label(parts[0]).empty() || !schema::dns1123_subdomain(parts[1]).empty()) return std::nullopt;
  return std::pair(std::string(parts[0]), std::string(parts[1]));
}

bool is_node(std::string_view name) { return name.starts_with(kNodePrefix) && name.size() > kNodePrefix.size(); }

// One way of being allowed to: `verb` is asked of each part. Those with a mode are constrained: the request itself is
// asked of too, as impersonate-on:MODE:VERB.
struct Mode {
  std::string name;  // empty: the plain verb
  std::string verb() const { return name.empty() ? "impersonate" : "impersonate:" + name; }
};

class Check {
 public:
  Check(const Authorizer& authorizer, const UserInfo& requestor, const UserInfo& wanted, const Attributes& request)
      : authorizer_(authorizer), requestor_(requestor), wanted_(wanted), request_(request) {}

  Refusal refuses(const Mode& mode) const {
    if (!mode.name.empty()) {
      Attributes on = request_;
      on.verb = fmt::format("impersonate-on:{}:{}", mode.name, request_.verb);
      if (Refusal refusal = ask(on)) return refusal;
    }
    for (const Attributes& part : parts(mode)) {
      if (!mode.name.empty() && part.resource == "groups") {
        if (part.name.empty()) return access_denied(requestor_, part, "impersonating the empty string group is not allowed");
        if (part.name == kMasters) return access_denied(requestor_, part, "impersonating the system:masters group is not allowed");
      }
      if (Refusal refusal = ask(part)) return refusal;
    }
    return std::nullopt;
  }

 private:
  static Attributes part(const Mode& mode, const char* group, const char* resource, const std::string& name) {
    Attributes out;
    out.resource_request = true;
    out.verb = mode.verb();
    out.group = group;
    out.version = "v1";
    out.resource = resource;
    out.name = name;
    return out;
  }

  Attributes username(const Mode& mode, const char* group) const {
    Attributes out = part(mode, group, "users", wanted_.name);
    if (const auto account = service_account_of(wanted_.name)) {
      out.resource = "serviceaccounts";
      out.ns = account->first;
      out.name = account->second;
    } else if (!mode.name.empty() && is_node(wanted_.name)) {
      out.resource = "nodes";
      out.name = wanted_.name.substr(kNodePrefix.size());
    }
    return out;
  }

  // In the order in which Kubernetes asks.
  std::vector<Attributes> parts(const Mode& mode) const {
    constexpr const char* kAuthentication = "authentication.k8s.io";
    const char* group = mode.name.empty() ? "" : kAuthentication;
    std::vector<Attributes> out{username(mode, group)};
    if (!wanted_.uid.empty()) out.push_back(part(mode, kAuthentication, "uids", wanted_.uid));
    for (const std::string& name : wanted_.groups) out.push_back(part(mode, group, "groups", name));
    for (const auto& [key, values] : wanted_.extra) {
      for (const std::string& value : values) {
        out.push_back(part(mode, kAuthentication, "userextras", value));
        out.back().subresource = key;
      }
    }
    return out;
  }

  Refusal ask(const Attributes& asked) const {
    const Decision decision = authorizer_.authorize(requestor_, asked);
    if (decision.allowed) return std::nullopt;
    return access_denied(requestor_, asked, decision.reason);
  }

  const Authorizer& authorizer_;
  const UserInfo& requestor_;
  const UserInfo& wanted_;
  const Attributes& request_;
};

// The ways that apply to whom is wanted, the narrower first.
std::vector<Mode> modes_for(const UserInfo& wanted) {
  const bool only_name = wanted.uid.empty() && wanted.groups.empty() && wanted.extra.empty();
  const bool node = is_node(wanted.name), account = service_account_of(wanted.name).has_value();
  std::vector<Mode> out;
  if (only_name && node) out.push_back({"arbitrary-node"});
  if (only_name && account) out.push_back({"serviceaccount"});
  if (!node && !account) out.push_back({"user-info"});
  out.push_back({});
  return out;
}

// What the headers say, as they say it; nullopt: nothing.
std::optional<UserInfo> wanted_user(const net::HttpRequest& request) {
  UserInfo out;
  bool any = false;
  for (const net::Header& header : request.headers) {
    if (!header.name.starts_with("impersonate-")) continue;
    if (header.name == "impersonate-user") {
      if (out.name.empty()) out.name = header.value;
    } else if (header.name == "impersonate-uid") {
      if (out.uid.empty()) out.uid = header.value;
    } else if (header.name == "impersonate-group") {
      out.groups.push_back(header.value);
    } else if (header.name.starts_with(kExtraPrefix)) {
      const std::string key = header.name.substr(kExtraPrefix.size());
      out.extra[percent_decode(key, false).value_or(key)].push_back(header.value);
    } else {
      continue;
    }
    any = true;
  }
  if (!any) return std::nullopt;
  return out;
}

// What Kubernetes adds, as authentication adds it.
void complete(UserInfo& user, const Mode& mode) {
  if (const auto account = service_account_of(user.name); account && user.groups.empty()) {
    user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + account->first};
  }
  if (mode.name == "arbitrary-node") user.groups = {"system:nodes"};
  if (user.anonymous()) user.ensure_group(kUnauthenticated);
  else if (!user.in_group(kUnauthenticated)) user.ensure_group(kAuthenticated);
}

// Go's %#v.
std::string as_go(const std::vector<std::string>& texts) {
  if (texts.empty()) return "[]string(nil)";
  std::vector<std::string> all;
  all.reserve(texts.size());
  for (const std::string& text : texts) all.push_back(schema::quoted(text));
  return fmt::format("[]string{{{}}}", fmt::join(all, ", "));
}

std::string as_go(const UserInfo& user) {
  std::vector<std::string> extra;
  extra.reserve(user.extra.size());
  for (const auto& [key, values] : user.extra) extra.push_back(fmt::format("{}:{}", schema::quoted(key), as_go(values)));
  const std::string of_extra = extra.empty() ? "(nil)" : fmt::format("{{{}}}", fmt::join(extra, ", "));
  return fmt::format("&user.DefaultInfo{{Name:\"\", UID:{}, Groups:{}, Extra:map[string][]string{}}}", schema::quoted(user.uid), as_go(user.groups), of_extra);
}

}  // namespace

Checked<UserInfo> impersonate(const net::HttpRequest& request, UserInfo requestor, const Authorizer* authorizer) {
  std::optional<UserInfo> wanted = wanted_user(request);
  if (!wanted) return requestor;
  if (wanted->name.empty()) {
    // An empty name by itself is none.
    if (wanted->uid.empty() && wanted->groups.empty() && wanted->extra.empty()) return requestor;
    return refuse(bad_request(fmt::format("requested {} without impersonating a user name", as_go(*wanted))));
  }
  const Attributes asked = attributes_of(request.method, request.target);
  Refusal first;
  for (const Mode& mode : modes_for(*wanted)) {
    Refusal refusal = authorizer != nullptr ? Check(*authorizer, requestor, *wanted, asked).refuses(mode) : std::nullopt;
    if (!refusal) {
      complete(*wanted, mode);
      return *std::move(wanted);
    }
    if (!first) first = std::move(refusal);
  }
  return refuse(*std::move(first));
}

}  // namespace gs::apiserver
