#include "control/directory_source.h"

#include <utility>

#include "base/log.h"

namespace gs::control {

struct DirectorySource::Reading {
  explicit Reading(Loop& loop) : done(loop) {}
  Event done;
  bool unchanged = false;
  std::string stamp;  // of before the reading
  Result<DirectoryContent> content = fail(Code::kInternal, "not read");
  std::vector<std::string> directories;  // to be watched
};

DirectorySource::DirectorySource(Loop& loop, std::string path, Sink sink, std::unique_ptr<FileWatch> watch)
    : loop_(loop), path_(std::move(path)), sink_(std::move(sink)), watch_(std::move(watch)), scope_(loop) {}

Result<std::unique_ptr<DirectorySource>> DirectorySource::start(Loop& loop, std::string path, Sink sink, std::unique_ptr<FileWatch> watch) {
  GS_TRY(DirectoryContent first, read_directory(path));
  std::unique_ptr<DirectorySource> source(new DirectorySource(loop, std::move(path), std::move(sink), std::move(watch)));
  source->scope_.spawn(source->run(std::move(first)));
  return source;
}

Task<void> DirectorySource::run(DirectoryContent first) {
  co_await sleep_for(loop_, Duration::zero());  // the sink is called from a turn
  files_ = first.files;
  adopt(std::exchange(first, DirectoryContent()));
  while (true) {
    auto waiting = wait();
    co_await waiting;
    if (watch_) watch_->forget();
    auto looking = look();
    const std::shared_ptr<Reading> reading = co_await looking;
    if (!reading->unchanged) read(*reading);
    // Only what is followed since before a look that found nothing new has nothing to hide.
    const bool followed = watch_ && watch_->follow(reading->directories) == FileWatch::Followed::kAlready;
    told_ = followed && reading->unchanged;
  }
}

Task<void> DirectorySource::wait() {
  co_await sleep_for(loop_, kPeriod);
  if (!told_) co_return;
  const bool changed = co_await watch_->changed.wait(saturating_add(loop_.now(), kLongPeriod));
  if (!changed) co_return;
  co_await sleep_for(loop_, kPause);
}

Task<std::shared_ptr<DirectorySource::Reading>> DirectorySource::look() {
  ++looks_;
  const auto reading = std::make_shared<Reading>(loop_);
  std::function<void()> work = [reading, path = path_, files = files_, stamp = stamp_, now = loop_.wall_now(), watched = watch_ != nullptr] {
    reading->stamp = directory_stamp(path, files, now);
    reading->unchanged = !stamp.empty() && reading->stamp == stamp;
    if (!reading->unchanged) reading->content = read_directory(path);
    if (watched) reading->directories = directories_to_watch(path, !reading->unchanged && reading->content ? reading->content->files : files);
  };
  std::function<void()> done = [reading] { reading->done.set(); };
  loop_.run_blocking(std::move(work), std::move(done));
  co_await reading->done.wait();
  co_return reading;
}

void DirectorySource::read(Reading& reading) {
  ++readings_;
  // A stamp of other files than were read says nothing of them: one more reading then.
  stamp_ = reading.content && reading.content->files == files_ ? reading.stamp : "";
  if (reading.content) files_ = reading.content->files;
  const std::string before = problem_;
  problem_ = reading.content ? "" : reading.content.error().message;
  if (!problem_.empty() && problem_ != before) log::warning("configuration cannot be read", {{"err", problem_}});
  if (reading.content) adopt(*std::move(reading.content));
}

// A copy of this thread's: the other one made it among the trees of the YAML that it read, all of whose pages would
// stay for the sake of what is kept.
Desired DirectorySource::compact(const Desired& desired) {
  Desired out = desired;
  for (fleet::ClusterSpec& cluster : out.clusters) {
    if (cluster.connection != nullptr) cluster.connection = std::make_shared<const kube::ConnectionConfig>(*cluster.connection);
  }
  return out;
}

void DirectorySource::adopt(DirectoryContent content) {
  if (content.digest == digest_) return;
  digest_ = content.digest;
  for (const std::string& problem : content.problems) log::warning("configuration problem", {{"problem", problem}});
  log::info("configuration is read", {{"controllers", content.desired.controllers.size()}, {"clusters", content.desired.clusters.size()}});
  synced_ = true;
  sink_(compact(content.desired));
}

}  // namespace gs::control
