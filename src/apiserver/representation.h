// How a client wants to see objects (k8s.io/apiserver's negotiation of Accept): as they are, as a Table
// for people, or their metadata alone; and writing them so, whole, in lists and in watches.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/answer.h"
#include "apiserver/store.h"
#include "apiserver/table/json_path.h"
#include "apiserver/table/printers.h"
#include "gateway/rest_request.h"

namespace gs::apiserver {

struct Representation {
  enum class Kind { kObject, kTable, kPartial, kPartialList };
  enum class Include { kMetadata, kObject, kNone };  // of a Table's rows
  Kind kind = Kind::kObject;
  Include include = Include::kMetadata;
  std::string version = "v1";  // of meta.k8s.io
  bool protobuf = false;
  bool protobuf_errors = false;  // errors are never converted: they go by the first clause without `as`
};

// 406 where the client takes nothing that there is, 400 for a bad includeObject. `accept` may be null.
Checked<Representation> negotiate(const std::string* accept, const ResourceType& type, const gateway::RestRequest& request);
// How errors are answered before it is known what the request is about.
Representation negotiate_errors(const std::string* accept);

struct ListMeta {
  uint64_t version = 0;
  std::string next;                         // continue; empty: the end
  std::optional<uint64_t> remaining;
};

// Writes the objects of one type in one representation. A Table's columns are written once, with the
// first event, where it serves a watch.
class Presenter {
 public:
  Presenter(const ResourceType& type, Representation representation, WallTime now);
  // 406 where the representation is not for that: a list's for an object, an object's for a list.
  std::optional<Answer> refuses(bool list) const;

  // One object, whole: the answer to a get, or the object of a watch event.
  void object(const Stored& object, std::string& out);
  // The same of one that is not stored: without kind and apiVersion, or, but in its own representation, with them.
  void object(std::string_view json, std::string& out);
  void list(const ListMeta& meta, const std::vector<StoredPtr>& items, std::string& out);
  // The same in parts: the head, the items with commas between, the end.
  void begin_list(const ListMeta& meta, std::string& out);
  void item(const Stored& item, std::string& out) const;
  // A whole list of nothing.
  void empty_list(const ListMeta& meta, std::string& out);
  static void end_list(std::string& out) { out += "]}"; }
  bool plain() const { return as_.kind == Representation::Kind::kObject; }
  // What is written here is JSON all the same, and made protobuf of where it is sent.
  bool protobuf() const { return as_.protobuf; }
  std::string watch_type() const;
  std::string go_type() const;
  // Ages count to this time.
  void set_now(WallTime now) { now_ = now; }

 private:
  void columns(std::string& out);
  void row(const json::Value& printed, std::string_view json, std::string& out) const;
  void table(const json::Value& printed, std::string_view json, std::string& out);
  std::string told(const Stored& object) const;
  void partial(std::string_view json, std::string& out) const;
  json::Array cells(const json::Value& object, const char*& completed) const;

  const ResourceType& type_;
  Representation as_;
  WallTime now_;
  std::string prefix_;
  std::string item_prefix_;  // items of typed lists have none
  const table::Printer* printer_ = nullptr;  // of a built-in resource
  struct CustomColumn {
    table::Column column;
    std::optional<table::JsonPath> path;  // absent: it cannot be read, and its cells are null
  };
  std::vector<CustomColumn> custom_;
  bool columns_written_ = false;
};

}  // namespace gs::apiserver
