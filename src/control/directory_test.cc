#include "control/directory.h"

#include <filesystem>
#include <fstream>

#include "control/directory_source.h"
#include "runtime/inotify_watch.h"
#include "runtime/sim_loop.h"

namespace gs::control {
namespace {

namespace fs = std::filesystem;

class DirectoryTest : public testing::Test {
 protected:
  DirectoryTest() : path(fs::temp_directory_path() / ("gs-directory-" + std::to_string(::getpid()))) { fs::create_directories(path); }
  ~DirectoryTest() override { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) { std::ofstream(path / name) << text; }
  DirectoryContent read() { return read_directory(path.string()).value(); }
  fs::path path;
};

constexpr const char* kController =
    "apiVersion: gulfstream.dev/v1alpha1\nkind: Controller\nmetadata: {name: c}\nspec:\n  primary: {version: v1, resource: namespaces}\n"
    "  delegate: http://127.0.0.1:1\n";

TEST_F(DirectoryTest, ABrokenFileIsReportedAndHarmsNoOther) {
  write("a.yaml", kController);
  write("b.yaml", "a: [");
  write("c.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n");
  write("ignored.txt", "a: [");
  const auto files = read();
  EXPECT_EQ(files.desired.controllers.size(), 1u);
  ASSERT_EQ(files.problems.size(), 2u);
  EXPECT_TRUE(files.problems[0].starts_with("b.yaml: line")) << files.problems[0];
}

TEST_F(DirectoryTest, AChangedSpecIsAnotherGenerationAndAChangedKubeconfigAnotherDigest) {
  write("a.yaml", kController);
  write("k.yaml", "apiVersion: gulfstream.dev/v1alpha1\nkind: Cluster\nmetadata: {name: k, labels: {env: prod}}\nspec: {connection: {kubeconfig: {file: kc}}}\n");
  write("kc", "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: ''}}]\nclusters: [{name: k, cluster: {server: 'https://h'}}]\n");
  const auto before = read();
  EXPECT_EQ(before.desired.clusters[0].error, "");
  EXPECT_EQ(before.desired.clusters[0].labels, R"({"env":"prod"})");
  EXPECT_EQ(read().digest, before.digest);
  write("a.yaml", std::string(kController) + "  authorized: [{group: '', resources: [events]}]\n");
  const auto after = read();
  EXPECT_NE(after.desired.controllers[0].spec->generation, before.desired.controllers[0].spec->generation);
  write("kc", "current-context: c\n");
  const auto broken = read();
  EXPECT_NE(broken.digest, after.digest);
  EXPECT_NE(broken.desired.clusters[0].error, "");
}

TEST_F(DirectoryTest, ClustersHaveTenantsAndNamespacesLabelsAsInAHub) {
  write("n.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: blue, labels: {tier: gold}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: green}\n");
  write("k.yaml", "apiVersion: gulfstream.dev/v1alpha1\nkind: Cluster\nmetadata: {name: k, namespace: blue}\nspec: {connection: {kubeconfig: {file: kc}}}\n");
  const auto files = read();
  EXPECT_TRUE(files.problems.empty());
  EXPECT_EQ(files.desired.namespace_labels.at("blue"), R"({"tier":"gold"})");
  EXPECT_EQ(files.desired.namespace_labels.at("green"), "");
  EXPECT_EQ(files.desired.clusters.at(0).key(), "blue/k");
}

TEST_F(DirectoryTest, AMissingDirectoryIsAnError) {
  EXPECT_EQ(read_directory((path / "none").string()).error().code, Code::kNotFound);
}

TEST_F(DirectoryTest, ConfigMapsAreTheHubsConfigs) {
  write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: profiles}\ndata: {a: b}\n");
  const auto configs = read().desired.hub_configs;
  ASSERT_TRUE(configs.contains("profiles"));
  const auto object = kube::Object::parse(configs.at("profiles"));
  ASSERT_TRUE(object);
  EXPECT_FALSE((*object)->resource_version().empty());
}

// Stamps and the source, as of a time when every file's last change is long ago. Token files are not in it: whoever
// connects with one re-reads it.
class DirectoryStampTest : public DirectoryTest {
 protected:
  static WallTime later() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()) + std::chrono::minutes(1); }
  std::string stamp() { return directory_stamp(path.string(), read().files, later()); }
  // Writes as editors do: another file of the same size takes the name.
  void replace(const std::string& name, const std::string& text) {
    write(name + "~", text);
    fs::rename(path / (name + "~"), path / name);
  }
  void cluster() {
    write("k.yaml", "apiVersion: gulfstream.dev/v1alpha1\nkind: Cluster\nmetadata: {name: k}\nspec: {connection: {kubeconfig: {file: kc}}}\n");
    write("kc", "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nusers: [{name: u, user: {tokenFile: token}}]\n"
                "clusters: [{name: k, cluster: {server: 'https://h', certificate-authority: ca}}]\n");
    write("ca", "a certificate");
  }
};

