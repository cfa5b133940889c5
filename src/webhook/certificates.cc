#include "webhook/certificates.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "json/value.h"

namespace gs::webhook {
namespace {

using json::Value;

constexpr size_t kKeyBytes = 32;
constexpr size_t kPrefixBytes = 20;
constexpr size_t kIdBytes = 5;
constexpr int64_t kFormat = 1;

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// One step's work: the state as it becomes, and what was done to it.
class Stepper {
 public:
  Stepper(const CertificateState& state, const StepInput& in) : state_(state), in_(in) {}

  Result<Step> run() {
    if (in_.own_certificates) {
      GS_TRY_STATUS(authorities());
      GS_TRY_STATUS(serving());
    }
    keys();
    if (changed_) {
      state_.revision = revision();
      step_.next = std::move(state_);
    }
    return std::move(step_);
  }

 private:
  // Of the state that this step makes.
  uint64_t revision() const { return before_ + 1; }
  void did(std::string what) {
    changed_ = true;
    step_.did.push_back(std::move(what));
  }
  bool asked(Rotation what) const { return in_.rotate == what; }
  // Whether all configurations carry what was published with `revision`, and for how long. Noted once.
  bool carried_for(std::optional<WallTime>& since, uint64_t revision, Duration needed) {
    if (!in_.carried) return false;  // a cluster that is not known yet; what is known of the others stays
    if (*in_.carried < revision) {
      // Somebody took it back: it is counted again from when all have it.
      if (since) changed_ = true;
      since.reset();
      return false;
    }
    if (!since) {
      since = in_.now;
      changed_ = true;
    }
    return in_.now - *since >= needed;
  }

  Status authorities() {
    std::vector<Authority>& all = state_.authorities;
    const bool rotating = all.size() > 1;
    const bool due = !all.empty() && all.back().not_after - in_.now < kAuthorityRenew;
    if (all.empty() || ((asked(Rotation::kAuthority) || due) && !rotating)) {
      Authority made;
      made.id = hex(random_bytes(kIdBytes));
      made.not_after = in_.now + kAuthorityLife;
      made.revision = revision();
      GS_TRY(made.pair, make_authority("gulfstream-webhook-ca-" + made.id, in_.now - kBackdate, made.not_after));
      did("made authority " + made.id);
      all.push_back(std::move(made));
    }
    return ok();
  }

  // The authority that signs: the newest, once its certificate is everywhere.
  const Authority& signer() {
    std::vector<Authority>& all = state_.authorities;
    Authority& newest = all.back();
    const bool first = all.size() == 1;
    if (first || state_.signer == newest.id || carried_for(newest.carried_at, newest.revision, kSettle)) return newest;
    step_.waiting = "every configuration to carry the new authority " + newest.id;
    return all[all.size() - 2];
  }

  Status serving() {
    const Authority& by = signer();
    const bool missing = !std::includes(state_.names.begin(), state_.names.end(), in_.names.begin(), in_.names.end());
    const bool old = in_.now >= state_.serving_not_before + (state_.serving_not_after - state_.serving_not_before) * 2 / 3;
    if (state_.serving.certificate.empty() || by.id != state_.signer || missing || old || asked(Rotation::kServing)) {
      std::set<std::string> names;
      for (const std::string& name : in_.names) {
        if (names.size() < kMaxNames) names.insert(name);
      }
      const WallTime not_before = in_.now - kBackdate;
      const WallTime not_after = std::min(in_.now + kServingLife, by.not_after);
      GS_TRY(state_.serving, make_serving(by.pair, names, not_before, not_after));
      state_.serving_not_before = not_before;
      state_.serving_not_after = not_after;
      state_.serving_made = in_.now;
      state_.signer = by.id;
      state_.names = std::move(names);
      did(fmt::format("made a serving certificate by authority {} for {} names", by.id, state_.names.size()));
      return ok();
    }
    if (state_.authorities.size() == 1 || state_.signer != state_.authorities.back().id) return ok();
    if (in_.now - state_.serving_made < kRetire) {
      step_.waiting = "replicas to serve with the new authority";
      return ok();
    }
    for (size_t i = 0; i + 1 < state_.authorities.size(); ++i) did("dropped authority " + state_.authorities[i].id);
    state_.authorities.erase(state_.authorities.begin(), state_.authorities.end() - 1);
    return ok();
  }

