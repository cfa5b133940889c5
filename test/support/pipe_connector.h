// A connector whose dials end in memory: at an acceptor, at raw peers that a test holds, or in an error.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "net/byte_stream.h"
#include "test/support/pipe_stream.h"

namespace gs::test {

// A peer that speaks bytes.
class BytePeer final : private net::ByteStream::Handler {
 public:
  explicit BytePeer(std::unique_ptr<net::ByteStream> s) : stream(std::move(s)) { stream->start(*this); }
  std::unique_ptr<net::ByteStream> stream;
  std::string received;
  bool closed = false;

 private:
  void on_data(std::string_view bytes) override { received += bytes; }
  void on_closed(const Error&) override { closed = true; }
};

class PipeConnector final : public net::Connector {
 public:
  explicit PipeConnector(Loop& loop) : loop_(loop) {}

  Task<Result<std::unique_ptr<net::ByteStream>>> connect(net::Endpoint endpoint, MonoTime) override {
    ++dials;
    last = std::move(endpoint);
    if (error) co_return fail(Error(*error));
    auto [client, remote] = PipeStream::make(loop_, {}, alpn);
    clients.push_back(client.get());
    if (acceptor != nullptr) {
      acceptor->accepted(std::move(remote));
    } else {
      peers.push_back(std::make_unique<BytePeer>(std::move(remote)));
    }
    std::unique_ptr<net::ByteStream> out = std::move(client);
    co_return out;
  }

  int dials = 0;
  net::Endpoint last{"", 0};
  std::optional<Error> error;
  std::string alpn;
  net::Listener::Acceptor* acceptor = nullptr;  // null: raw peers
  std::vector<std::unique_ptr<BytePeer>> peers;
  std::vector<PipeStream*> clients;             // as long as they live

 private:
  Loop& loop_;
};

}  // namespace gs::test
