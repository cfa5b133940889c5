// Opens sessions' streams by gRPC (gulfstream.delegate.v1.Delegate/Session) over HTTP/2: one
// connection a stream, so that a stream's loss is a connection's. What is dialled and shown: dial.h. Redirects do
// not exist in gRPC: an answer other than 200 is an error.
#pragma once

#include <memory>
#include <string>

#include "delegate/dial.h"
#include "delegate/message_stream.h"

namespace gs::delegate {

class GrpcDialer final : public Dialer {
 public:
  GrpcDialer(const DialerDeps& deps, kube::ServerUrl url) : deps_(deps), url_(std::move(url)) {}
  Task<Result<std::vector<std::string>>> resolve(MonoTime deadline) override;
  Task<Result<std::unique_ptr<MessageStream>>> dial(std::string address, MonoTime deadline) override;
  const std::string& origin() const override { return url_.text; }

 private:
  DialerDeps deps_;
  kube::ServerUrl url_;
};

}  // namespace gs::delegate
