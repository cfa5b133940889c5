#include "test/differential/compare.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace gs::differential {
namespace {

using json::Value;

constexpr std::string_view kHeaders[] = {"content-type", "warning", "retry-after", "allow", "location", "cache-control"};
// By what elements of a list are told apart, so that one that is missing does not make all behind it differ.
constexpr std::string_view kKeys[] = {"metadata.name", "name", "resource", "subresource", "version", "groupVersion", "type", "field"};

std::string shown(const Value* value) { return value == nullptr ? "(absent)" : truncate_utf8(value->dump(), 400); }

// Of all elements, different ones; empty where they have none.
std::vector<std::string> keys_of(const json::Array& array, std::string_view key) {
  std::vector<std::string> out;
  for (const Value& item : array) out.emplace_back(item.text(key));
  const std::set<std::string> different(out.begin(), out.end());
  return different.size() == out.size() && !different.contains("") ? out : std::vector<std::string>();
}

class Comparison {
 public:
  Comparison(Difference base, size_t most, std::vector<Difference>& out) : base_(std::move(base)), most_(most), out_(out) {}

  void add(const std::string& field, std::string theirs, std::string ours) {
    if (count_++ >= most_) return;
    out_.push_back(base_);
    out_.back().field = field;
    out_.back().theirs = std::move(theirs);
    out_.back().ours = std::move(ours);
  }

  void values(const std::string& field, const Value* theirs, const Value* ours) {
    if (theirs == nullptr && ours == nullptr) return;
    if (theirs != nullptr && ours != nullptr) {
      if (*theirs == *ours) return;
      if (theirs->object() != nullptr && ours->object() != nullptr) return objects(field, *theirs->object(), *ours->object());
      if (theirs->array() != nullptr && ours->array() != nullptr) return arrays(field, *theirs->array(), *ours->array());
    }
    add(field, shown(theirs), shown(ours));
  }

 private:
  void objects(const std::string& field, const json::Object& theirs, const json::Object& ours) {
    for (const auto& [key, value] : theirs) values(field + "." + key, &value, ours.find(key));
    for (const auto& [key, value] : ours) {
      if (theirs.find(key) == nullptr) values(field + "." + key, nullptr, &value);
    }
  }

  void arrays(const std::string& field, const json::Array& theirs, const json::Array& ours) {
    for (const std::string_view key : kKeys) {
      const std::vector<std::string> a = keys_of(theirs, key), b = keys_of(ours, key);
      if (a.empty() || b.empty()) continue;
      const auto find = [](const std::vector<std::string>& keys, const json::Array& array, const std::string& wanted) -> const Value* {
        const auto at = std::find(keys.begin(), keys.end(), wanted);
        return at == keys.end() ? nullptr : &array[static_cast<size_t>(at - keys.begin())];
      };
      for (const std::string& k : a) values(fmt::format("{}[{}]", field, k), find(a, theirs, k), find(b, ours, k));
      for (const std::string& k : b) {
        if (find(a, theirs, k) == nullptr) values(fmt::format("{}[{}]", field, k), nullptr, find(b, ours, k));
      }
      std::vector<std::string> x = a, y = b;
      std::sort(x.begin(), x.end());
      std::sort(y.begin(), y.end());
      if (x == y && a != b) add(field + " order", join(a, " "), join(b, " "));
      return;
    }
    for (size_t i = 0; i < std::max(theirs.size(), ours.size()); ++i) {
      values(fmt::format("{}[{}]", field, i), i < theirs.size() ? &theirs[i] : nullptr, i < ours.size() ? &ours[i] : nullptr);
    }
  }

  Difference base_;
  size_t most_;
  size_t count_ = 0;
  std::vector<Difference>& out_;
};

std::string header(const Reply& reply, std::string_view name) {
  std::string out;
  for (const net::Header& h : reply.headers) {
    if (h.name == name) out += (out.empty() ? "" : ", ") + h.value;
  }
  return out;
}

std::string summary(const Outcome& outcome) {
  const std::string_view message = outcome.body.text("message");
  if (outcome.body.text("kind") == "Status" && !message.empty()) return fmt::format("{} {}: {}", outcome.reply.status, outcome.body.text("reason"), message);
  return fmt::format("{} {}", outcome.reply.status, outcome.reply.status >= 400 || outcome.reply.status == 0 ? truncate_utf8(outcome.reply.body, 200) : "");
}

std::string event_line(const Value& event) {
  const std::string_view name = event.text("object.metadata.name");
  return fmt::format("{} {}", event.text("type"), name.empty() ? event.text("object.kind") : name);
}

std::string event_lines(const Outcome& outcome) {
  std::vector<std::string> lines;
  for (const Value& event : outcome.events) lines.push_back(event_line(event));
  return "[" + join(lines, ", ") + "]" + (outcome.watch_ended ? " ended" : "");
}

void compare_step(Comparison& out, const Step& step, const Outcome& theirs, const Outcome& ours) {
  if (theirs.reply.status != ours.reply.status) return out.add("status", summary(theirs), summary(ours));
  for (const std::string_view name : kHeaders) {
    const std::string a = header(theirs.reply, name), b = header(ours.reply, name);
    if (a != b) out.add(fmt::format("header {}", name), a, b);
  }
  if (!step.skip_body) {
    if (theirs.body.is_null() || ours.body.is_null()) {
      if (theirs.reply.body != ours.reply.body) out.add("body", truncate_utf8(theirs.reply.body, 400), truncate_utf8(ours.reply.body, 400));
    } else {
      out.values("body", &theirs.body, &ours.body);
    }
  }
  const std::string a = event_lines(theirs), b = event_lines(ours);
  if (a != b) return out.add("events", a, b);
  for (size_t i = 0; i < theirs.events.size(); ++i) out.values(fmt::format("events[{}]", i + 1), &theirs.events[i], &ours.events[i]);
}

}  // namespace

