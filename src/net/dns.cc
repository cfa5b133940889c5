#include "net/dns.h"

#include <ares.h>
#include <netinet/in.h>

#include <map>
#include <utility>

#include "runtime/sync.h"

namespace gs::net {
namespace {

struct Lookup;

// Lives in the frame of resolve(); the query in c-ares may outlive it.
struct Waiting {
  explicit Waiting(Loop& loop) : done(loop) {}
  ~Waiting();
  Event done;
  Lookup* lookup = nullptr;
  Result<std::vector<IpAddress>> addresses = fail(Code::kInternal, "no answer");
};

// Given to c-ares, freed by its answer.
struct Lookup {
  Waiting* waiting = nullptr;
  std::string host;
};

Waiting::~Waiting() {
  if (lookup != nullptr) lookup->waiting = nullptr;
}

Error lookup_error(const std::string& host, int status) {
  if (status == ARES_ENOTFOUND || status == ARES_ENODATA) {
    return Error(Code::kUnavailable, fmt::format("lookup {}: no such host", host));
  }
  if (status == ARES_ETIMEOUT) {
    return Error(Code::kUnavailable, fmt::format("lookup {}: no name server answered", host));
  }
  return Error(Code::kUnavailable, fmt::format("lookup {}: {}", host, ares_strerror(status)));
}

void answered(void* argument, int status, int /*timeouts*/, ares_addrinfo* answer) {
  const std::unique_ptr<Lookup> lookup(static_cast<Lookup*>(argument));
  std::vector<IpAddress> addresses;
  if (answer != nullptr) {
    for (auto* node = answer->nodes; node != nullptr; node = node->ai_next) {
      if (auto address = IpAddress::from_sockaddr(*node->ai_addr)) addresses.push_back(*address);
    }
    ares_freeaddrinfo(answer);
  }
  Waiting* waiting = lookup->waiting;
  if (waiting == nullptr) return;
  waiting->lookup = nullptr;
  if (status == ARES_SUCCESS && addresses.empty()) status = ARES_ENODATA;
  if (status == ARES_SUCCESS) {
    waiting->addresses = std::move(addresses);
  } else {
    waiting->addresses = tl::unexpected<Error>(lookup_error(lookup->host, status));
  }
  waiting->done.set();
}

}  // namespace

struct CaresResolver::Channel final : private Timer {
  Channel(UvLoop& loop, const DnsOptions& dns) : Timer(loop), uv(loop) {
    ares_options options{};
    options.timeout = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(dns.timeout).count());
    options.tries = dns.tries;
    options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
      static_cast<Channel*>(self)->watch(fd, readable != 0, writable != 0);
    };
    options.sock_state_cb_data = this;
    const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    GS_CHECK(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
    GS_CHECK(ares_init_options(&ares, &options, mask) == ARES_SUCCESS);
    if (!dns.servers.empty()) {
      GS_CHECK(ares_set_servers_ports_csv(ares, dns.servers.c_str()) == ARES_SUCCESS);
    }
  }
  ~Channel() override {
    ares_destroy(ares);
    while (!polls.empty()) watch(polls.begin()->first, false, false);
    ares_library_cleanup();
  }

  // c-ares tells which sockets it wants to hear about.
  void watch(ares_socket_t fd, bool readable, bool writable) {
    auto& poll = polls[fd];
    if (!readable && !writable) {
      if (poll != nullptr) UvLoop::close_and_delete(poll);
      polls.erase(fd);
      return;
    }
    if (poll == nullptr) {
      poll = new uv_poll_t{};
      poll->data = this;
      GS_CHECK(uv_poll_init(uv.uv(), poll, fd) == 0);
    }
    const int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    uv_poll_start(poll, events, [](uv_poll_t* handle, int status, int happened) {
      auto& self = *static_cast<Channel*>(handle->data);
      const UvLoop::Activation activation(self.uv);
      uv_os_fd_t ready = -1;
      uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &ready);
      const bool in = status < 0 || (happened & UV_READABLE) != 0;
      const bool out = status < 0 || (happened & UV_WRITABLE) != 0;
      self.process(in ? ready : ARES_SOCKET_BAD, out ? ready : ARES_SOCKET_BAD);
    });
  }

  void process(ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(ares, readable, writable);
    arm();
  }

  // To c-ares' earliest retry.
  void arm() {
    timeval time{};
    if (ares_timeout(ares, nullptr, &time) == nullptr) {
      disarm();
      return;
    }
    // A little later than asked: c-ares compares strictly.
    arm_after(std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec) + std::chrono::milliseconds(1));
  }
  void fired() override { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }

  void start(Waiting& waiting, const std::string& host) {
    auto* lookup = new Lookup();
    lookup->waiting = &waiting;
    lookup->host = host;
    waiting.lookup = lookup;
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(ares, host.c_str(), nullptr, &hints, &answered, lookup);
    arm();
  }

  UvLoop& uv;
  ares_channel ares = nullptr;
  std::map<ares_socket_t, uv_poll_t*> polls;
};

CaresResolver::CaresResolver(UvLoop& loop, const DnsOptions& options)
    : channel_(std::make_unique<Channel>(loop, options)) {}
CaresResolver::~CaresResolver() = default;

Task<Result<std::vector<IpAddress>>> CaresResolver::resolve(std::string host, MonoTime deadline) {
  if (const auto numeric = IpAddress::parse(host)) {
    std::vector<IpAddress> only(1, *numeric);
    co_return only;
  }
  if (host.empty()) co_return fail(Code::kInvalid, "lookup: empty host name");
  Waiting waiting(channel_->uv);
  channel_->start(waiting, host);
  const bool in_time = co_await waiting.done.wait(deadline);
  if (!in_time) co_return fail(Code::kDeadlineExceeded, "lookup {}: deadline exceeded", host);
  co_return std::move(waiting.addresses);
}

}  // namespace gs::net
