#include "apiserver/representation.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "apiserver/protobuf.h"
#include "apiserver/version_view.h"
#include "base/strings.h"
#include "json/scan.h"
#include "json/writer.h"

namespace gs::apiserver {
namespace {

using json::Value;
using Kind = Representation::Kind;

struct Clause {
  std::string_view type;
  std::string_view as, group, version;
  double quality = 1;
};

Clause read_clause(std::string_view text) {
  Clause out;
  bool first = true;
  for (const std::string_view raw : split(text, ';')) {
    const std::string_view part = trim(raw);
    const size_t equals = part.find('=');
    const std::string_view key = trim(part.substr(0, equals)), value = equals == std::string_view::npos ? "" : trim(part.substr(equals + 1));
    if (std::exchange(first, false)) out.type = part;
    if (key == "as") out.as = value;
    if (key == "g") out.group = value;
    if (key == "v") out.version = value;
    if (key == "q") std::from_chars(value.data(), value.data() + value.size(), out.quality);
  }
  return out;
}

// The most wanted first.
std::vector<Clause> read_clauses(const std::string* accept) {
  std::vector<Clause> out;
  if (accept == nullptr || accept->empty()) return out;
  for (const std::string_view text : split(*accept, ',')) out.push_back(read_clause(text));
  std::stable_sort(out.begin(), out.end(), [](const Clause& a, const Clause& b) { return a.quality > b.quality; });
  return out;
}

// nullopt: this server does not write that. `custom`: of custom resources only the metadata has protobuf.
std::optional<Representation> accepted(const Clause& clause, bool custom) {
  Representation out;
  out.protobuf = clause.type == kProtobuf;
  if (!out.protobuf && clause.type != "application/json" && clause.type != "*/*" && clause.type != "application/*") return std::nullopt;
  if (clause.as.empty() && clause.group.empty() && clause.version.empty()) return out.protobuf && custom ? std::nullopt : std::optional(out);
  if (clause.group != "meta.k8s.io" || (clause.version != "v1" && clause.version != "v1beta1")) return std::nullopt;
  out.version = clause.version;
  if (clause.as == "Table" && !out.protobuf) {
    out.kind = Kind::kTable;
  } else if (clause.as == "PartialObjectMetadata") {
    out.kind = Kind::kPartial;
  } else if (clause.as == "PartialObjectMetadataList") {
    out.kind = Kind::kPartialList;
  } else {
    return std::nullopt;
  }
  return out;
}

// `unstructured`: lists of custom resources are maps, which have their continue also where it is empty.
void write_list_meta(const ListMeta& meta, bool unstructured, std::string& out) {
  json::Writer writer(out);
  writer.begin_object().key("resourceVersion").string(std::to_string(meta.version));
  if (!meta.next.empty() || unstructured) writer.key("continue").string(meta.next);
  if (meta.remaining) writer.key("remainingItemCount").integer(static_cast<int64_t>(*meta.remaining));
  writer.end_object();
}

// tableconvertor's cellForJSONValue (k8s.io/apiextensions-apiserver).
Value custom_cell(const std::string& type, const Value* found, WallTime now) {
  if (found == nullptr) return Value();
  if (type == "string") return table::scalar(found);
  if (type == "integer" || type == "number") {
    const auto number = found->number();
    if (!number) return Value();
    return type == "number" ? *found : found->integer() ? *found : Value(static_cast<int64_t>(*number));
  }
  if (type == "boolean") return found->boolean() ? *found : Value();
  if (type != "date" || found->string() == nullptr) return Value();
  return !found->string()->empty() && !parse_rfc3339(*found->string()) ? Value("<invalid>") : Value(table::human_since(*found->string(), now));
}

// What printers see: built-in types as they are stored, in whatever version they are asked for.
Value printed(const ResourceType& type, const Stored& object) { return type.custom ? shown(type, object) : object.value(); }

// go-restful, which stands before what Kubernetes negotiates: of custom resources it knows nothing.
// It wants a media type by name: application/* is none of its.
std::optional<Answer> check_produced(const std::string* accept, const ResourceType& type, const gateway::RestRequest& request) {
  if (accept == nullptr || accept->empty() || type.custom) return std::nullopt;
  std::vector<std::string_view> produced = {"application/json", "application/yaml", kProtobuf};
  if (request.verb == gateway::Verb::kList || request.verb == gateway::Verb::kWatch) {
    for (const char* stream : {"application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"}) produced.emplace_back(stream);
  }
  for (const std::string_view text : split(*accept, ',')) {
    const std::string_view media = read_clause(text).type;
    if (media == "*/*" || std::find(produced.begin(), produced.end(), media) != produced.end()) return std::nullopt;
  }
  return failure(406, "NotAcceptable", "406: Not Acceptable\n\nAvailable representations: " + join(std::vector<std::string>(produced.begin(), produced.end()), ", "), "{}");
}

Answer not_acceptable(bool custom) {
  return failure(406, "NotAcceptable", fmt::format("only the following media types are accepted: application/json, application/yaml{}", custom ? "" : ", application/vnd.kubernetes.protobuf"));
}

}  // namespace

Representation negotiate_errors(const std::string* accept) {
  Representation out;
  for (const Clause& clause : read_clauses(accept)) {
    const auto found = accepted(clause, false);
    if (!found || found->kind != Kind::kObject) continue;
    out.protobuf_errors = found->protobuf;
    break;
  }
  return out;
}

Checked<Representation> negotiate(const std::string* accept, const ResourceType& type, const gateway::RestRequest& request) {
  if (auto refusal = check_produced(accept, type, request)) return refuse(*std::move(refusal));
  std::optional<Representation> chosen;
  if (accept == nullptr || accept->empty()) chosen.emplace();
  // The scale of a custom resource is a built-in type.
  const bool custom = type.custom && request.subresource != "scale";
  for (const Clause& clause : read_clauses(accept)) {
    if (!chosen) chosen = accepted(clause, custom);
  }
  if (!chosen) return refuse(not_acceptable(custom));
  chosen->protobuf_errors = negotiate_errors(accept).protobuf_errors;
  if (chosen->kind == Kind::kTable) {
    const std::string_view include = request.option("includeObject");
    if (!include.empty() && include != "Metadata" && include != "Object" && include != "None") {
      return refuse(bad_request(fmt::format("Unable to convert to Table as requested: includeObject: Invalid value: \"{}\": must be 'Metadata', 'Object', 'None', or empty", include)));
    }
    if (include == "Object") chosen->include = Representation::Include::kObject;
    if (include == "None") chosen->include = Representation::Include::kNone;
  }
  return *chosen;
}

Presenter::Presenter(const ResourceType& type, Representation representation, WallTime now)
    : type_(type), as_(std::move(representation)), now_(now), prefix_(type.prefix()), item_prefix_(type.custom ? prefix_ : "") {
  if (as_.kind != Kind::kTable) return;
  printer_ = type.custom ? nullptr : table::find_printer(type.storage_type().group, type.resource);
  if (printer_ != nullptr) return;
  const auto add = [&](const PrinterColumn& from) {
    CustomColumn column{table::Column(from.name.c_str(), from.type.c_str(), from.priority, from.format.c_str()), std::nullopt};
    column.column.description = from.description;
    if (auto path = table::JsonPath::parse(from.json_path)) column.path = *std::move(path);
    custom_.push_back(std::move(column));
  };
  for (const PrinterColumn& column : type.columns) add(column);
  if (!type.columns.empty()) return;
  PrinterColumn age;
  age.name = type.custom ? "Age" : "Created At";
  age.type = "date";
  age.json_path = ".metadata.creationTimestamp";
  add(age);
}

std::optional<Answer> Presenter::refuses(bool list) const {
  if (list && as_.kind == Kind::kPartial) {
    return failure(406, "NotAcceptable", fmt::format("you requested PartialObjectMetadata, but the requested object is a list (*{}List)", go_type()));
  }
  if (!list && as_.kind == Kind::kPartialList) {
    return failure(406, "NotAcceptable", fmt::format("you requested PartialObjectMetadataList, but the requested object is not a list (*{})", go_type()));
  }
  return std::nullopt;
}

// Go's type of what is held in memory: "core.ConfigMap".
std::string Presenter::go_type() const {
  if (type_.custom) return "unstructured.Unstructured";
  const ResourceType& type = type_.storage_type();
  return fmt::format("{}.{}", type.group.empty() ? "core" : type.group.substr(0, type.group.find('.')), type.kind);
}

std::string Presenter::watch_type() const { return std::string(as_.protobuf ? kProtobufWatch : "application/json"); }

void Presenter::partial(std::string_view json, std::string& out) const {
  out += R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/)";
  out += as_.version;
  out += R"(","metadata":)";
  out += json::raw_at(json, "metadata").value_or("{}");
  out += '}';
}

