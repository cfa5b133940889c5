// The stream of messages under a session: gRPC in production (grpc_dialer.h), a pair of queues in
// tests. One loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "runtime/task.h"

namespace gs::delegate {

class MessageStream {
 public:
  // Destroying it resets the stream.
  virtual ~MessageStream() = default;
  // Buffered; never blocks. unsent() says how much waits for the peer's window.
  virtual void send(const std::string& message) = 0;
  virtual size_t unsent() const = 0;
  // Waits until at most so much is unsent; kDeadlineExceeded, or what ended the stream.
  virtual Task<Status> wait_unsent(size_t at_most, MonoTime deadline) = 0;
  // The next message; nullopt when the peer ended the stream with status OK.
  virtual Task<Result<std::optional<std::string>>> receive(MonoTime deadline) = 0;
  // No more from us; the peer may still send.
  virtual void half_close() = 0;
  // Returns when the server says that it will end the connection (GOAWAY); maybe never.
  virtual Task<void> wait_going_away() = 0;
};

// Opens streams to one delegate.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // The addresses that the delegate has now, never none; each is an endpoint.
  virtual Task<Result<std::vector<std::string>>> resolve(MonoTime deadline) = 0;
  virtual Task<Result<std::unique_ptr<MessageStream>>> dial(std::string address, MonoTime deadline) = 0;
  // For logs and conditions: "https://delegate.example:8443".
  virtual const std::string& origin() const = 0;
};

}  // namespace gs::delegate
