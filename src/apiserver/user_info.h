// Somebody who asks (k8s.io/apiserver's user.Info).
#pragma once

#include <map>
#include <string>
#include <vector>

namespace gs::apiserver {

struct UserInfo {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;

  bool anonymous() const { return name == "system:anonymous"; }
  bool in_group(const std::string& group) const;
  void ensure_group(const std::string& group);
};

inline constexpr const char* kAuthenticated = "system:authenticated";
inline constexpr const char* kUnauthenticated = "system:unauthenticated";
// Its members may do everything, whatever authorizers say.
inline constexpr const char* kMasters = "system:masters";

}  // namespace gs::apiserver
