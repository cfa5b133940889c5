// differential --kubeconfig FILE --cases DIR --differences FILE [--ours FILE] [--only TEXT] [--generated N] [--seed S]
//              [--prefix P] [--survey yes] [--write FILE] [--shrink yes]
//
// Sends the same sequences of requests to a real API server (--kubeconfig) and to an embedded one (in this process,
// or --ours) and tells what differs. Ends with 1 where something differs that is not listed, or where something is
// listed that no longer differs (not with --only or --seed: then not all that is listed can be seen). --survey shows each
// kind of difference of generated sequences once; --write makes entries for what is not listed; --shrink yes takes out of
// the list what no longer differs.
#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <unistd.h>

#include "apiserver/api_server.h"
#include "base/check.h"
#include "base/strings.h"
#include "net/http_server.h"
#include "test/differential/compare.h"
#include "test/differential/generate.h"
#include "test/differential/generated_objects.h"
#include "test/differential/normal.h"

namespace gs::differential {
namespace {

struct Options {
  std::string kubeconfig, ours, cases, differences, only, prefix = "seq", write;
  int generated = 0;
  uint64_t seed = 1;
  bool survey = false, shrink = false;
  bool roams = false;  // the seed was chosen
};

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "differential: {}\n", what);
  std::exit(2);
}

Options options_of(int argc, char** argv) {
  Options out;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--kubeconfig") out.kubeconfig = value;
    else if (name == "--ours") out.ours = value;
    else if (name == "--cases") out.cases = value;
    else if (name == "--differences") out.differences = value;
    else if (name == "--only") out.only = value;
    else if (name == "--prefix") out.prefix = value;
    else if (name == "--write") out.write = value;
    else if (name == "--shrink") out.shrink = value == "yes";
    else if (name == "--survey") out.survey = value == "yes";
    else if (name == "--generated") out.generated = static_cast<int>(parse_uint(value).value_or(0));
    else if (name == "--seed") out.seed = parse_uint(value).value_or(1), out.roams = true;
    else die(fmt::format("unknown option {}", name));
  }
  if (out.kubeconfig.empty()) die("--kubeconfig says where the real API server is");
  return out;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) die(path + ": cannot be read");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

kube::ConnectionConfig config_of(const std::string& path) {
  std::vector<kube::KubeconfigFile> files;
  files.emplace_back(path, std::filesystem::path(path).parent_path().string(), read_file(path));
  auto config = kube::load_kubeconfig(files, "", kube::KubeconfigPolicy(), kube::read_file);
  if (!config) die(config.error().to_string());
  return *config;
}

// An embedded server on loopback.
struct Embedded {
  explicit Embedded(UvLoop& loop) : api(loop, options()), http(loop, api.handler()) {
    auto made = net::TcpListener::listen(loop, "127.0.0.1", 0, http);
    GS_CHECK(made.has_value());
    listener = *std::move(made);
    // As test/e2e/harness/cluster.py tells the real one.
    apiserver::UserInfo admin;
    admin.name = "admin";
    admin.uid = "admin-uid";
    admin.groups = {"system:masters"};
    authenticator.add_token(kToken, std::move(admin));
    apiserver::UserInfo limited;
    limited.name = "limited";
    limited.uid = "limited-uid";
    authenticator.add_token("limited-token", std::move(limited));
    authenticator.let_anybody_ask();
    api.handler().set_authenticator(authenticator);
  }
  kube::ConnectionConfig config() const {
    kube::ConnectionConfig out;
    out.server = *kube::parse_server_url(fmt::format("http://127.0.0.1:{}", listener->port()));
    out.token = kToken;
    return out;
  }
  static apiserver::ApiServerOptions options() {
    apiserver::ApiServerOptions out;
    out.authorization = {apiserver::AuthorizationMode::kRbac};
    auto key = apiserver::TokenKey::make();
    GS_CHECK(key.has_value());
    auto keys = std::make_shared<apiserver::ServiceAccountKeys>(*key);
    keys->accepted = {*key};
    keys->issuers = {"https://kubernetes.default.svc"};
    out.service_account_keys = std::move(keys);
    return out;
  }
  static constexpr const char* kToken = "admin-token";
  apiserver::Authenticator authenticator;
  apiserver::ApiServer api;
  net::HttpServer http;
  std::unique_ptr<net::TcpListener> listener;
};