std::string to_text(const Difference& d) {
  return fmt::format("{} > {} > {}  (step {})\n  theirs: {}\n  ours:   {}\n", d.sequence, d.request, d.field, d.step, d.theirs, d.ours);
}

std::vector<Difference> compare(const Sequence& sequence, const Transcript& theirs, const Transcript& ours, size_t most_per_step) {
  std::vector<Difference> out;
  for (size_t i = 0; i < sequence.steps.size(); ++i) {
    Difference base;
    base.sequence = sequence.name;
    base.step = i + 1;
    base.request = fmt::format("{} {}", sequence.steps[i].method, sequence.steps[i].target);
    Comparison comparison(std::move(base), most_per_step, out);
    compare_step(comparison, sequence.steps[i], theirs[i], ours[i]);
  }
  return out;
}

bool glob(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string to_list(const std::vector<Difference>& differences) {
  constexpr size_t kMost = 3;  // fields of one request
  std::string out, sequence;
  std::set<std::string> written;
  for (const Difference& d : differences) {
    const auto same = [&d](const Difference& o) { return o.sequence == d.sequence && o.request == d.request && o.field.starts_with("body"); };
    const bool many = d.field.starts_with("body") && std::count_if(differences.begin(), differences.end(), same) > static_cast<ptrdiff_t>(kMost);
    const std::string entry = fmt::format("`{} > {} > {}`", d.sequence, d.request, many ? "body*" : d.field);
    if (!written.insert(entry).second) continue;
    if (d.sequence != sequence) out += fmt::format("\n### {}\n", d.sequence);
    sequence = d.sequence;
    const std::string detail = many ? d.field + " and others: " : "";
    std::string line = fmt::format("- {} {}{}; ours: {}", entry, detail, truncate_utf8(d.theirs, 160), truncate_utf8(d.ours.empty() ? "none" : d.ours, 100));
    std::replace(line.begin(), line.end(), '\n', ' ');
    out += line + "\n";
  }
  return out;
}

Result<KnownDifferences> KnownDifferences::parse(std::string_view markdown) {
  KnownDifferences out;
  size_t number = 0;
  for (const std::string_view line : split(markdown, '\n')) {
    ++number;
    if (!line.starts_with("- `")) continue;
    const std::string_view text = line.substr(3, line.find('`', 3) - 3);
    std::vector<std::string_view> parts;
    for (std::string_view rest = text; parts.size() < 4;) {
      const size_t end = parts.size() == 3 ? std::string_view::npos : rest.find(" > ");
      parts.push_back(rest.substr(0, end));
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 3);
    }
    if (parts.size() < 3) return fail(Code::kInvalid, "line {}: \"{}\" is not `sequence > request > field`", number, text);
    Entry entry;
    entry.text = text;
    entry.sequence = parts[0];
    entry.request = parts[1];
    entry.field = parts[2];
    if (parts.size() == 4) entry.theirs = parts[3];
    out.entries_.push_back(std::move(entry));
  }
  return out;
}

bool KnownDifferences::known(const Difference& difference) {
  bool found = false;
  for (Entry& entry : entries_) {
    if (!glob(entry.sequence, difference.sequence) || !glob(entry.request, difference.request) || !glob(entry.field, difference.field) ||
        !glob(entry.theirs, difference.theirs)) continue;
    entry.seen = found = true;
  }
  return found;
}

std::vector<std::string> KnownDifferences::unseen() const {
  std::vector<std::string> out;
  for (const Entry& entry : entries_) {
    if (!entry.seen) out.push_back(entry.text);
  }
  return out;
}

}  // namespace gs::differential
