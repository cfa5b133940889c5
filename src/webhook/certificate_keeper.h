// Keeps certificates and prefix keys as certificates.h has it: follows what is stored, and while this plane leads takes
// the steps that are due and stores them. Own certificates (files) are read anew as they change. Lives on loop 0.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "runtime/task_scope.h"
#include "webhook/certificate_store.h"

namespace gs::webhook {

// --tls-cert-file, --tls-private-key-file, --webhook-ca-file; empty: the plane makes its own.
struct OwnCertificateFiles {
  std::string certificate, key, ca;
  bool operator==(const OwnCertificateFiles&) const = default;
};

struct KeeperOptions {
  std::string host;  // of --webhook-url
  OwnCertificateFiles files;
};

class CertificateKeeper {
 public:
  // Between looks at what is stored and what is due.
  static constexpr Duration kPeriod = std::chrono::seconds(1);
  // Between looks at the files of own certificates.
  static constexpr Duration kFilesPeriod = std::chrono::seconds(10);

  // Given each time that it is another one.
  using Sink = std::function<void(std::shared_ptr<const Material>)>;

  CertificateKeeper(Loop& loop, std::unique_ptr<CertificateStore> store, KeeperOptions options, Sink sink);
  // From now on this plane makes what is due.
  void lead();
  // What is known of configurations: names of Services that they call, and which revision all of them carry.
  void observe(std::set<std::string> services, std::optional<uint64_t> carried);

  // Why there is nothing to serve with, or why it cannot be renewed; empty: all is well.
  const std::string& problem() const { return problem_; }
  // What a rotation waits for.
  const std::string& waiting() const { return waiting_; }
  const Material* material() const { return material_.get(); }
  uint64_t rotations() const { return rotations_; }

  // Own certificates as they are in their files now. Blocking.
  static Result<Material> read_files(const OwnCertificateFiles& files);

 private:
  Task<void> run();
  Task<Status> look();
  Task<Status> look_at_files();
  Status check_own() const;
  Task<Status> take_steps(StoredCertificates stored);
  void adopt(const CertificateState& state);
  void set_problem(const Status& status);
  bool own() const { return options_.files.certificate.empty(); }

  Loop& loop_;
  std::unique_ptr<CertificateStore> store_;
  KeeperOptions options_;
  Sink sink_;
  bool leading_ = false;
  std::set<std::string> services_;
  std::optional<uint64_t> carried_;
  std::optional<CertificateState> state_;   // adopted last
  std::optional<Material> from_files_;      // read last without an error; it stays in use
  Status files_status_ = ok();              // of the last reading after that
  MonoTime files_at_ = MonoTime::min();
  std::shared_ptr<const Material> material_;
  std::string problem_;
  std::string waiting_;
  uint64_t rotations_ = 0;
  Event wake_;
  TaskScope scope_;
};

}  // namespace gs::webhook