void Presenter::columns(std::string& out) {
  if (columns_written_) {
    out += "null";
    return;
  }
  columns_written_ = true;
  json::Writer writer(out);
  writer.begin_array();
  const auto write = [&](const table::Column& column) {
    writer.begin_object().key("name").string(column.name).key("type").string(column.type).key("format").string(column.format);
    writer.key("description").string(column.description).key("priority").integer(column.priority).end_object();
  };
  if (printer_ != nullptr) {
    for (const table::Column& column : printer_->columns) write(column);
  } else {
    write(table::name_column());
    for (const CustomColumn& column : custom_) write(column.column);
  }
  writer.end_array();
}

json::Array Presenter::cells(const Value& object, const char*& completed) const {
  table::Row row(object, now_);
  if (printer_ != nullptr) {
    printer_->print(row);
  } else {
    row.name();
    for (const CustomColumn& column : custom_) {
      const Value* found = column.path ? column.path->find(object) : nullptr;
      // A built-in type without a printer shows the time itself (rest.NewDefaultTableConvertor).
      row.add(!type_.custom && found != nullptr ? *found : custom_cell(column.column.type, found, now_));
    }
  }
  completed = row.completed;
  return std::move(row.cells);
}

void Presenter::row(const Value& printed, std::string_view json, std::string& out) const {
  const char* completed = nullptr;
  out += R"({"cells":)";
  out += Value(cells(printed, completed)).dump();
  if (completed != nullptr) {
    const bool good = std::string_view(completed) == "Succeeded";
    out += fmt::format(R"(,"conditions":[{{"type":"Completed","status":"True","reason":"{}","message":"{}"}}])", completed,
                       good ? "The pod has completed successfully." : "The pod failed.");
  }
  out += R"(,"object":)";
  switch (as_.include) {
    case Representation::Include::kNone: out += "null"; break;
    case Representation::Include::kMetadata: partial(json, out); break;
    case Representation::Include::kObject:
      out += prefix_;
      out += json.substr(1);
      break;
  }
  out += '}';
}

