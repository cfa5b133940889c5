// Files of ours that must be whole, or hold secrets. Blocking; any thread. Errors are kInvalid and name the path.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.h"

namespace gs {

inline constexpr mode_t kOwnerOnlyDirectory = 0700;
inline constexpr mode_t kSecretFile = 0600;
inline constexpr mode_t kPublicFile = 0644;

bool file_exists(const std::string& path);
// Whole or not at all, and on the disk when it returns.
Status write_whole_file(const std::string& path, const std::string& text, mode_t mode);
// Lets this process and its children have as many files and sockets open as they may at all (the soft limit becomes the
// hard one), and says how many that is.
size_t raise_file_limit();
// Makes renames within it last. Errors do no harm: what was renamed is whole.
void sync_directory(const std::string& path);
// Made where it is missing, for its owner alone; one that others may look into is refused rather than changed.
Status make_private_directory(const std::string& path);
// The same with the directories above it, those as the umask has them.
Status make_private_directories(const std::string& path);

}  // namespace gs