TEST_F(DirectoryStampTest, IsEqualWhileNothingChangesAndAnotherForEachFileThatDoes) {
  cluster();
  const std::string first = stamp();
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(stamp(), first);
  for (const char* name : {"k.yaml", "kc", "ca"}) {
    const std::string before = stamp();
    std::ifstream in(path / name);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    replace(name, text);  // the same bytes, the same size: who can tell?
    EXPECT_NE(stamp(), before) << name;
  }
}

TEST_F(DirectoryStampTest, SeesFilesThatComeAndGo) {
  cluster();
  fs::remove(path / "kc");
  const std::string without = stamp();
  const auto files = read().files;
  write("kc", "current-context: c\n");
  EXPECT_NE(directory_stamp(path.string(), files, later()), without);
  const std::string before = stamp();
  write("z.yaml", kController);
  EXPECT_NE(directory_stamp(path.string(), files, later()), before);
  fs::remove(path / "z.yaml");
  EXPECT_EQ(stamp(), before);
  fs::remove(path / "k.yaml");
  EXPECT_NE(directory_stamp(path.string(), files, later()), before);
}

TEST_F(DirectoryStampTest, FollowsTheLinksOfAMountedConfigMap) {
  for (const char* version : {"v1", "v2"}) {
    fs::create_directory(path / version);
    std::ofstream(path / version / "a.yaml") << kController;
  }
  fs::create_directory_symlink("v1", path / "..data");
  fs::create_symlink("..data/a.yaml", path / "a.yaml");
  const std::string before = stamp();
  ASSERT_FALSE(before.empty());
  fs::create_directory_symlink("v2", path / "..data_tmp");
  fs::rename(path / "..data_tmp", path / "..data");
  EXPECT_NE(stamp(), before);
}

TEST_F(DirectoryStampTest, SaysNothingOfWhatChangedJustNow) {
  write("a.yaml", kController);
  const auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  EXPECT_EQ(directory_stamp(path.string(), read().files, now), "");
  EXPECT_EQ(directory_stamp((path / "none").string(), {}, later()), "");
}

TEST_F(DirectoryStampTest, TheSourceTellsOfEachChangeOnceAndReadsNothingInBetween) {
  cluster();
  SimWorld world(1);
  SimLoop& loop = world.add_loop();
  world.jump_wall_clock(later() - world.wall_now());
  std::vector<Desired> told;
  auto source = DirectorySource::start(loop, path.string(), [&told](Desired desired) { told.push_back(std::move(desired)); }).value();
  const auto run = [&] { world.run_for(5 * DirectorySource::kPeriod); };
  run();
  EXPECT_EQ(told.size(), 1u);
  const size_t readings = source->readings();
  run();
  EXPECT_EQ(source->readings(), readings);
  replace("ca", "other text");
  run();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_NE(told[1].clusters[0].files_digest, told[0].clusters[0].files_digest);
  replace("kc", "current-context: c\n");
  run();
  ASSERT_EQ(told.size(), 3u);
  EXPECT_NE(told[2].clusters[0].error, "");
  cluster();  // another set of files, in place
  run();
  ASSERT_EQ(told.size(), 4u);
  EXPECT_EQ(told[3].clusters[0].error, "");
  write("c.yaml", kController);
  run();
  ASSERT_EQ(told.size(), 5u);
  EXPECT_EQ(told[4].controllers.size(), 1u);
  const size_t settled = source->readings();
  run();
  EXPECT_EQ(source->readings(), settled);
  EXPECT_EQ(told.size(), 5u);
}

TEST_F(DirectoryStampTest, ChangesShowWhereTheFilesAreAndTheLinksOnTheWayToThem) {
  fs::create_directories(path / "config/..v1");
  fs::create_directories(path / "elsewhere/deep");
  std::ofstream(path / "config/..v1/a.yaml") << kController;
  std::ofstream(path / "elsewhere/deep/kc") << "x";
  fs::create_directory_symlink("..v1", path / "config/..data");
  fs::create_symlink("..data/a.yaml", path / "config/a.yaml");
  fs::create_directory_symlink("elsewhere", path / "other");
  const auto watched = directories_to_watch(path / "config", {path / "config/a.yaml", path / "other/deep/kc", path / "none/of/these"});
  const std::vector<std::string> all = {path, path / "config", path / "config/..v1", path / "elsewhere/deep"};
  EXPECT_EQ(watched, all);
  fs::create_symlink("loop", path / "loop");
  EXPECT_EQ(directories_to_watch(path / "loop", {path / "loop/a"}), std::vector<std::string>{path});
}

