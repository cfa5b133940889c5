#include "apiserver/authenticator.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace gs::apiserver {
namespace {

constexpr std::string_view kBearer = "bearer ";
constexpr size_t kTokenColumns = 3;

UserInfo authenticated(UserInfo user) {
  user.ensure_group(kAuthenticated);
  return user;
}

// One line of RFC 4180's CSV. nullopt: a quote is out of place.
std::optional<std::vector<std::string>> csv_fields(std::string_view line) {
  std::vector<std::string> out;
  size_t at = 0;
  while (true) {
    std::string field;
    if (at < line.size() && line[at] == '"') {
      for (++at;; ++at) {
        if (at >= line.size()) return std::nullopt;
        if (line[at] != '"') {
          field += line[at];
        } else if (at + 1 < line.size() && line[at + 1] == '"') {
          field += line[at++];
        } else {
          break;
        }
      }
      if (++at < line.size() && line[at] != ',') return std::nullopt;
    } else {
      const size_t end = std::min(line.find(',', at), line.size());
      field = line.substr(at, end - at);
      if (field.find('"') != std::string::npos) return std::nullopt;
      at = end;
    }
    out.push_back(std::move(field));
    if (at >= line.size()) return out;
    ++at;
  }
}

// The token of an Authorization header; nullopt: it is of another kind.
std::optional<std::string_view> bearer_token(std::string_view header) {
  if (header.size() < kBearer.size() || !equals_ignore_case(header.substr(0, kBearer.size()), kBearer)) return std::nullopt;
  return trim(header.substr(kBearer.size()));
}

Answer unauthorized() { return failure(401, "Unauthorized", "Unauthorized"); }

}  // namespace

bool UserInfo::in_group(const std::string& group) const { return std::find(groups.begin(), groups.end(), group) != groups.end(); }

void UserInfo::ensure_group(const std::string& group) {
  if (!in_group(group)) groups.push_back(group);
}

Status Authenticator::add_token_file(std::string_view csv) {
  size_t number = 0;
  for (std::string_view line : split(csv, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const auto fields = csv_fields(line);
    if (!fields) return fail(Code::kInvalid, "line {}: a quote is out of place", number);
    if (fields->size() < kTokenColumns) {
      return fail(Code::kInvalid, "line {}: must have at least 3 columns (token, user name, user uid), found {}", number, fields->size());
    }
    UserInfo user;
    user.name = (*fields)[1];
    user.uid = (*fields)[2];
    if ((*fields)[0].empty() || user.name.empty()) return fail(Code::kInvalid, "line {}: the {} is empty", number, user.name.empty() ? "user name" : "token");
    if (fields->size() > kTokenColumns) {
      for (const std::string_view group : split((*fields)[3], ',')) {
        if (!trim(group).empty()) user.groups.emplace_back(trim(group));
      }
    }
    add_token((*fields)[0], std::move(user));
  }
  return ok();
}

void Authenticator::add_token(std::string_view token, UserInfo user) { tokens_.insert_or_assign(sha256_hex(token), std::move(user)); }

TokenAnswer Authenticator::user_of_token(std::string_view token, const TokenSource* more, const std::vector<std::string>& audiences) const {
  TokenAnswer out;
  if (const auto found = tokens_.find(sha256_hex(token)); found != tokens_.end()) {
    // A file knows no audiences: its tokens are meant for the server.
    const std::vector<std::string> own = more != nullptr ? more->api_audiences() : std::vector<std::string>();
    for (const std::string& audience : audiences.empty() ? own : audiences) {
      if (std::find(own.begin(), own.end(), audience) != own.end()) out.audiences.push_back(audience);
    }
    if (audiences.empty() || !out.audiences.empty()) out.user = found->second;
  } else if (more != nullptr) {
    out = more->authenticate(token, audiences);
    if (!out.error.empty()) out.error = fmt::format("[invalid bearer token, {}]", out.error);
  }
  if (out.user) out.user = authenticated(*std::move(out.user));
  else if (out.error.empty()) out.error = "invalid bearer token";
  return out;
}

Checked<UserInfo> Authenticator::authenticate(const net::HttpRequest& request, const std::vector<std::string>& subject, const TokenSource* more) const {
  if (!subject.empty() && !subject.front().empty()) {
    UserInfo user;
    user.name = subject.front();
    user.groups.assign(subject.begin() + 1, subject.end());
    return authenticated(std::move(user));
  }
  if (const std::string* header = net::find_header(request.headers, "authorization"); header != nullptr && !header->empty()) {
    const auto token = bearer_token(*header);
    auto user = token ? user_of_token(*token, more).user : std::optional<UserInfo>();
    if (user) return *std::move(user);
    return refuse(unauthorized());
  }
  // As in Kubernetes: credentials that are refused are not the same as none.
  if (!subject.empty()) return refuse(unauthorized());
  if (!anybody_ && !is_public_path(std::string_view(request.target).substr(0, request.target.find('?')))) return refuse(unauthorized());
  UserInfo nobody;
  nobody.name = "system:anonymous";
  nobody.groups.emplace_back(kUnauthenticated);
  return nobody;
}

bool is_public_path(std::string_view path) {
  for (const std::string_view probe : {"/healthz", "/livez", "/readyz", "/version"}) {
    if (path == probe || (path.starts_with(probe) && path[probe.size()] == '/')) return true;
  }
  return false;
}

}  // namespace gs::apiserver
