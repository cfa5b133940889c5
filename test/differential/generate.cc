#include "test/differential/generate.h"

#include <fmt/format.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <iostream>
#include <ostream>

#include "test/differential/generated_objects.h"

namespace gs::differential {

// For rapidcheck's words about what failed.
void showValue(const Step& step, std::ostream& out) { out << to_text(step); }

namespace {

using json::Value;

template <class T>
T one_of(std::vector<T> choices) {
  return *rc::gen::elementOf(std::move(choices));
}
// Ranges of rapidcheck grow with the size of a test; ours do not.
int below(int end) { return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, end)); }
bool chance(int percent) { return below(100) < percent; }

std::string encoded(std::string text) {
  std::string out;
  for (const char c : text) out += c == '=' ? "%3D" : c == ' ' ? "%20" : std::string(1, c);
  return out;
}

std::string object_path(const Kind& kind, const std::string& name) { return fmt::format("{}/{}", kind.collection, name); }
std::string label_of(const Kind& kind, const std::string& name) { return fmt::format("{}-{}", kind.kind, name); }

Step make(std::string method, std::string target) {
  Step out;
  out.method = std::move(method);
  out.target = std::move(target);
  return out;
}

void give_body(Step& step, const Value& body, const char* content_type = "application/json") {
  step.body = body.dump();
  step.headers.emplace_back("content-type", content_type);
}

std::string write_options() {
  std::string out;
  if (chance(6)) out += "&dryRun=All";
  if (chance(10)) out += "&fieldValidation=" + one_of<std::string>({"Strict", "Ignore", "Warn"});
  if (!out.empty()) out[0] = '?';
  return out;
}

std::string selectors() {
  std::string out;
  if (chance(50)) out += "&labelSelector=" + encoded(one_of<std::string>({"app=x", "app!=x", "app", "!app", "app in (x,z)", "app notin (x),tier", "app=x,tier=front", "app in (", "tier==="}));
  if (chance(30)) out += "&fieldSelector=" + encoded(one_of<std::string>({"metadata.name=a", "metadata.name!=a", "metadata.namespace=$ns", "spec.mode=fast", "type=Opaque", "metadata.name=a,metadata.name=b", "status.phase=x"}));
  return out;
}

Step create(const Kind& kind, const std::string& name) {
  Step out = make("POST", kind.collection + write_options());
  out.as = label_of(kind, name);
  give_body(out, generated_object(kind, name));
  return out;
}

Step update(const Kind& kind, const std::string& name) {
  Step out = make("PUT", object_path(kind, name) + write_options());
  out.as = label_of(kind, name);
  Value object = generated_object(kind, name);
  const int which = below(6);  // mostly the newest version that this client knows of; an old one; none
  if (which < 5) object["metadata"]["resourceVersion"] = fmt::format("$({}{}/metadata/resourceVersion)", out.as, which == 4 ? "-old" : "");
  if (chance(10)) object["metadata"]["uid"] = fmt::format("$({}/metadata/uid)", out.as);
  give_body(out, object);
  return out;
}

Step get(const Kind& kind, const std::string& name) {
  Step out = make("GET", object_path(kind, name));
  out.as = label_of(kind, name) + (chance(70) ? "-old" : "");
  return out;
}

Step list(const Kind& kind) {
  std::string options = selectors();
  if (chance(20)) options += "&limit=" + std::to_string(below(3));
  if (!options.empty()) options[0] = '?';
  Step out = make("GET", kind.collection + options);
  const int as = below(8);
  if (as == 0) out.headers.emplace_back("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
  if (as == 1) out.headers.emplace_back("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
  return out;
}

Step merge_patch(const Kind& kind, const std::string& name, bool strategic) {
  const char* subresource = !kind.has_status || chance(70) ? "" : chance(70) || !kind.has_scale ? "/status" : "/scale";
  Step out = make("PATCH", object_path(kind, name) + subresource + write_options());
  if (subresource[0] == '\0') out.as = label_of(kind, name);
  Value patch = generated_merge_patch(kind);
  if (chance(10)) patch["metadata"]["resourceVersion"] = fmt::format("$({}{}/metadata/resourceVersion)", label_of(kind, name), chance(50) ? "-old" : "");
  give_body(out, patch, strategic ? "application/strategic-merge-patch+json" : "application/merge-patch+json");
  return out;
}

Step json_patch(const Kind& kind, const std::string& name) {
  Step out = make("PATCH", object_path(kind, name) + write_options());
  out.as = label_of(kind, name);
  give_body(out, generated_json_patch(kind), "application/json-patch+json");
  return out;
}

Step remove(const Kind& kind, const std::string& name) {
  Step out = make("DELETE", object_path(kind, name));
  if (chance(20)) out.target += "?propagationPolicy=" + one_of<std::string>({"Background", "Foreground", "Orphan"});
  else if (chance(10)) out.target += "?dryRun=All";
  if (chance(15)) {
    Value options;
    options["preconditions"]["resourceVersion"] = fmt::format("$({}{}/metadata/resourceVersion)", label_of(kind, name), chance(50) ? "-old" : "");
    give_body(out, options);
  }
  return out;
}

Step remove_collection(const Kind& kind) {
  std::string options = selectors();
  if (!options.empty()) options[0] = '?';
  return make("DELETE", kind.collection + options);
}

// "Any version will do" may be an older one: only where there was none before the answer is the same.
Step watch(const Kind& kind, bool first) {
  Step out = make("WATCH", fmt::format("{}?watch=true{}", kind.collection, selectors()));
  if (chance(20) && first) out.target += "&resourceVersion=0";
  else if (chance(20)) out.target += "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
  return out;
}

Step generated_step(const Kind& kind) {
  const std::string name = chance(70) ? "a" : "b";
  const int which = below(100);
  if (which < 22) return create(kind, name);
  if (which < 36) return update(kind, name);
  if (which < 42) return get(kind, name);
  if (which < 50) return list(kind);
  if (which < 66) return merge_patch(kind, name, false);
  if (which < 76) return kind.custom ? merge_patch(kind, name, false) : merge_patch(kind, name, true);
  if (which < 86) return json_patch(kind, name);
  if (which < 95) return remove(kind, name);
  if (which < 97) return remove_collection(kind);
  return watch(kind, false);
}

}  // namespace

bool run_generated(uint64_t seed, int count, const std::function<std::string(const Sequence&)>& differs) {
  // Read once, when the first property is checked.
  setenv("RC_PARAMS", fmt::format("seed={} max_success={} max_size=40", seed, count).c_str(), 1);
  fmt::print("generated sequences: {} from seed {}\n", count, seed);
  return rc::check("the embedded API server answers as kube-apiserver does", [&] {
    Sequence sequence;
    sequence.name = "generated";
    const size_t which = static_cast<size_t>(below(static_cast<int>(kinds().size())));
    const Kind& kind = kinds()[which];
    sequence.steps = *rc::gen::container<std::vector<Step>>(rc::gen::exec([&kind] { return generated_step(kind); }));
    // Most sequences are watched.
    if (chance(60)) sequence.steps.insert(sequence.steps.begin(), watch(kind, true));
    const std::string difference = differs(sequence);
    if (!difference.empty()) RC_FAIL(to_text(sequence) + "\n" + difference);
  });
}

}  // namespace gs::differential