// Where the embedded server dies, the sequence that killed it must be known.
std::string running;
void tell_and_die(int) {
  constexpr char kHead[] = "\nwhile running:\n";
  if (write(2, kHead, sizeof(kHead) - 1) < 0 || write(2, running.data(), running.size()) < 0) _exit(3);
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

class Program {
 public:
  explicit Program(Options options) : options_(std::move(options)), deps_(loop_) {
    if (!options_.differences.empty()) {
      auto known = KnownDifferences::parse(read_file(options_.differences));
      if (!known) die(known.error().to_string());
      known_ = *std::move(known);
    }
    if (options_.ours.empty()) embedded_ = std::make_unique<Embedded>(loop_);
    theirs_ = std::make_unique<Server>(deps_, config_of(options_.kubeconfig));
    ours_ = std::make_unique<Server>(deps_, embedded_ ? embedded_->config() : config_of(options_.ours));
    runner_ = std::make_unique<Runner>(loop_, *theirs_, *ours_, options_.prefix);
  }

  int run() {
    if (!options_.cases.empty()) hand_picked();
    bool generated = true;
    if (options_.generated > 0) {
      runner_->run(preparation());
      generated = run_generated(options_.seed, options_.generated, [this](const Sequence& sequence) { return first_unknown(sequence); });
    }
    if (!options_.write.empty()) std::ofstream(options_.write) << to_list(unlisted_);
    const std::vector<std::string> unseen = options_.only.empty() && !options_.roams ? known_.unseen() : std::vector<std::string>();
    if (options_.shrink) take_out(unseen);
    for (const std::string& entry : unseen) fmt::print("no longer differs, take it out of the list: {}\n", entry);
    fmt::print("{} requests to each server in {} sequences: {} differences, {} of them known ({} entries)\n", runner_->requests(), sequences_, differences_,
               differences_ - unknown_, known_.size());
    return unknown_ == 0 && unseen.empty() && generated ? 0 : 1;
  }

 private:
  std::vector<Difference> differences_of(const Sequence& sequence) {
    running = to_text(sequence);
    ++sequences_;
    Transcripts said = runner_->run(sequence);
    Normaliser::apply(said.theirs, sequence);
    Normaliser::apply(said.ours, sequence);
    return compare(sequence, said.theirs, said.ours);
  }

  void take_out(const std::vector<std::string>& entries) const {
    const std::string text = read_file(options_.differences);
    std::ofstream out(options_.differences);
    for (std::string_view line : split(std::string_view(text).substr(0, text.size() - 1), '\n')) {
      const bool gone = std::any_of(entries.begin(), entries.end(), [line](const std::string& entry) { return line.starts_with("- `" + entry + "`"); });
      if (!gone) out << line << '\n';
    }
  }

  void hand_picked() {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(options_.cases)) {
      if (entry.path().extension() == ".http") files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) {
      auto sequences = parse_sequences(std::filesystem::path(file).filename().string(), read_file(file));
      if (!sequences) die(sequences.error().to_string());
      for (const Sequence& sequence : *sequences) {
        if (!options_.only.empty() && sequence.name.find(options_.only) == std::string::npos && file.find(options_.only) == std::string::npos) continue;
        for (const Difference& difference : differences_of(sequence)) {
          ++differences_;
          if (known_.known(difference)) continue;
          ++unknown_;
          unlisted_.push_back(difference);
          fmt::print("{}: {}", sequence.file, to_text(difference));
        }
      }
    }
  }

  // Behind a write that differs the servers may be in different states: what follows says nothing.
  std::string first_unknown(const Sequence& sequence) {
    std::vector<Difference> all = differences_of(sequence);
    // What a watch told came later than the step that opened it.
    std::stable_partition(all.begin(), all.end(), [](const Difference& d) { return !d.field.starts_with("events"); });
    for (size_t i = 0; i < all.size();) {
      std::string unknown;
      const size_t step = all[i].step;
      bool write_differs = false;
      const Difference* first = nullptr;
      for (; i < all.size() && all[i].step == step; ++i) {
        ++differences_;
        if (known_.known(all[i])) {
          write_differs = write_differs || (!all[i].field.starts_with("header") && !all[i].request.starts_with("GET") && !all[i].request.starts_with("WATCH"));
          continue;
        }
        ++unknown_;
        unknown += to_text(all[i]);
        if (first == nullptr) first = &all[i];
      }
      if (first != nullptr) return options_.survey ? surveyed(sequence, *first) : unknown;
      if (write_differs) break;
    }
    return "";
  }

  // Kinds of difference are told apart by field and by how the answers begin.
  std::string surveyed(const Sequence& sequence, const Difference& first) {
    const std::string kind = fmt::format("{} {} {}", first.field, first.theirs.substr(0, 50), first.ours.substr(0, 30));
    if (surveyed_.insert(kind).second) fmt::print("{}\n{}\n", to_text(sequence.steps[first.step - 1]), to_text(first));
    return "";
  }

  Options options_;
  UvLoop loop_;
  Server::Deps deps_;
  KnownDifferences known_;
  std::unique_ptr<Embedded> embedded_;
  std::unique_ptr<Server> theirs_, ours_;
  std::unique_ptr<Runner> runner_;
  std::vector<Difference> unlisted_;  // of hand-picked sequences
  std::set<std::string> surveyed_;
  size_t sequences_ = 0, differences_ = 0, unknown_ = 0;
};

}  // namespace
}  // namespace gs::differential

int main(int argc, char** argv) {
  std::signal(SIGABRT, gs::differential::tell_and_die);
  gs::differential::Program program(gs::differential::options_of(argc, argv));
  return program.run();
}