  void keys() {
    std::vector<PrefixKey>& all = state_.keys;
    if (all.empty() || (asked(Rotation::kPrefix) && all.size() == 1)) {
      PrefixKey made;
      made.id = hex(random_bytes(kIdBytes));
      made.key = random_bytes(kKeyBytes);
      made.made = in_.now;
      made.revision = all.empty() ? revision() : 0;
      did("made prefix key " + made.id);
      all.push_back(std::move(made));
      return;
    }
    if (all.size() == 1) return;
    PrefixKey& newest = all.back();
    if (newest.revision == 0) {
      step_.waiting = "replicas to accept the new prefix key";
      if (in_.now - newest.made < kPropagation) return;
      newest.revision = revision();
      did("paths are made with prefix key " + newest.id);
      return;
    }
    if (!carried_for(newest.carried_at, newest.revision, kRetire)) {
      step_.waiting = "every configuration to carry a path of the new prefix key " + newest.id;
      return;
    }
    for (size_t i = 0; i + 1 < all.size(); ++i) did("dropped prefix key " + all[i].id);
    all.erase(all.begin(), all.end() - 1);
  }

  CertificateState state_;
  const StepInput& in_;
  const uint64_t before_ = state_.revision;
  Step step_;
  bool changed_ = false;
};

Value time_value(const std::optional<WallTime>& time) { return time ? Value(format_rfc3339(*time)) : Value(); }

// Reads members; the first error is kept, with the path.
class StateReader {
 public:
  explicit StateReader(const Value& value, std::string path = {}) : value_(value), path_(std::move(path)) {}
  const std::optional<Error>& error() const { return error_; }
  const Value& value() const { return value_; }
  std::string at(std::string_view member) const { return path_.empty() ? std::string(member) : path_ + "." + std::string(member); }
  void refuse(std::string_view member, std::string_view what) {
    if (!error_) error_ = Error(Code::kInvalid, fmt::format("{}: {}", at(member), what));
  }
  std::string text(std::string_view member) {
    const Value* found = value_.find(member);
    if (found == nullptr || found->string() == nullptr || found->string()->empty()) {
      refuse(member, "is not there");
      return {};
    }
    return *found->string();
  }
  uint64_t number(std::string_view member) {
    const Value* found = value_.find(member);
    const auto number = found != nullptr ? found->integer() : std::nullopt;
    if (!number || *number < 0) refuse(member, "is not a number");
    return static_cast<uint64_t>(number.value_or(0));
  }
  std::optional<WallTime> time(std::string_view member, bool required) {
    const Value* found = value_.find(member);
    if (!required && (found == nullptr || found->is_null())) return std::nullopt;
    const auto time = parse_rfc3339(text(member));
    if (!time) refuse(member, "is not a time");
    return time;
  }
  KeyPair pair() {
    KeyPair out{text("certificate"), text("key")};
    if (error_) return out;
    if (const Status good = check_key_pair(out); !good) refuse("certificate", good.error().message);
    return out;
  }