// Follows what it is told to, as the test has it.
class ScriptedWatch final : public FileWatch {
 public:
  using FileWatch::FileWatch;
  void forget() override { changed.clear(); }
  Followed follow(const std::vector<std::string>& directories) override {
    followed = directories;
    return answer;
  }
  Followed answer = Followed::kAlready;
  std::vector<std::string> followed;
};

class WatchedDirectoryTest : public DirectoryStampTest {
 protected:
  WatchedDirectoryTest() : world(1), loop(world.add_loop()) {
    cluster();
    world.jump_wall_clock(later() - world.wall_now());
    auto made = std::make_unique<ScriptedWatch>(loop);
    watch = made.get();
    source = DirectorySource::start(loop, path.string(), [this](Desired) { ++told; }, std::move(made)).value();
    world.run_for(5 * DirectorySource::kPeriod);
  }
  SimWorld world;
  SimLoop& loop;
  ScriptedWatch* watch;
  size_t told = 0;
  std::unique_ptr<DirectorySource> source;
};

TEST_F(WatchedDirectoryTest, IsLookedAtOnceAWatchTellsOfAChange) {
  EXPECT_EQ(watch->followed, std::vector<std::string>{path});
  const uint64_t looks = source->looks();
  world.run_for(5 * DirectorySource::kPeriod);
  EXPECT_EQ(source->looks(), looks);
  replace("kc", "current-context: c\n");
  loop.post([&] { watch->changed.set(); });
  world.run_for(DirectorySource::kPeriod / 2);
  EXPECT_EQ(told, 2u);
}

TEST_F(WatchedDirectoryTest, IsLookedAtOnceASecondAtMost) {
  const uint64_t looks = source->looks();
  for (int i = 0; i < 100; ++i) {
    loop.post([&] { watch->changed.set(); });
    world.run_for(DirectorySource::kPeriod / 10);
  }
  EXPECT_LE(source->looks() - looks, 11u);
  EXPECT_GE(source->looks() - looks, 8u);
}

TEST_F(WatchedDirectoryTest, IsLookedAtNowAndThenForWhatAWatchDoesNotSee) {
  replace("kc", "current-context: c\n");
  world.run_for(DirectorySource::kLongPeriod + 2 * DirectorySource::kPeriod);
  EXPECT_EQ(told, 2u);
}

TEST_F(WatchedDirectoryTest, IsLookedAtEachSecondWhereNotAllOfItCanBeWatchedOrWasNotYet) {
  using Followed = FileWatch::Followed;
  for (const Followed answer : {Followed::kNot, Followed::kNow}) {
    watch->answer = answer;
    loop.post([&] { watch->changed.set(); });
    world.run_for(2 * DirectorySource::kPeriod);
    const uint64_t looks = source->looks();
    world.run_for(5 * DirectorySource::kPeriod);
    EXPECT_GE(source->looks() - looks, 4u);
    watch->answer = Followed::kAlready;
    world.run_for(2 * DirectorySource::kPeriod);
  }
}

// On the real loop and kernel: as kubelet changes a mounted ConfigMap.
TEST_F(DirectoryStampTest, AMountedConfigMapThatIsSwappedIsReadAtOnce) {
  for (const char* version : {"..v1", "..v2"}) {
    fs::create_directory(path / version);
    std::ofstream(path / version / "a.yaml") << kController << "  paused: " << (version == std::string("..v2") ? "true" : "false") << "\n";
  }
  fs::create_directory_symlink("..v1", path / "..data");
  fs::create_symlink("..data/a.yaml", path / "a.yaml");
  UvLoop loop;
  size_t told = 0;
  auto source = DirectorySource::start(loop, path.string(), [&told](Desired) { ++told; }, InotifyWatch::make(loop)).value();
  const auto run_until = [&loop](Duration limit, const std::function<bool()>& done) {
    bool late = false;
    CallbackTimer timer(loop, [&] { late = true; });
    timer.arm_after(limit);
    loop.run_until([&] { return late || done(); });
  };
  run_until(std::chrono::seconds(20), [&] { return source->watched(); });  // files that changed just now are read again
  ASSERT_TRUE(source->watched());
  const uint64_t looks = source->looks();
  run_until(2 * DirectorySource::kPeriod, [] { return false; });
  EXPECT_EQ(source->looks(), looks);
  fs::create_directory_symlink("..v2", path / "..data_tmp");
  fs::rename(path / "..data_tmp", path / "..data");
  run_until(std::chrono::seconds(5), [&] { return told == 2; });
  EXPECT_EQ(told, 2u);
  EXPECT_LE(source->looks() - looks, 3u);
}

}  // namespace
}  // namespace gs::control
