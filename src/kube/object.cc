#include "kube/object.h"

#include <cstring>
#include <forward_list>
#include <functional>
#include <new>

#include "json/scan.h"
#include "json/value.h"

namespace gs::kube {
namespace {

// Objects are at most 1.5 MiB in etcd; anything near the span's 32 bits is not one.
constexpr size_t kMaxObjectBytes = 64 * 1024 * 1024;

// The edits between the text as received and as cached: members put behind the opening brace, and
// managedFields cut out.
struct Edits {
  size_t brace = 0;  // offset of the opening brace in the text
  std::string injected;
  size_t cut_at = 0;
  size_t cut_size = 0;

  size_t result_size(size_t text_size) const { return text_size - brace + injected.size() - cut_size; }
  size_t moved(size_t offset) const {
    return offset - brace + injected.size() - (offset > cut_at && cut_size > 0 ? cut_size : 0);
  }
  void write(std::string_view text, char* out) const {
    const auto copy = [&out](std::string_view part) {
      std::memcpy(out, part.data(), part.size());
      out += part.size();
    };
    copy(text.substr(brace, 1));
    copy(injected);
    if (cut_size == 0) return copy(text.substr(brace + 1));
    copy(text.substr(brace + 1, cut_at - brace - 1));
    copy(text.substr(cut_at + cut_size));
  }
};

std::string member(std::string_view key, std::string_view value) {
  std::string out = "\"" + std::string(key) + "\":";
  json::append_string(out, value);
  return out + ",";
}

Edits plan(std::string_view text, const json::ObjectScan& scan, const ParseOptions& options,
           std::string_view api_version, std::string_view kind) {
  Edits edits;
  edits.brace = text.find('{');
  if (scan.kind.empty() && !kind.empty()) edits.injected += member("kind", kind);
  if (scan.api_version.empty() && !api_version.empty()) edits.injected += member("apiVersion", api_version);
  if (!options.keep_managed_fields && !scan.managed_fields_member.empty()) {
    edits.cut_at = static_cast<size_t>(scan.managed_fields_member.data() - text.data());
    edits.cut_size = scan.managed_fields_member.size();
  }
  return edits;
}

}  // namespace

Result<ObjectRef> Object::parse(std::string_view text, const ParseOptions& options,
                                std::string_view default_api_version, std::string_view default_kind) {
  if (text.size() > kMaxObjectBytes) return fail(Code::kTooLarge, "an object of {} bytes", text.size());
  std::forward_list<std::string> unescaped;
  json::ScanOptions scan_options;
  scan_options.unescaped = &unescaped;
  GS_TRY(const json::ObjectScan scan, json::scan_object(text, scan_options));
  if (scan.name.empty()) return fail(Code::kInvalid, "metadata.name is missing");
  if (scan.managed_fields_repeated && !options.keep_managed_fields) {
    // No API server writes that. All of them go, by way of a tree.
    GS_TRY(json::Value tree, json::parse(text));
    tree["metadata"].make_object().erase("managedFields");
    return parse(tree.dump(), options, default_api_version, default_kind);
  }
  const Edits edits = plan(text, scan, options, default_api_version, default_kind);
  // Only one of the defaults' spans lies in the injected text; the others in the moved original.
  const size_t size = edits.result_size(text.size());
  // What was written with escapes stands behind the JSON as it is meant.
  size_t tail = 0;
  for (const std::string& part : unescaped) tail += part.size();
  void* memory = ::operator new(sizeof(Object) + size + tail);
  Object* object = new (memory) Object;
  object->json_size_ = static_cast<uint32_t>(size);
  object->tail_size_ = static_cast<uint32_t>(tail);
  char* out = reinterpret_cast<char*>(object + 1);
  edits.write(text, out);

  size_t end = size;
  const auto place = [&](std::string_view part) {
    Span span;
    if (part.empty()) return span;
    span.size = static_cast<uint32_t>(part.size());
    const bool inside = std::less_equal<>()(text.data(), part.data()) && std::less<>()(part.data(), text.data() + text.size());
    if (inside) {
      span.at = static_cast<uint32_t>(edits.moved(static_cast<size_t>(part.data() - text.data())));
    } else {
      span.at = static_cast<uint32_t>(end);
      end += part.copy(out + end, part.size());
    }
    return span;
  };
  const auto place_default = [&](std::string_view part, std::string_view key, std::string_view fallback) {
    if (!part.empty() || fallback.empty()) return place(part);
    Span span;
    span.at = static_cast<uint32_t>(1 + edits.injected.find(member(key, fallback)) + key.size() + 4);
    span.size = static_cast<uint32_t>(fallback.size());
    return span;
  };
  object->api_version_ = place_default(scan.api_version, "apiVersion", default_api_version);
  object->kind_ = place_default(scan.kind, "kind", default_kind);
  object->name_ = place(scan.name);
  object->namespace_ = place(scan.ns);
  object->uid_ = place(scan.uid);
  object->resource_version_ = place(scan.resource_version);
  object->labels_ = place(scan.labels);
  object->annotations_ = place(scan.annotations);
  object->owner_references_ = place(scan.owner_references);
  object->finalizers_ = place(scan.finalizers);
  object->generation_ = scan.generation;
  object->deleting_ = scan.deleting;
  return ObjectRef(object);
}

void Object::release() const {
  if (--references_ > 0) return;
  this->~Object();
  ::operator delete(const_cast<Object*>(this));
}

VersionOrder compare_versions(std::string_view a, std::string_view b) {
  const auto is_version = [](std::string_view v) {
    return !v.empty() && v.find_first_not_of("0123456789") == std::string_view::npos && (v[0] != '0' || v.size() == 1);
  };
  VersionOrder out;
  if (!is_version(a) || !is_version(b)) return out;
  out.comparable = true;
  if (a.size() != b.size()) {
    out.order = a.size() < b.size() ? -1 : 1;
  } else {
    out.order = a.compare(b);
  }
  return out;
}

}  // namespace gs::kube
