#include "test/support/delegate_server.h"

#include <utility>

namespace gs::test {

DelegateSession::DelegateSession(Loop& loop, DelegateServer& server, net::HttpExchange& exchange)
    : loop_(loop), server_(server), exchange_(exchange), stream_(exchange), outgoing_ready_(loop), scope_(loop) {
  server_.sessions_.push_back(this);
}

DelegateSession::~DelegateSession() {
  scope_.cancel();
  server_.sessions_.remove(this);
}

std::optional<uint32_t> DelegateSession::pair_of(const std::string& cluster) const {
  for (const auto& [number, open] : pairs_) {
    if (open.cluster().name() == cluster) return number;
  }
  return std::nullopt;
}

// Messages of one turn leave in one write.
void DelegateSession::send_bytes(const std::string& bytes) {
  outgoing_ += net::grpc_frame(bytes);
  outgoing_ready_.wake_all();
}

Task<CallAnswer> DelegateSession::call(pb::Call call) {
  const uint64_t id = next_call_++;
  const auto waiting = std::make_shared<Waiting>(loop_);
  calls_[id] = waiting;
  pb::DelegateMessage message;
  call.set_id(id);
  *message.mutable_call() = std::move(call);
  send(message);
  co_await waiting->done.wait();
  calls_.erase(id);
  co_return std::move(waiting->answer);
}

void DelegateSession::call_and_forget(pb::Call call) {
  pb::DelegateMessage message;
  call.set_id(next_call_++);
  *message.mutable_call() = std::move(call);
  send(message);
}

Task<void> DelegateSession::write() {
  while (!ended_) {
    if (outgoing_.empty()) {
      co_await outgoing_ready_.wait();
      continue;
    }
    std::string bytes = std::exchange(outgoing_, std::string());
    const Status sent = co_await exchange_.write(std::move(bytes), kNoDeadline);
    if (!sent) co_return;
  }
}

Task<void> DelegateSession::run() {
  pb::DelegateMessage hello;
  hello.mutable_hello()->set_protocol_version(1);
  hello.mutable_hello()->set_identity("test-delegate");
  hello.mutable_hello()->set_max_in_flight(server_.options_.max_in_flight);
  hello.mutable_hello()->set_max_reviews_in_flight(server_.options_.max_reviews);
  hello.mutable_hello()->set_revision(server_.options_.revision);
  for (const std::string& word : server_.options_.capabilities) hello.mutable_hello()->add_capabilities(word);
  send(hello);
  stream_.start();
  scope_.spawn(write());
  while (true) {
    auto message = co_await stream_.receive();
    if (!message) break;  // the stream broke
    if (!*message) {
      stream_.finish(net::GrpcCode::kOk);
      break;
    }
    const Status heard = hear(**message);
    if (!heard) {
      stream_.finish(net::GrpcCode::kInvalidArgument, heard.error().message);
      break;
    }
  }
  ended_ = true;
}

Status DelegateSession::hear(const std::string& bytes) {
  pb::PlaneMessage message;
  if (!message.ParseFromString(bytes)) return fail(Code::kInvalid, "no PlaneMessage");
  switch (message.message_case()) {
    case pb::PlaneMessage::kHello:
      plane_ = message.hello().identity();
      epoch_ = message.hello().epoch();
      break;
    case pb::PlaneMessage::kOpen:
      pairs_[message.open().pair()] = message.open();
      break;
    case pb::PlaneMessage::kClose:
      pairs_.erase(message.close().pair());
      break;
    case pb::PlaneMessage::kConfig:
      configs_[message.config().pair()] = message.config();
      break;
    case pb::PlaneMessage::kReconcile:
      if (!pairs_.contains(message.reconcile().pair())) return fail(Code::kInvalid, "a Reconcile of a pair that was not opened");
      scope_.spawn(reconcile(std::move(*message.mutable_reconcile())));
      break;
    case pb::PlaneMessage::kAdmit:
      if (!pairs_.contains(message.admit().pair())) return fail(Code::kInvalid, "an Admit of a pair that was not opened");
      scope_.spawn(admit(std::move(*message.mutable_admit())));
      break;
    case pb::PlaneMessage::kConvert:
      if (!pairs_.contains(message.convert().pair())) return fail(Code::kInvalid, "a Convert of a pair that was not opened");
      scope_.spawn(convert(std::move(*message.mutable_convert())));
      break;
    case pb::PlaneMessage::kCallResult: {
      pb::CallResult& part = *message.mutable_call_result();
      const auto found = calls_.find(part.id());
      if (found == calls_.end()) break;
      CallAnswer& answer = found->second->answer;
      if (part.status() != 0) answer.status = static_cast<int>(part.status());
      answer.body += part.body();
      if (!part.end()) {
        pb::DelegateMessage window;
        window.mutable_window()->set_id(part.id());
        window.mutable_window()->set_bytes(static_cast<uint32_t>(part.body().size()));
        send(window);
      } else {
        found->second->done.set();
      }
      break;
    }
    case pb::PlaneMessage::kCancel:
      // What still runs for it may go on: its calls are refused.
      reviews_.erase(message.cancel().id());
      break;
    case pb::PlaneMessage::kPing: {
      pb::DelegateMessage pong;
      pong.mutable_ping()->set_payload(message.ping().payload());
      send(pong);
      break;
    }
    default: break;
  }
  return ok();
}

Task<void> DelegateSession::reconcile(pb::Reconcile reconcile) {
  const uint64_t id = reconcile.id();
  const std::string key = std::to_string(reconcile.pair()) + " " + reconcile.namespace_() + "/" + reconcile.name();
  for (const auto& [other, busy] : reconciles_) {
    if (busy == key) server_.logic_.overlapping(key);
  }
  reconciles_[id] = key;
  ++server_.reconciles_;
  Task<pb::Result> deciding = server_.logic_.reconcile(*this, std::move(reconcile));
  pb::Result result = co_await deciding;
  reconciles_.erase(id);
  pb::DelegateMessage message;
  result.set_id(id);
  *message.mutable_result() = std::move(result);
  send(message);
}

Task<void> DelegateSession::admit(pb::Admit admit) {
  const uint64_t id = admit.id();
  reviews_.insert(id);
  Task<pb::Admitted> deciding = server_.logic_.admit(*this, std::move(admit));
  pb::Admitted admitted = co_await deciding;
  reviews_.erase(id);
  pb::DelegateMessage message;
  admitted.set_id(id);
  *message.mutable_admitted() = std::move(admitted);
  send(message);
}

Task<void> DelegateSession::convert(pb::Convert convert) {
  const uint64_t id = convert.id();
  reviews_.insert(id);
  Task<pb::Converted> converting = server_.logic_.convert(*this, std::move(convert));
  pb::Converted converted = co_await converting;
  reviews_.erase(id);
  pb::DelegateMessage message;
  converted.set_id(id);
  *message.mutable_converted() = std::move(converted);
  send(message);
}

Task<pb::Admitted> DelegateServer::Logic::admit(DelegateSession&, pb::Admit) {
  pb::Admitted out;
  out.mutable_undecided()->set_message("this delegate admits nothing");
  co_return out;
}

Task<pb::Converted> DelegateServer::Logic::convert(DelegateSession&, pb::Convert) {
  pb::Converted out;
  out.mutable_undecided()->set_message("this delegate converts nothing");
  co_return out;
}

Task<void> DelegateServer::handle(net::HttpExchange& exchange) {
  if (!net::GrpcServerStream::matches(exchange.request())) {
    exchange.respond(net::HttpHead(415), {});
    co_return;
  }
  DelegateSession session(loop_, *this, exchange);
  co_await session.run();
}

}  // namespace gs::test
