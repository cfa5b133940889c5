// For tests: a KubeTransport whose answers a test writes, and whose open streams it holds in its hand.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kube/transport.h"
#include "runtime/sync.h"

namespace gs::cache {

class ScriptedTransport final : public kube::KubeTransport {
 public:
  // The server's end of an open answer.
  struct Stream {
    explicit Stream(Loop& loop) : changed(loop) {}
    void say(const std::string& bytes) {
      buffer += bytes;
      changed.wake_all();
    }
    void end() {
      ended = true;
      changed.wake_all();
    }
    void fail_with(Error why) {
      error = std::move(why);
      changed.wake_all();
    }
    std::string target;
    std::string buffer;
    bool ended = false;
    bool dropped = false;  // by the client
    std::optional<Error> error;
    WaitQueue changed;
  };
  using StreamPtr = std::shared_ptr<Stream>;

  // What a request gets: an error, or a body, after which the stream ends unless `hold`.
  struct Reply {
    Reply() = default;
    Reply(Error e) : error(std::move(e)) {}  // NOLINT: as if it were the error
    Reply(std::string b, bool h = false) : body(std::move(b)), hold(h) {}  // NOLINT
    std::optional<Error> error;
    std::string body;
    bool hold = false;
    bool never = false;  // the head never comes
  };
  struct Seen {
    MonoTime at;
    std::string target;
    std::string accept;
    kube::Lane lane;
  };

  explicit ScriptedTransport(Loop& loop) : loop_(loop), never_(loop) {}

  Task<Result<kube::Response>> send(kube::Request) override { co_return fail(Code::kInternal, "not used"); }
  Task<Result<std::unique_ptr<kube::ResponseStream>>> open(kube::Request request) override {
    seen.push_back({loop_.now(), request.target, request.accept, request.lane});
    Reply reply = answer(request.target);
    co_await yield_turn(loop_);
    if (reply.never) {
      co_await sleep_until(loop_, request.deadline);
      co_return fail(Code::kDeadlineExceeded, "no answer");
    }
    if (reply.error) co_return fail(*reply.error);
    auto stream = std::make_shared<Stream>(loop_);
    stream->target = request.target;
    stream->buffer = std::move(reply.body);
    stream->ended = !reply.hold;
    if (reply.hold) held.push_back(stream);
    std::unique_ptr<kube::ResponseStream> out = std::make_unique<Reader>(std::move(stream));
    co_return out;
  }
  Task<Status> ready(kube::Lane, MonoTime deadline) override {
    if (!unreachable) co_return ok();
    co_await sleep_until(loop_, deadline);
    co_return fail(Code::kDeadlineExceeded, "cannot connect");
  }

  std::function<Reply(const std::string& target)> answer;
  std::vector<Seen> seen;
  std::vector<StreamPtr> held;
  bool unreachable = false;

 private:
  class Reader final : public kube::ResponseStream {
   public:
    explicit Reader(StreamPtr stream) : stream_(std::move(stream)) {}
    ~Reader() override { stream_->dropped = true; }
    Task<Result<std::string>> read(MonoTime deadline) override {
      while (stream_->buffer.empty()) {
        if (stream_->error) co_return fail(Error(*stream_->error));
        if (stream_->ended) co_return std::string();
        const bool woken = co_await stream_->changed.wait(deadline);
        if (!woken) co_return fail(Code::kDeadlineExceeded, "read: deadline exceeded");
      }
      co_return std::exchange(stream_->buffer, std::string());
    }

   private:
    StreamPtr stream_;
  };
  Loop& loop_;
  WaitQueue never_;
};

// Texts of the API.
inline std::string object_text(const std::string& ns, const std::string& name, int version, const std::string& uid = "",
                               const std::string& more = "") {
  return fmt::format(R"({{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"namespace":"{}","name":"{}","uid":"{}","resourceVersion":"{}"{}}}}})",
                     ns, name, uid.empty() ? "uid-" + name : uid, version, more);
}
inline std::string event_text(const std::string& type, const std::string& object) {
  return fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object);
}
inline std::string bookmark_text(int version, bool initial_end = false) {
  const char* annotations = initial_end ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : "";
  return event_text("BOOKMARK", fmt::format(R"({{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"resourceVersion":"{}"{}}}}})", version, annotations));
}
inline std::string error_text(int code, const std::string& reason, const std::string& message) {
  return event_text("ERROR", fmt::format(R"({{"kind":"Status","apiVersion":"v1","status":"Failure","message":"{}","reason":"{}","code":{}}})", message, reason, code));
}
inline std::string list_text(int version, const std::string& items, const std::string& next = "") {
  return fmt::format(R"({{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{"resourceVersion":"{}","continue":"{}"}},"items":[{}]}})", version, next, items);
}

}  // namespace gs::cache
