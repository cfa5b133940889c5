#include "embedded/certificates.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/files.h"
#include "embedded/kubeconfig_file.h"
#include "kube/kubeconfig.h"

namespace gs::embedded {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const WallTime kNow{std::chrono::hours(24 * 365 * 56)};
const std::set<std::string> kNames{"127.0.0.1", "localhost"};

std::string fresh_directory(const std::string& name) {
  const std::string out = testing::TempDir() + "gs_embedded_" + name;
  std::filesystem::remove_all(out);
  return out;
}

Certificates made(WallTime now = kNow) {
  Certificates out;
  EXPECT_TRUE(renew(out, kNames, now));
  return out;
}

mode_t mode_of(const std::string& path) {
  struct stat s {};
  EXPECT_EQ(::stat(path.c_str(), &s), 0) << path;
  return s.st_mode & 0777;
}

TEST(EmbeddedCertificatesTest, AreOfOneAuthorityAndGoodForTheNames) {
  const Certificates all = made();
  EXPECT_TRUE(webhook::is_signed_by(all.serving.certificate, all.authority.certificate));
  EXPECT_TRUE(webhook::is_signed_by(all.admin.certificate, all.authority.certificate));
  const auto facts = webhook::read_certificate(all.serving.certificate);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->names, kNames);
  EXPECT_LT(facts->not_before, kNow);
}

TEST(EmbeddedCertificatesTest, AreLeftAloneWhileTheyAreGood) {
  Certificates all = made();
  const Certificates before = all;
  const auto did = renew(all, kNames, kNow + std::chrono::hours(24 * 200));
  ASSERT_TRUE(did);
  EXPECT_THAT(*did, IsEmpty());
  EXPECT_EQ(all.serving.certificate, before.serving.certificate);
}

TEST(EmbeddedCertificatesTest, AreRenewedByTheSameAuthorityAfterTwoThirdsOfTheirLife) {
  Certificates all = made();
  const Certificates before = all;
  const auto did = renew(all, kNames, kNow + std::chrono::hours(24 * 250));
  ASSERT_TRUE(did);
  EXPECT_THAT(*did, ElementsAre("serving certificate made", "administrator's certificate made"));
  EXPECT_EQ(all.authority.certificate, before.authority.certificate);
  EXPECT_NE(all.serving.certificate, before.serving.certificate);
}

TEST(EmbeddedCertificatesTest, GetANameThatIsMissing) {
  Certificates all = made();
  const std::string admin = all.admin.certificate;
  const auto did = renew(all, {"127.0.0.1", "10.0.0.7"}, kNow);
  ASSERT_TRUE(did);
  EXPECT_THAT(*did, ElementsAre("serving certificate made"));
  EXPECT_EQ(all.admin.certificate, admin);
}

TEST(EmbeddedCertificatesTest, OfAnotherAuthorityAreMadeAnew) {
  Certificates all = made();
  all.authority = made().authority;
  const auto did = renew(all, kNames, kNow);
  ASSERT_TRUE(did);
  EXPECT_THAT(*did, ElementsAre("serving certificate made", "administrator's certificate made"));
}

TEST(EmbeddedCertificatesTest, BeginAnewWhenTheAuthorityWouldEndBeforeWhatItSigns) {
  Certificates all = made();
  const std::string before = all.authority.certificate;
  ASSERT_TRUE(renew(all, kNames, kNow + kAuthorityLife - kLeafLife + kBackdate));
  EXPECT_NE(all.authority.certificate, before);
  EXPECT_TRUE(webhook::is_signed_by(all.serving.certificate, all.authority.certificate));
}

TEST(EmbeddedCertificatesTest, AreFoundAgainInTheirDirectoryWhichOnlyTheOwnerReads) {
  const std::string directory = fresh_directory("kept") + "/deep/pki";
  const Certificates all = made();
  ASSERT_TRUE(write_certificates(directory, all));
  EXPECT_EQ(mode_of(directory), 0700u);
  for (const char* file : {"/ca.pem", "/serving.pem", "/admin.pem"}) EXPECT_EQ(mode_of(directory + file), 0600u) << file;
  auto again = read_certificates(directory);
  ASSERT_TRUE(again);
  const auto did = renew(*again, kNames, kNow);
  ASSERT_TRUE(did);
  EXPECT_THAT(*did, IsEmpty());
}

TEST(EmbeddedCertificatesTest, WithABrokenAuthorityAreRefusedAndWithABrokenRestMended) {
  const std::string directory = fresh_directory("broken");
  const Certificates all = made();
  ASSERT_TRUE(write_certificates(directory, all));
  ASSERT_TRUE(write_whole_file(directory + "/serving.pem", "half a certif", kSecretFile));
  auto mended = read_certificates(directory);
  ASSERT_TRUE(mended);
  ASSERT_TRUE(renew(*mended, kNames, kNow));
  EXPECT_EQ(mended->authority.certificate, all.authority.certificate);
  EXPECT_TRUE(webhook::check_key_pair(mended->serving));
  ASSERT_TRUE(write_whole_file(directory + "/ca.pem", all.authority.certificate, kSecretFile));
  const auto refused = read_certificates(directory);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr(directory + "/ca.pem: private key"));
  EXPECT_THAT(refused.error().message, HasSubstr("remove it to begin with a new authority"));
}

TEST(EmbeddedKubeconfigTest, HasAContextForEachClusterThatOurOwnReaderTakesFromUntrustedHands) {
  const Certificates all = made();
  const std::string text = kubeconfig_text({KubeconfigEntry("hub", "https://127.0.0.1:6443"), KubeconfigEntry("cluster-1", "https://[::1]:6444")}, all.authority.certificate, all.admin);
  const kube::FileReader no_files = [](const std::string& path) -> Result<std::string> { return fail(Code::kInvalid, "{} was read", path); };
  const auto hub = kube::load_kubeconfig(text, "/", "", kube::KubeconfigPolicy::untrusted(), no_files);
  ASSERT_TRUE(hub) << hub.error().message;
  EXPECT_EQ(hub->server.port, 6443);
  EXPECT_EQ(hub->ca_pem, all.authority.certificate);
  EXPECT_EQ(hub->client_key_pem, all.admin.key);
  const auto other = kube::load_kubeconfig(text, "/", "cluster-1", kube::KubeconfigPolicy::untrusted(), no_files);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->server.host, "::1");
}

TEST(EmbeddedKubeconfigTest, OverwritesItsOwnAndNeverSomebodyElses) {
  const std::string path = fresh_directory("kubeconfig");
  const std::string ours = kubeconfig_text({KubeconfigEntry("a", "https://127.0.0.1:1")}, "ca", {});
  ASSERT_TRUE(write_kubeconfig(path, ours));
  ASSERT_TRUE(write_kubeconfig(path, ours));
  EXPECT_EQ(mode_of(path), 0600u);
  ASSERT_TRUE(write_whole_file(path, "apiVersion: v1\nkind: Config\n", kSecretFile));
  const Status refused = write_kubeconfig(path, ours);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("is a kubeconfig of somebody else's"));
}

}  // namespace
}  // namespace gs::embedded
