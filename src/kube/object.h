// A Kubernetes object as caches hold it: one allocation of a small header and its raw JSON, fully
// validated once, immutable, without managedFields. Nobody parses spec or status before someone asks.
// Counted without atomics: an object lives on one loop; what crosses loops is copied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace gs::kube {

struct ParseOptions {
  bool keep_managed_fields = false;
};

class ObjectRef;

class Object {
 public:
  // `json` is one object of the API: metadata.name is needed; kind and apiVersion may be absent (the
  // items of a typed list carry none) and are then taken from the arguments and written into the raw
  // JSON, so that what is cached is complete. Errors: kInvalid with the reason.
  static Result<ObjectRef> parse(std::string_view json, const ParseOptions& options = {},
                                 std::string_view default_api_version = {}, std::string_view default_kind = {});

  std::string_view json() const { return std::string_view(data(), json_size_); }
  std::string_view api_version() const { return view(api_version_); }
  std::string_view kind() const { return view(kind_); }
  std::string_view name() const { return view(name_); }
  std::string_view ns() const { return view(namespace_); }  // metadata.namespace; empty when cluster-scoped
  std::string_view uid() const { return view(uid_); }
  // As text; versions are compared with compare_versions().
  std::string_view resource_version() const { return view(resource_version_); }
  int64_t generation() const { return generation_; }
  bool deleting() const { return deleting_; }  // metadata.deletionTimestamp is set
  // Raw JSON of the member, empty when absent.
  std::string_view labels() const { return view(labels_); }
  std::string_view annotations() const { return view(annotations_); }
  std::string_view owner_references() const { return view(owner_references_); }
  std::string_view finalizers() const { return view(finalizers_); }
  // Bytes of the one allocation.
  size_t footprint() const { return sizeof(Object) + json_size_ + tail_size_; }

  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

 private:
  friend class ObjectRef;
  // Where a part stands in the JSON behind this header.
  struct Span {
    uint32_t at = 0;
    uint32_t size = 0;
  };
  Object() = default;
  ~Object() = default;
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  std::string_view view(Span span) const { return std::string_view(data() + span.at, span.size); }
  void retain() const { ++references_; }
  void release() const;

  mutable uint32_t references_ = 1;
  uint32_t json_size_ = 0;
  uint32_t tail_size_ = 0;  // of texts that were unescaped
  bool deleting_ = false;
  int64_t generation_ = 0;
  Span api_version_, kind_, name_, namespace_, uid_, resource_version_;
  Span labels_, annotations_, owner_references_, finalizers_;
};

class ObjectRef {
 public:
  ObjectRef() = default;
  ObjectRef(const ObjectRef& other) : object_(other.object_) {
    if (object_ != nullptr) object_->retain();
  }
  ObjectRef(ObjectRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  ObjectRef& operator=(ObjectRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~ObjectRef() {
    if (object_ != nullptr) object_->release();
  }
  explicit operator bool() const { return object_ != nullptr; }
  const Object& operator*() const { return *object_; }
  const Object* operator->() const { return object_; }
  const Object* get() const { return object_; }

 private:
  friend class Object;
  explicit ObjectRef(const Object* adopted) : object_(adopted) {}
  const Object* object_ = nullptr;
};

// Resource versions are decimal numbers of any length without leading zeros (KEP-5504): the longer
// is the newer, equal lengths compare as text. Negative, zero, positive as a <=> b. Anything that is
// not such a number compares as unknown (nullopt).
struct VersionOrder {
  bool comparable = false;
  int order = 0;
};
VersionOrder compare_versions(std::string_view a, std::string_view b);

}  // namespace gs::kube
