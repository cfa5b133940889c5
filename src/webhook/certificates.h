// What the plane serves webhooks with: its authorities, its serving certificate, and the keys of path prefixes;
// and when which of them is made, replaced and dropped. A pure state machine: step() is told what is stored and
// what is, and says what is to be stored next. Whoever leads does so; everybody else follows what is stored.
//
// Nothing here may fail a review, so each change goes in steps that API servers and other replicas can follow:
//   serving certificate  made anew at 2/3 of its life, or when a name is missing; same authority, so no configuration changes
//   authority            published beside the old one; when every configuration carries both and API servers have had
//                        kSettle to see it, it signs a new serving certificate; the old one goes kRetire later
//   prefix key           accepted by all replicas for kPropagation, then it is the one that paths are made with; when
//                        every configuration carries such a path, the old one goes kRetire later
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "webhook/x509.h"

namespace gs::webhook {

inline constexpr Duration kDay = std::chrono::hours(24);
inline constexpr Duration kAuthorityLife = 3650 * kDay;
inline constexpr Duration kServingLife = 90 * kDay;
// An authority with less left than this is replaced.
inline constexpr Duration kAuthorityRenew = 730 * kDay;
// Certificates begin in the past: API servers' clocks differ.
inline constexpr Duration kBackdate = std::chrono::hours(1);
inline constexpr Duration kPropagation = std::chrono::seconds(10);  // from the stored state to every replica
inline constexpr Duration kSettle = std::chrono::seconds(10);       // from a configuration to every API server
inline constexpr Duration kRetire = std::chrono::minutes(5);
// Names in one certificate; those beyond are left out and said.
inline constexpr size_t kMaxNames = 1000;

struct Authority {
  std::string id;
  KeyPair pair;
  WallTime not_after{};
  uint64_t revision = 0;               // of the state that published it
  std::optional<WallTime> carried_at;  // every configuration carries it since
};

struct PrefixKey {
  std::string id;
  std::string key;  // 32 bytes
  WallTime made{};
  uint64_t revision = 0;               // of the state that began to make paths with it; 0: accepted only
  std::optional<WallTime> carried_at;  // every configuration carries its path since
};

// What is stored.
struct CertificateState {
  uint64_t revision = 0;  // grows with each change
  std::vector<Authority> authorities;  // oldest first; all are published
  std::string signer;                  // id of the authority of `serving`
  KeyPair serving;
  WallTime serving_not_before{}, serving_not_after{};
  WallTime serving_made{};
  std::set<std::string> names;
  std::vector<PrefixKey> keys;  // oldest first; all are accepted

  std::string to_json() const;
  // kInvalid: "authorities[0].certificate: ...". Whatever is not ours to the last member is refused.
  static Result<CertificateState> from_json(std::string_view text);
  std::string bundle() const;  // PEM of all authorities
  // The newest key with a revision; null: there is none.
  const PrefixKey* issuing() const;
};

// What is asked for by the annotation, or the file.
enum class Rotation { kServing, kAuthority, kPrefix };
inline constexpr const char* kRotateAnnotation = "gulfstream.dev/rotate";
// "ca", "serving" or "prefix". kInvalid names these.
Result<Rotation> parse_rotation(std::string_view text);

struct StepInput {
  WallTime now{};
  std::set<std::string> names;      // that the serving certificate must have
  bool own_certificates = true;     // false: they come from files, and only prefix keys are kept
  std::optional<Rotation> rotate;
  // The state's revision that every configuration is known to carry; nullopt: that is not known of all of them.
  std::optional<uint64_t> carried;
};

struct Step {
  std::optional<CertificateState> next;  // to be stored; nullopt: nothing changes
  std::vector<std::string> did;          // for the log
  std::string waiting;                   // what a rotation waits for; empty: nothing
};

// kInternal: OpenSSL failed.
Result<Step> step(const CertificateState& state, const StepInput& in);

// An immutable snapshot for all loops: what to serve with, and what configurations are told.
struct Material {
  uint64_t revision = 0;
  KeyPair serving;
  std::set<std::string> names;
  std::string bundle;                                     // PEM; empty: API servers trust it by their own authorities
  std::vector<std::pair<std::string, std::string>> keys;  // id and key of those accepted
  std::string issuing;                                    // id of the one that paths are made with
  WallTime serving_not_after{};

  // 160 bits of HMAC-SHA256 over the cluster's uid, in hex: it identifies a cluster and cannot be guessed.
  static std::string prefix(std::string_view key, std::string_view cluster_uid);
  std::string issued_prefix(std::string_view cluster_uid) const;
};
std::shared_ptr<const Material> material_of(const CertificateState& state);

}  // namespace gs::webhook
