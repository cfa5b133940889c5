// Bytes of one message, field by field, as Go's generated code reads them; what is wrong is said in its words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schema/protobuf/message.h"

namespace gs::schema::protobuf {

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  // The next field; false at the end, and where the bytes are wrong. Whoever does not read its value skips it.
  bool next();
  uint32_t number() const { return number_; }
  Wire wire() const { return wire_; }
  // Whether bytes are left: of packed values, which have no tags.
  bool more() const { return !in_.empty(); }
  // The value of the field; of a group (which nobody writes) nothing is kept.
  void skip();
  uint64_t varint();
  uint64_t fixed64();
  std::string_view bytes();
  // Empty: nothing was wrong so far.
  const std::string& error() const { return error_; }

 private:
  void fail(const char* error);
  void skip_group();

  std::string_view in_;
  uint32_t number_ = 0;
  Wire wire_ = Wire::kVarint;
  std::string error_;
};

}  // namespace gs::schema::protobuf
