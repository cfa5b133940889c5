// Where certificates and prefix keys are kept: a Secret of the hub, which all replicas follow and the leader writes, or
// a directory of the plane's own where there is no hub. Live on loop 0.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cache/informer.h"
#include "kube/transport.h"
#include "runtime/sync.h"
#include "webhook/certificates.h"

namespace gs::webhook {

// What was there when it was read.
struct StoredCertificates {
  std::optional<CertificateState> state;  // nullopt: there is nothing yet
  std::optional<Rotation> rotate;         // somebody asks for it
  std::string version;                    // of what was read; what is written replaces this and nothing else
};

class CertificateStore {
 public:
  virtual ~CertificateStore() = default;
  // kInvalid: what is there is not ours or broken, and stays as it is. kUnavailable: not known yet.
  virtual Task<Result<StoredCertificates>> read() = 0;
  // In place of what read() said last. kConflict: somebody else was quicker. A request for rotation is taken back with it.
  virtual Task<Status> write(StoredCertificates read, CertificateState next) = 0;
  // Called when read() may say something else.
  void on_change(std::function<void()> call) { changed_ = std::move(call); }

 protected:
  std::function<void()> changed_;
};

// Secret `gulfstream-webhook`: `webhook.json` is all of it, `ca.crt` is for people. Watched by its name.
class SecretStore final : public CertificateStore, private cache::InformerHandler {
 public:
  static constexpr const char* kName = "gulfstream-webhook";
  static constexpr const char* kMember = "webhook.json";
  static constexpr Duration kTimeout = std::chrono::seconds(10);

  SecretStore(Loop& loop, kube::KubeTransport& hub, std::string ns);
  Task<Result<StoredCertificates>> read() override;
  Task<Status> write(StoredCertificates read, CertificateState next) override;

 private:
  void tell();
  void seen(const kube::Object& object);
  void on_added(const kube::ObjectRef& object, bool) override { seen(*object); }
  void on_updated(const kube::ObjectRef&, const kube::ObjectRef& after) override { seen(*after); }
  void on_deleted(const kube::ObjectRef& last, bool) override { seen(*last); }
  void on_synced() override { tell(); }
  void on_health(cache::Health, const std::string&) override { tell(); }
  kube::ObjectRef present() const;
  Result<StoredCertificates> parse(const kube::Object& secret) const;

  Loop& loop_;
  kube::KubeTransport& hub_;
  std::string ns_;
  cache::InformerSet informers_;
  kube::ObjectRef written_;  // by us, while the watch has yet to show it
  cache::InformerHandle handle_;
};

// webhook.json and ca.crt in a directory that only its owner may look into. A file `rotate` asks for a rotation.
class DirectoryStore final : public CertificateStore {
 public:
  DirectoryStore(Loop& loop, std::string path) : loop_(loop), path_(std::move(path)) {}
  Task<Result<StoredCertificates>> read() override;
  Task<Status> write(StoredCertificates read, CertificateState next) override;

  // What the two do, off the loop. Blocking.
  static Result<StoredCertificates> read_now(const std::string& path);
  static Status write_now(const std::string& path, const StoredCertificates& read, const CertificateState& next);

 private:
  Loop& loop_;
  std::string path_;
};

// Runs `work` off the loop and gives its result.
template <class T>
Task<T> off_loop(Loop& loop, std::function<T()> work) {
  struct Running {
    explicit Running(Loop& l) : done(l) {}
    Event done;
    std::optional<T> result;
  };
  const auto running = std::make_shared<Running>(loop);
  std::function<void()> call = [running, work = std::move(work)] { running->result.emplace(work()); };
  std::function<void()> done = [running] { running->done.set(); };
  loop.run_blocking(std::move(call), std::move(done));
  co_await running->done.wait();
  co_return *std::move(running->result);
}

}  // namespace gs::webhook