 private:
  const Value& value_;
  std::string path_;
  std::optional<Error> error_;
};

Result<Authority> read_authority(StateReader in) {
  Authority out;
  out.id = in.text("id");
  out.pair = in.pair();
  out.not_after = in.time("notAfter", true).value_or(WallTime{});
  out.revision = in.number("revision");
  out.carried_at = in.time("carriedAt", false);
  if (in.error()) return fail(*in.error());
  return out;
}

Result<PrefixKey> read_prefix_key(StateReader in) {
  PrefixKey out;
  out.id = in.text("id");
  out.made = in.time("made", true).value_or(WallTime{});
  out.revision = in.number("revision");
  out.carried_at = in.time("carriedAt", false);
  const auto key = base64_decode(in.text("key"));
  if (!key || key->size() != kKeyBytes) in.refuse("key", "is not 32 bytes in base64");
  if (in.error()) return fail(*in.error());
  out.key = *key;
  return out;
}

template <class T>
Result<std::vector<T>> read_list(const Value& in, const char* member, Result<T> (*read)(StateReader)) {
  std::vector<T> out;
  const Value* list = in.find(member);
  if (list == nullptr || !list->is_array()) return fail(Code::kInvalid, "{}: is not a list", member);
  for (size_t i = 0; i < list->array()->size(); ++i) {
    GS_TRY(T one, read(StateReader((*list->array())[i], fmt::format("{}[{}]", member, i))));
    out.push_back(std::move(one));
  }
  return out;
}

Status read_serving(const Value& all, CertificateState& out) {
  const Value* serving = all.find("serving");
  if (serving == nullptr || !serving->is_object()) return fail(Code::kInvalid, "serving: is not an object");
  StateReader in(*serving, "serving");
  out.serving = in.pair();
  out.signer = in.text("authority");
  out.serving_not_before = in.time("notBefore", true).value_or(WallTime{});
  out.serving_not_after = in.time("notAfter", true).value_or(WallTime{});
  out.serving_made = in.time("made", true).value_or(WallTime{});
  if (in.error()) return fail(*in.error());
  GS_TRY(const CertificateFacts facts, read_certificate(out.serving.certificate));
  out.names = facts.names;
  const auto by = [&](const Authority& authority) { return authority.id == out.signer; };
  if (std::none_of(out.authorities.begin(), out.authorities.end(), by)) return fail(Code::kInvalid, "serving.authority: \"{}\" is not one of authorities", out.signer);
  return ok();
}

}  // namespace

std::string CertificateState::to_json() const {
  Value out;
  out["format"] = kFormat;
  out["revision"] = revision;
  json::Array list;
  for (const Authority& authority : authorities) {
    Value one;
    one["id"] = authority.id;
    one["certificate"] = authority.pair.certificate;
    one["key"] = authority.pair.key;
    one["notAfter"] = format_rfc3339(authority.not_after);
    one["revision"] = authority.revision;
    if (authority.carried_at) one["carriedAt"] = time_value(authority.carried_at);
    list.push_back(std::move(one));
  }
  out["authorities"] = std::exchange(list, {});
  if (!serving.certificate.empty()) {
    Value& one = out["serving"];
    one["authority"] = signer;
    one["certificate"] = serving.certificate;
    one["key"] = serving.key;
    one["notBefore"] = format_rfc3339(serving_not_before);
    one["notAfter"] = format_rfc3339(serving_not_after);
    one["made"] = format_rfc3339(serving_made);
  }
  for (const PrefixKey& key : keys) {
    Value one;
    one["id"] = key.id;
    one["key"] = base64_encode(key.key);
    one["made"] = format_rfc3339(key.made);
    one["revision"] = key.revision;
    if (key.carried_at) one["carriedAt"] = time_value(key.carried_at);
    list.push_back(std::move(one));
  }
  out["prefixKeys"] = std::move(list);
  return out.dump();
}

Result<CertificateState> CertificateState::from_json(std::string_view text) {
  auto parsed = json::parse(text);
  if (!parsed) return fail(std::move(parsed).error());
  StateReader in(*parsed);
  const uint64_t format = in.number("format");
  CertificateState out;
  out.revision = in.number("revision");
  if (in.error()) return fail(*in.error());
  if (format != kFormat) return fail(Code::kInvalid, "format: {} is not {}; a newer plane wrote it", format, kFormat);
  GS_TRY(out.authorities, read_list(*parsed, "authorities", &read_authority));
  GS_TRY(out.keys, read_list(*parsed, "prefixKeys", &read_prefix_key));
  // Where certificates come from files there are prefix keys only.
  if (!out.authorities.empty()) GS_TRY_STATUS(read_serving(*parsed, out));
  return out;
}

std::string CertificateState::bundle() const {
  std::string out;
  for (const Authority& authority : authorities) out += authority.pair.certificate;
  return out;
}

const PrefixKey* CertificateState::issuing() const {
  const auto found = std::find_if(keys.rbegin(), keys.rend(), [](const PrefixKey& key) { return key.revision > 0; });
  return found == keys.rend() ? nullptr : &*found;
}

Result<Rotation> parse_rotation(std::string_view text) {
  const std::string_view what = trim(text);
  if (what == "ca") return Rotation::kAuthority;
  if (what == "serving") return Rotation::kServing;
  if (what == "prefix") return Rotation::kPrefix;
  return fail(Code::kInvalid, "\"{}\" is not ca, serving or prefix", what);
}

Result<Step> step(const CertificateState& state, const StepInput& in) { return Stepper(state, in).run(); }

std::string Material::prefix(std::string_view key, std::string_view cluster_uid) { return hex(hmac_sha256(key, cluster_uid).substr(0, kPrefixBytes)); }

std::string Material::issued_prefix(std::string_view cluster_uid) const {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const auto& key) { return key.first == issuing; });
  return found == keys.end() ? "" : prefix(found->second, cluster_uid);
}

std::shared_ptr<const Material> material_of(const CertificateState& state) {
  auto out = std::make_shared<Material>();
  out->revision = state.revision;
  out->serving = state.serving;
  out->serving_not_after = state.serving_not_after;
  out->names = state.names;
  out->bundle = state.bundle();
  for (const PrefixKey& key : state.keys) out->keys.emplace_back(key.id, key.key);
  if (const PrefixKey* key = state.issuing()) out->issuing = key->id;
  return out;
}

}  // namespace gs::webhook
