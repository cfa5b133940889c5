#include "base/files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gs {
namespace {

constexpr mode_t kAnyDirectory = 0755;

Error system_error(const std::string& path) { return Error(Code::kInvalid, fmt::format("{}: {}", path, std::strerror(errno))); }

}  // namespace

bool file_exists(const std::string& path) {
  struct stat s {};
  return ::lstat(path.c_str(), &s) == 0;
}

Status write_whole_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return fail(system_error(temporary));
  size_t done = 0;
  bool good = true;
  while (good && done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    good = n > 0 || (n < 0 && errno == EINTR);
    if (n > 0) done += static_cast<size_t>(n);
  }
  good = good && ::fsync(fd) == 0;
  const Error error = system_error(temporary);
  ::close(fd);
  if (!good) return fail(error);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(system_error(path));
  return ok();
}

size_t raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

void sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

Status make_private_directory(const std::string& path) {
  if (::mkdir(path.c_str(), kOwnerOnlyDirectory) == 0) return ok();
  if (errno != EEXIST) return fail(system_error(path));
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return fail(system_error(path));
  if (!S_ISDIR(s.st_mode)) return fail(Code::kInvalid, "{}: is not a directory", path);
  if (s.st_uid != ::geteuid()) return fail(Code::kInvalid, "{}: belongs to another user; private keys are kept in it", path);
  if ((s.st_mode & 077) != 0) return fail(Code::kInvalid, "{}: may be looked into by others (mode {:04o}), and private keys are kept in it; chmod 0700 it", path, s.st_mode & 07777);
  return ok();
}

Status make_private_directories(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string above = path.substr(0, slash);
    if (::mkdir(above.c_str(), kAnyDirectory) != 0 && errno != EEXIST) return fail(system_error(above));
  }
  return make_private_directory(path);
}

}  // namespace gs
