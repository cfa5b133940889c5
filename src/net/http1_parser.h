// An incremental parser of HTTP/1.1 messages, requests or responses: bytes in, one message after the
// other out. Boost.Beast does the parsing, behind this; nothing here does I/O. Internal to src/net.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"

namespace gs::net {

class Http1Parser {
 public:
  enum class Kind { kRequest, kResponse };

  Http1Parser(Kind kind, size_t max_head_bytes);
  ~Http1Parser();

  // Begins the next message with what is left of the bytes. `without_body`: it answers a HEAD.
  Status next(bool without_body = false);
  // Takes bytes; parses until the present message is complete and keeps the rest. kTooLarge: the
  // head is over the limit. kInvalid: not HTTP/1.1.
  Status feed(std::string_view bytes);
  // The peer sends no more. An error where the message is not complete by that.
  Status finish();

  bool head_done() const;
  bool done() const;
  // Bytes behind the present message, or the beginning of its head.
  size_t pending() const { return pending_.size(); }
  bool started() const { return started_; }

  // Once head_done().
  int version() const { return version_; }  // 10 or 11
  int status() const { return status_; }
  std::string& method() { return method_; }
  std::string& target() { return target_; }
  Headers& headers() { return headers_; }
  bool keep_alive() const;
  std::optional<uint64_t> content_length() const;
  bool chunked() const;
  // The connection belongs to another protocol from here on.
  bool upgrade() const;

  // Of the body, what has been parsed since the last call.
  std::string take_body() { return std::exchange(body_, {}); }
  Headers& trailers() { return trailers_; }

 private:
  class Impl;
  Status run(std::string_view bytes, size_t& used);

  Kind kind_;
  size_t max_head_bytes_;
  std::unique_ptr<Impl> impl_;
  std::string pending_;
  bool started_ = false;
  int version_ = 0;
  int status_ = 0;
  std::string method_;
  std::string target_;
  Headers headers_;
  Headers trailers_;
  std::string body_;
};

}  // namespace gs::net
