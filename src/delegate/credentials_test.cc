#include "delegate/credentials.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/sim_loop.h"

namespace gs::delegate {
namespace {

constexpr const char* kHead = "apiVersion: gulfstream.dev/v1alpha1\nkind: DelegateCredentials\n";

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() { std::filesystem::create_directories(dir); }
  ~CredentialsTest() override { std::filesystem::remove_all(dir); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(dir / name) << text;
    return dir / name;
  }
  std::string complaint(const std::string& delegates) {
    const auto files = read_credential_files(write("c.yaml", kHead + delegates));
    if (files) return "";
    const std::string prefix = (dir / "c.yaml").string() + ": ";
    EXPECT_TRUE(files.error().message.starts_with(prefix)) << files.error().message;
    return files.error().message.substr(std::min(prefix.size(), files.error().message.size()));
  }
  static kube::ServerUrl url(const std::string& text) { return *kube::parse_server_url(text); }

  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) /
                                    (std::string("credentials_test.") + testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(CredentialsTest, AMistakeIsToldWithThePathOfItsField) {
  const struct {
    const char* delegates;
    const char* words;
  } rows[] = {
      {"delegates: 3\n", "delegates: must be a list"},
      {"delegates:\n- 3\n", "delegates[0]: must be an object"},
      {"delegates:\n- {origin: 'https://a', tokenFile: t}\n- {origin: 'https://b'}\n", "delegates[1]: needs tokenFile, or clientCertificateFile and clientKeyFile"},
      {"delegates:\n- {origin: 'https://a', token: t}\n", "delegates[0].token: unknown field; there are origin, tokenFile, clientCertificateFile and clientKeyFile"},
      {"delegates:\n- {origin: 'https://a', tokenFile: [t]}\n", "delegates[0].tokenFile: must be a string"},
      {"delegates:\n- {origin: 'http://a', tokenFile: t}\n", "delegates[0].origin: must be https://; a credential never goes over plain text"},
      {"delegates:\n- {origin: 'https://a/x', tokenFile: t}\n", "delegates[0].origin: is a scheme, a host and a port, without a path"},
      {"delegates:\n- {origin: 'https://a', clientKeyFile: k}\n", "delegates[0]: clientCertificateFile and clientKeyFile are needed together"},
      {"delegates:\n- {origin: 'https://A', tokenFile: t}\n- {origin: 'https://a:443', tokenFile: t}\n", "delegates[1].origin: https://a:443 has an entry already"},
  };
  for (const auto& row : rows) EXPECT_EQ(complaint(row.delegates), row.words);
  EXPECT_TRUE(complaint("delegates:\n- {origin: 'a b', tokenFile: t}\n").starts_with("delegates[0].origin: "));
  EXPECT_EQ(read_credential_files(write("k.yaml", "kind: Secret\n")).error().message,
            (dir / "k.yaml").string() + ": must have apiVersion gulfstream.dev/v1alpha1 and kind DelegateCredentials");
  EXPECT_FALSE(read_credential_files(dir / "none.yaml"));
}

TEST_F(CredentialsTest, AnOriginGetsItsOwnTokenAndOnlyOverTls) {
  write("a.token", " secret-a\n");
  SimWorld world(1);
  net::TlsContext tls;
  Credentials credentials(world.add_loop(), tls, read_credential_files(write("c.yaml", std::string(kHead) + "delegates:\n- {origin: 'https://A.example', tokenFile: a.token}\n")).value());
  EXPECT_EQ(credentials.find(url("https://a.example:443")).value().token, "secret-a");
  EXPECT_EQ(credentials.find(url("https://a.example/path")).value().token, "secret-a") << "the path is not of the origin";
  EXPECT_EQ(credentials.find(url("https://a.example:8443")).value().token, "");
  EXPECT_EQ(credentials.find(url("https://b.example")).value().token, "");
  EXPECT_EQ(credentials.find(url("http://a.example:443")).value().token, "");
}

TEST_F(CredentialsTest, AnEntryThatCannotBeUsedIsAnErrorOfThatOriginOnly) {
  write("a.token", "t\n");
  write("empty.token", "\n");
  write("two.token", "one two\n");
  write("tls.crt", "no certificate\n");
  SimWorld world(1);
  net::TlsContext tls;
  const std::string file = write("c.yaml", std::string(kHead) +
                                               "delegates:\n- {origin: 'https://a', tokenFile: a.token}\n- {origin: 'https://b', tokenFile: missing.token}\n"
                                               "- {origin: 'https://c', tokenFile: empty.token}\n- {origin: 'https://d', tokenFile: two.token}\n"
                                               "- {origin: 'https://e', clientCertificateFile: tls.crt, clientKeyFile: tls.crt}\n");
  Credentials credentials(world.add_loop(), tls, read_credential_files(file).value());
  EXPECT_EQ(credentials.find(url("https://a")).value().token, "t");
  for (const char* origin : {"https://b", "https://c", "https://d", "https://e"}) {
    const auto found = credentials.find(url(origin));
    ASSERT_FALSE(found) << origin;
    EXPECT_EQ(found.error().code, Code::kUnauthorized);
    EXPECT_TRUE(found.error().message.starts_with(std::string("the credential for ") + origin)) << found.error().message;
  }
  EXPECT_TRUE(credentials.find(url("https://b")).error().message.find("missing.token") != std::string::npos);
}

TEST_F(CredentialsTest, FilesAreReadAnewAndABrokenOneLeavesWhatThereWas) {
  const std::string entry = std::string(kHead) + "delegates:\n- {origin: 'https://a', tokenFile: a.token}\n";
  write("a.token", "first");
  SimWorld world(1);
  net::TlsContext tls;
  Credentials credentials(world.add_loop(), tls, read_credential_files(write("c.yaml", entry)).value());
  const auto token = [&] { return credentials.find(url("https://a")).value().token; };
  const auto later = [&] { world.run_for(Credentials::kPeriod + std::chrono::seconds(5)); };
  EXPECT_EQ(token(), "first");
  write("a.token", "second");
  later();
  EXPECT_EQ(token(), "second");
  write("c.yaml", "kind: nonsense\n");
  later();
  EXPECT_EQ(token(), "second");
  write("c.yaml", entry);
  write("a.token", "third");
  later();
  EXPECT_EQ(token(), "third");
  write("c.yaml", std::string(kHead) + "delegates: []\n");
  later();
  EXPECT_EQ(token(), "") << "an entry that was removed is shown no more";
}

}  // namespace
}  // namespace gs::delegate
