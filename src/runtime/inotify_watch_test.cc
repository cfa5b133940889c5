#include "runtime/inotify_watch.h"

#include <filesystem>
#include <fstream>

namespace gs {
namespace {

namespace fs = std::filesystem;
using Followed = FileWatch::Followed;

class InotifyWatchTest : public testing::Test {
 protected:
  InotifyWatchTest() : path(fs::temp_directory_path() / ("gs-inotify-" + std::to_string(::getpid()))), watch(InotifyWatch::make(loop)) {
    fs::remove_all(path);
    fs::create_directories(path / "one");
    fs::create_directories(path / "two");
  }
  ~InotifyWatchTest() override { fs::remove_all(path); }
  std::string one() const { return path / "one"; }
  std::string two() const { return path / "two"; }
  static void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }
  // Whether a change is told within a while.
  bool told(Duration within = std::chrono::milliseconds(50)) {
    bool late = false;
    CallbackTimer timer(loop, [&] { late = true; });
    timer.arm_after(within);
    loop.run_until([&] { return late || watch->changed.is_set(); });
    return watch->changed.is_set();
  }
  bool told_of(const std::function<void()>& change) {
    watch->forget();
    EXPECT_FALSE(told()) << "of nothing";
    change();
    return told(std::chrono::seconds(5));
  }

  fs::path path;
  UvLoop loop;
  std::unique_ptr<InotifyWatch> watch;
};

TEST_F(InotifyWatchTest, TellsOfEachWayInWhichFilesChange) {
  write(path / "one/a", "1");
  ASSERT_EQ(watch->follow({one()}), Followed::kNow);
  EXPECT_EQ(watch->follow({one()}), Followed::kAlready);
  EXPECT_TRUE(told_of([&] { write(path / "one/b", ""); })) << "made";
  EXPECT_TRUE(told_of([&] { std::ofstream(path / "one/a", std::ios::app) << "2"; })) << "written in place";
  EXPECT_TRUE(told_of([&] { fs::rename(path / "one/b", path / "one/a"); })) << "replaced";
  EXPECT_TRUE(told_of([&] { fs::permissions(path / "one/a", fs::perms::owner_read); })) << "of other rights";
  EXPECT_TRUE(told_of([&] { fs::remove(path / "one/a"); })) << "removed";
  EXPECT_TRUE(told_of([&] { fs::create_directory_symlink("../two", path / "one/..data"); })) << "a link";
}

TEST_F(InotifyWatchTest, TellsNothingOfDirectoriesThatAreNotFollowedAnyMore) {
  watch->follow({one(), two()});
  EXPECT_EQ(watch->follow({two()}), Followed::kAlready);
  watch->forget();
  write(path / "one/a", "1");
  EXPECT_FALSE(told());
  EXPECT_TRUE(told_of([&] { write(path / "two/a", "1"); }));
}

TEST_F(InotifyWatchTest, FollowsWhateverNowHasTheName) {
  watch->follow({one()});
  EXPECT_TRUE(told_of([&] { fs::rename(path / "one", path / "old"); }));
  EXPECT_EQ(watch->follow({one()}), Followed::kNot) << "there is none";
  fs::create_directory(path / "one");
  EXPECT_EQ(watch->follow({one()}), Followed::kNow);
  EXPECT_TRUE(told_of([&] { write(path / "one/a", "1"); }));
  watch->forget();
  write(path / "old/a", "1");
  EXPECT_FALSE(told());
}

TEST_F(InotifyWatchTest, MoreChangesThanTheKernelKeepsAreAChange) {
  write(path / "one/1", "");
  write(path / "one/2", "");
  watch->follow({one()});
  watch->forget();
  // By turns: the kernel keeps one of several equal ones.
  for (int i = 0; i < 20'000; ++i) fs::permissions(path / "one" / std::to_string(1 + i % 2), fs::perms::owner_read);
  EXPECT_TRUE(told(std::chrono::seconds(5)));
  EXPECT_TRUE(told_of([&] { fs::remove(path / "one/1"); })) << "and all works as before";
}

TEST_F(InotifyWatchTest, WhatTheKernelAloneChangesIsNotFollowed) { EXPECT_EQ(watch->follow({"/proc"}), Followed::kNot); }

}  // namespace
}  // namespace gs
