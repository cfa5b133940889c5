// Protobuf at the HTTP face: bodies become the JSON that everything behind it reads, and answers that JSON's protobuf
// (k8s.io/apimachinery/pkg/runtime/serializer/protobuf). Built-in types only: of custom resources there is none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/representation.h"

namespace gs::apiserver {

inline constexpr std::string_view kProtobuf = "application/vnd.kubernetes.protobuf";
inline constexpr std::string_view kProtobufWatch = "application/vnd.kubernetes.protobuf;stream=watch";

// 400 in kube-apiserver's words where it is no object of a built-in type.
Checked<std::string> protobuf_body(const ResourceType& type, const gateway::RestRequest& request, std::string_view body);

// An object, a list or a Status, by its kind; nullopt: there is no protobuf of that. `json` is valid.
std::optional<std::string> to_protobuf(std::string_view json);
// The answer in protobuf, if that is what the client wants and there is any of it.
Answer negotiated(Answer answer, const Representation& as);
// A list without ever having it as JSON.
std::string protobuf_list(const ResourceType& type, const Representation& as, const Presenter& presenter, const ListMeta& meta, const std::vector<StoredPtr>& items);
// Appends an event of a watch, with its length before it. `object` is JSON.
void protobuf_event(std::string_view event, std::string_view object, std::string& out);

}  // namespace gs::apiserver
