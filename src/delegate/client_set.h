// ClientSet: the clients of one loop, shared by all Controllers whose delegate has the same origin and
// that may share streams (the same tenant, or all tenants where sessionIsolation is Shared).
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "delegate/client.h"
#include "kube/server_url.h"

namespace gs::delegate {

class ClientSet {
 public:
  // Makes what opens streams to an origin.
  using MakeDialer = std::function<std::unique_ptr<Dialer>(const kube::ServerUrl&)>;

  // One user of a client; the last one to go lets its streams finish. The set outlives it.
  class Handle {
   public:
    Handle() = default;
    Handle(ClientSet* set, Client* client) : set_(set), client_(client) {}
    Handle(Handle&& other) noexcept { *this = std::move(other); }
    Handle& operator=(Handle&& other) noexcept {
      std::swap(set_, other.set_);
      std::swap(client_, other.client_);
      return *this;
    }
    ~Handle() {
      if (client_ != nullptr) set_->release(*client_);
    }
    Client* operator->() const { return client_; }
    Client& operator*() const { return *client_; }
    explicit operator bool() const { return client_ != nullptr; }

   private:
    ClientSet* set_ = nullptr;
    Client* client_ = nullptr;
  };

  ClientSet(Loop& loop, MakeDialer make_dialer, ClientOptions options, Client::Observer& observer)
      : loop_(loop), make_dialer_(std::move(make_dialer)), options_(std::move(options)), observer_(observer), scope_(loop) {}

  // For one tenant; with `shared` for all.
  Handle acquire(const kube::ServerUrl& url, const std::string& tenant, bool shared);
  void for_each(const std::function<void(Client&)>& visit) const;
  // Of all clients since the start, also of those that are gone.
  SessionStats counts() const;
  // All of them, to the deadline.
  void drain(MonoTime deadline);

 private:
  static constexpr Duration kGoodbye = std::chrono::seconds(5);

  struct Slot {
    std::unique_ptr<Client> client;
    size_t users = 0;
  };
  void release(Client& client);
  Task<void> let_go(std::unique_ptr<Client> client);

  Loop& loop_;
  MakeDialer make_dialer_;
  ClientOptions options_;
  Client::Observer& observer_;
  std::map<std::string, Slot> slots_;
  uint32_t next_id_ = 1;
  SessionStats departed_;
  TaskScope scope_;
};

}  // namespace gs::delegate
