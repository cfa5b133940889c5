// Names to addresses, on the loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "net/cidr.h"
#include "runtime/uv_loop.h"
#include "runtime/task.h"

namespace gs::net {

class Resolver {
 public:
  virtual ~Resolver() = default;
  // All addresses of a name, both families, best first; never empty. A numeric host is answered at
  // once. Errors: kUnavailable (no such host, name server failing), kDeadlineExceeded.
  virtual Task<Result<std::vector<IpAddress>>> resolve(std::string host, MonoTime deadline) = 0;
};

struct DnsOptions {
  // "address:port,..." instead of those in /etc/resolv.conf.
  std::string servers;
  // An unanswered query is repeated after this time, then after twice of it: with the defaults a
  // name that nobody answers fails after 2 + 4 seconds per name server.
  Duration timeout = std::chrono::seconds(2);
  int tries = 2;
};

// c-ares on the loop's own epoll: queries do not wait for each other, and no thread is involved.
// Honours /etc/hosts and the search list. Outlives every resolve().
class CaresResolver final : public Resolver {
 public:
  explicit CaresResolver(UvLoop& loop, const DnsOptions& options = {});
  ~CaresResolver() override;
  CaresResolver(const CaresResolver&) = delete;
  CaresResolver& operator=(const CaresResolver&) = delete;
  Task<Result<std::vector<IpAddress>>> resolve(std::string host, MonoTime deadline) override;

 private:
  struct Channel;
  std::unique_ptr<Channel> channel_;
};

}  // namespace gs::net
