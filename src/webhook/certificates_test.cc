#include "webhook/certificates.h"

#include <algorithm>

#include "json/value.h"

namespace gs::webhook {
namespace {

using namespace std::chrono_literals;

// A plane's years in simulated time: each advance() takes every step that is due, as a leader does, with configurations
// that follow as they are told to.
class Life {
 public:
  Step advance(Duration by, std::optional<Rotation> rotate = {}) {
    now += by;
    StepInput in;
    in.now = now;
    in.names = names;
    in.own_certificates = own;
    in.rotate = rotate;
    in.carried = follow ? std::optional<uint64_t>(state.revision) : carried;
    auto step = webhook::step(state, in);
    EXPECT_TRUE(step) << step.error().message;
    if (step->next) {
      EXPECT_EQ(step->next->revision, state.revision + 1);
      state = *step->next;
      // What is stored is what is read back.
      auto again = CertificateState::from_json(state.to_json());
      EXPECT_TRUE(again) << again.error().message;
      if (again) {
        EXPECT_EQ(again->to_json(), state.to_json());
      }
    }
    return *std::move(step);
  }
  // Whether a client that trusts the bundle takes the serving certificate: its authority is in it.
  bool serves() const {
    return std::any_of(state.authorities.begin(), state.authorities.end(), [&](const Authority& a) { return a.id == state.signer; });
  }
  CertificateState state;
  WallTime now = WallTime(1'700'000'000s);
  std::set<std::string> names{"10.0.0.1", "webhook.gulfstream.svc"};
  bool own = true;
  bool follow = true;
  std::optional<uint64_t> carried;
};

TEST(Certificates, TheFirstStepMakesAllOfItAndTheSecondNothing) {
  Life life;
  EXPECT_TRUE(life.advance(0s).next);
  EXPECT_EQ(life.state.authorities.size(), 1u);
  EXPECT_EQ(life.state.names, life.names);
  const auto facts = read_certificate(life.state.serving.certificate);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->names, life.names);
  EXPECT_EQ(facts->not_after, life.now + kServingLife);
  EXPECT_TRUE(check_key_pair(life.state.serving));
  ASSERT_NE(life.state.issuing(), nullptr);
  EXPECT_FALSE(life.advance(0s).next);
  EXPECT_FALSE(life.advance(24h).next);
}

TEST(Certificates, TheServingCertificateIsRenewedAtTwoThirdsOfItsLifeByTheSameAuthority) {
  Life life;
  life.advance(0s);
  const std::string bundle = life.state.bundle(), first = life.state.serving.certificate;
  life.advance(59 * kDay);
  EXPECT_EQ(life.state.serving.certificate, first);
  life.advance(2 * kDay);
  EXPECT_NE(life.state.serving.certificate, first);
  EXPECT_EQ(life.state.bundle(), bundle) << "configurations need not change";
}

TEST(Certificates, ANameThatIsMissingMakesACertificateWithIt) {
  Life life;
  life.advance(0s);
  life.names.insert("other.ns.svc");
  EXPECT_TRUE(life.advance(1s).next);
  EXPECT_TRUE(life.state.names.contains("other.ns.svc"));
  life.names.erase("other.ns.svc");
  EXPECT_FALSE(life.advance(1s).next) << "a name too many is no reason";
}

TEST(Certificates, ANewAuthorityIsPublishedBesideTheOldOneBeforeItSigns) {
  Life life;
  life.advance(0s);
  const std::string old = life.state.signer;
  life.follow = false;
  life.carried = life.state.revision;
  life.advance(1s, Rotation::kAuthority);
  ASSERT_EQ(life.state.authorities.size(), 2u);
  const std::string fresh = life.state.authorities[1].id;
  EXPECT_EQ(life.state.signer, old);
  const Step waits = life.advance(24h);
  EXPECT_NE(waits.waiting.find("every configuration to carry"), std::string::npos);
  EXPECT_EQ(life.state.signer, old) << "a configuration does not carry it";
  life.carried = std::nullopt;
  life.advance(24h);
  EXPECT_EQ(life.state.signer, old) << "of a cluster it is not known";
  life.follow = true;
  life.advance(1s);
  EXPECT_EQ(life.state.signer, old) << "API servers have not seen it yet";
  life.advance(kSettle);
  EXPECT_EQ(life.state.signer, fresh);
  EXPECT_EQ(life.state.authorities.size(), 2u) << "a replica may still serve by the old one";
  life.advance(kRetire - 1s);
  EXPECT_EQ(life.state.authorities.size(), 2u);
  life.advance(1s);
  ASSERT_EQ(life.state.authorities.size(), 1u);
  EXPECT_EQ(life.state.authorities[0].id, fresh);
}

TEST(Certificates, AConfigurationThatLosesTheNewAuthorityStartsTheWaitAnew) {
  Life life;
  life.advance(0s);
  const std::string old = life.state.signer;
  life.advance(1s, Rotation::kAuthority);
  life.advance(1s);
  life.follow = false;
  life.carried = 1;
  life.advance(kSettle);
  life.follow = true;
  life.advance(1s);
  life.advance(kSettle - 1s);
  EXPECT_EQ(life.state.signer, old);
  life.advance(1s);
  EXPECT_NE(life.state.signer, old);
}

TEST(Certificates, WhileAnAuthorityWaitsTheOldOneStillRenewsTheServingCertificate) {
  Life life;
  life.advance(0s);
  const std::string old = life.state.signer, first = life.state.serving.certificate;
  life.follow = false;
  life.carried = 1;
  life.advance(1s, Rotation::kAuthority);
  life.advance(80 * kDay);
  EXPECT_NE(life.state.serving.certificate, first);
  EXPECT_EQ(life.state.signer, old);
}

TEST(Certificates, APrefixKeyIsAcceptedThenIssuedThenTheOldOneGoes) {
  Life life;
  life.advance(0s);
  const std::string old = life.state.issuing()->id;
  life.advance(1s, Rotation::kPrefix);
  ASSERT_EQ(life.state.keys.size(), 2u);
  EXPECT_EQ(life.state.issuing()->id, old) << "replicas may not accept the new one yet";
  life.advance(kPropagation);
  const std::string fresh = life.state.issuing()->id;
  EXPECT_NE(fresh, old);
  life.advance(1s);
  EXPECT_EQ(life.state.keys.size(), 2u) << "API servers may not have seen the new path yet";
  life.advance(kRetire);
  ASSERT_EQ(life.state.keys.size(), 1u);
  EXPECT_EQ(life.state.keys[0].id, fresh);
}

TEST(Certificates, TwelveYearsPassAndEveryServingCertificateIsTrustedAndValid) {
  Life life;
  life.advance(0s);
  size_t authorities = 1, servings = 1;
  for (int day = 0; day < 12 * 365; ++day) {
    const std::string signer = life.state.signer, serving = life.state.serving.certificate;
    life.advance(day % 97 == 0 ? kDay - kSettle : kDay);
    if (day % 97 == 0) life.advance(kSettle);
    ASSERT_TRUE(life.serves());
    ASSERT_LT(life.now, life.state.serving_not_after);
    ASSERT_LE(life.state.serving_not_before, life.now);
    authorities += signer != life.state.signer;
    servings += serving != life.state.serving.certificate;
  }
  EXPECT_EQ(authorities, 2u) << "long-lived";
  EXPECT_GE(servings, 12u * 365 / 60);
  EXPECT_LE(servings, 12u * 365 / 59 + 2);
}

TEST(Certificates, WhereCertificatesComeFromFilesOnlyPrefixKeysAreKept) {
  Life life;
  life.own = false;
  life.advance(0s);
  EXPECT_TRUE(life.state.authorities.empty());
  EXPECT_EQ(life.state.keys.size(), 1u);
  EXPECT_FALSE(life.advance(100 * kDay).next);
}

TEST(Certificates, WhatIsCorruptOrForeignIsRefusedAndSaysWhere) {
  Life life;
  life.advance(0s);
  const std::string good = life.state.to_json();
  const auto replaced = [&](std::string_view what, std::string_view by) {
    std::string out = good;
    const size_t at = out.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return out.replace(at, what.size(), by);
  };
  Life other;
  other.advance(0s);
  json::Value swapped = *json::parse(good);
  swapped["serving"]["key"] = other.state.serving.key;
  struct Row {
    std::string text, error;
  };
  const Row rows[] = {
      {"", ""},
      {"{}", "format: is not a number"},
      {replaced("\"format\":1", "\"format\":2"), "a newer plane wrote it"},
      {replaced("BEGIN CERTIFICATE", "BEGIN NONSENSE"), "authorities[0].certificate: "},
      {replaced("\"prefixKeys\"", "\"prefixes\""), "prefixKeys: is not a list"},
      {replaced("\"authorities\":[", "\"authorities\":[{},"), "authorities[0].id: is not there"},
      {swapped.dump(), "serving.certificate: the private key is not the certificate's"},
  };
  for (const Row& row : rows) {
    const auto read = CertificateState::from_json(row.text);
    ASSERT_FALSE(read) << row.error;
    EXPECT_NE(read.error().message.find(row.error), std::string::npos) << read.error().message;
  }
}

TEST(Certificates, APrefixIdentifiesAClusterAndChangesWithTheKey) {
  Life life;
  life.advance(0s);
  const auto material = material_of(life.state);
  const std::string a = material->issued_prefix("a");
  EXPECT_EQ(a.size(), 40u);
  EXPECT_EQ(a, material->issued_prefix("a"));
  EXPECT_NE(a, material->issued_prefix("b"));
  EXPECT_NE(a, Material::prefix("another key", "a"));
}

TEST(Certificates, NamesAreCoveredAsGoHasIt) {
  EXPECT_TRUE(covers({"a.b.svc"}, "A.b.svc"));
  EXPECT_TRUE(covers({"*.b.svc"}, "a.b.svc"));
  EXPECT_FALSE(covers({"*.svc"}, "a.b.svc"));
  EXPECT_TRUE(covers({"10.0.0.1"}, "10.0.0.1"));
  EXPECT_FALSE(covers({"*.0.0.1"}, "10.0.0.1"));
}

TEST(Certificates, RotationsAreAskedForByName) {
  EXPECT_EQ(parse_rotation(" ca\n").value(), Rotation::kAuthority);
  EXPECT_EQ(parse_rotation("all").error().message, "\"all\" is not ca, serving or prefix");
}

}  // namespace
}  // namespace gs::webhook