// Metadata alone is that of what is stored, without the annotations that carry what a version cannot hold.
std::string Presenter::told(const Stored& object) const {
  const bool whole = as_.kind == Kind::kObject || (as_.kind == Kind::kTable && as_.include == Representation::Include::kObject);
  return whole || type_.custom ? shown_json(type_, object) : std::string(object.json);
}

void Presenter::object(const Stored& object, std::string& out) {
  if (as_.kind == Kind::kTable) return table(printed(type_, object), told(object), out);
  if (shown_as_stored(type_, object)) return this->object(object.json, out);
  this->object(told(object), out);
}

void Presenter::object(std::string_view json, std::string& out) {
  switch (as_.kind) {
    case Kind::kObject:
      out += prefix_;
      out += json.substr(1);
      return;
    case Kind::kPartial:
    case Kind::kPartialList: return partial(json, out);
    case Kind::kTable: break;
  }
  const auto value = json::parse(json);
  table(value ? *value : Value(), json, out);
}

void Presenter::table(const Value& printed, std::string_view json, std::string& out) {
  out += fmt::format(R"({{"kind":"Table","apiVersion":"meta.k8s.io/{}","metadata":{{"resourceVersion":{}}},"columnDefinitions":)", as_.version,
                     json::raw_at(json, "metadata.resourceVersion").value_or("\"\""));
  columns(out);
  out += R"(,"rows":[)";
  row(printed, json, out);
  out += "]}";
}

void Presenter::begin_list(const ListMeta& meta, std::string& out) {
  if (as_.kind == Kind::kObject) {
    out += fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":)", type_.list_kind_or_default(), type_.api_version());
  } else if (as_.kind == Kind::kTable) {
    out += fmt::format(R"({{"kind":"Table","apiVersion":"meta.k8s.io/{}","metadata":)", as_.version);
  } else {
    out += fmt::format(R"({{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/{}","metadata":)", as_.version);
  }
  write_list_meta(meta, type_.custom && as_.kind == Kind::kObject, out);
  if (as_.kind == Kind::kTable) {
    out += R"(,"columnDefinitions":)";
    columns(out);
  }
  out += as_.kind == Kind::kTable ? R"(,"rows":[)" : R"(,"items":[)";
}

// rest.NewDefaultTableConvertor appends rows to none, and nil is null.
void Presenter::empty_list(const ListMeta& meta, std::string& out) {
  begin_list(meta, out);
  const bool printed = printer_ != nullptr && std::string_view(printer_->columns.back().name) != "Created At";
  if (as_.kind != Kind::kTable || type_.custom || printed) return end_list(out);
  out.pop_back();
  out += "null}";
}

void Presenter::list(const ListMeta& meta, const std::vector<StoredPtr>& items, std::string& out) {
  begin_list(meta, out);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ',';
    item(*items[i], out);
  }
  end_list(out);
}

void Presenter::item(const Stored& item, std::string& out) const {
  if (as_.kind == Kind::kTable) return row(printed(type_, item), told(item), out);
  if (shown_as_stored(type_, item)) return as_.kind == Kind::kObject ? item.append_to(out, item_prefix_) : partial(item.json, out);
  const std::string json = told(item);
  if (as_.kind != Kind::kObject) return partial(json, out);
  out += item_prefix_;
  out += std::string_view(json).substr(item_prefix_.empty() ? 0 : 1);
}

}  // namespace gs::apiserver
