#include "webhook/certificate_keeper.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "kube/kubeconfig.h"

namespace gs::webhook {

CertificateKeeper::CertificateKeeper(Loop& loop, std::unique_ptr<CertificateStore> store, KeeperOptions options, Sink sink)
    : loop_(loop), store_(std::move(store)), options_(std::move(options)), sink_(std::move(sink)), wake_(loop), scope_(loop) {
  problem_ = "certificates are not read yet";
  store_->on_change([this] { wake_.set(); });
  scope_.spawn(run());
}

void CertificateKeeper::lead() {
  leading_ = true;
  wake_.set();
}

void CertificateKeeper::observe(std::set<std::string> services, std::optional<uint64_t> carried) {
  const bool same = services == services_ && carried == carried_;
  services_ = std::move(services);
  carried_ = carried;
  if (!same) wake_.set();
}

Task<void> CertificateKeeper::run() {
  co_await yield_turn(loop_);  // the sink is called from a turn
  while (true) {
    wake_.clear();
    auto looking = look();
    Status status = co_await looking;
    if (status) status = check_own();
    set_problem(status);
    const MonoTime again = saturating_add(loop_.now(), kPeriod);
    co_await wake_.wait(again);
  }
}

void CertificateKeeper::set_problem(const Status& status) {
  std::string now = status ? "" : status.error().message;
  // Somebody was quicker; the next look shows what it wrote.
  if (!status && status.error().code == Code::kConflict) return;
  if (now == problem_) return;
  problem_ = std::move(now);
  const bool waits = !status && status.error().code == Code::kUnavailable;
  if (!problem_.empty() && !waits) log::warning("webhooks' certificates", {{"err", problem_}});
}

Task<Status> CertificateKeeper::look() {
  if (!own()) {
    auto reading_files = look_at_files();
    const Status files = co_await reading_files;
    if (!files) co_return files;
  }
  auto reading = store_->read();
  auto stored = co_await reading;
  if (!stored) co_return fail(std::move(stored).error());
  if (stored->state) adopt(*stored->state);
  if (!leading_) {
    if (!stored->state) co_return fail(Code::kUnavailable, "there are no certificates yet; the plane that leads makes them");
    co_return ok();
  }
  auto stepping = take_steps(*std::move(stored));
  co_return co_await stepping;
}

Task<Status> CertificateKeeper::look_at_files() {
  if (from_files_ && loop_.now() < saturating_add(files_at_, kFilesPeriod)) co_return ok();
  std::function<Result<Material>()> work = [files = options_.files] { return read_files(files); };
  auto reading = off_loop<Result<Material>>(loop_, std::move(work));
  auto read = co_await reading;
  files_at_ = loop_.now();
  if (!read) {
    if (!from_files_) co_return fail(std::move(read).error());
    files_status_ = fail(std::move(read).error().with_context("those read before are served"));
    co_return ok();
  }
  files_status_ = ok();
  const bool same = from_files_ && from_files_->serving.certificate == read->serving.certificate && from_files_->serving.key == read->serving.key && from_files_->bundle == read->bundle;
  if (same) co_return ok();
  from_files_ = *std::move(read);
  if (state_) {
    const CertificateState again = *state_;
    state_.reset();
    adopt(again);
  }
  co_return ok();
}

// What is wrong with own certificates that are served all the same: nobody but their owner can mend it.
Status CertificateKeeper::check_own() const {
  if (own() || !from_files_) return ok();
  if (!files_status_) return files_status_;
  if (from_files_->serving_not_after > loop_.wall_now()) return ok();
  return fail(Code::kInvalid, "--tls-cert-file {}: ended at {}; API servers refuse it until the file has a newer one", options_.files.certificate,
              format_rfc3339(from_files_->serving_not_after));
}

Task<Status> CertificateKeeper::take_steps(StoredCertificates stored) {
  StepInput in;
  in.now = loop_.wall_now();
  in.names = services_;
  in.names.insert(options_.host);
  in.own_certificates = own();
  in.rotate = stored.rotate;
  in.carried = carried_;
  // Nothing stored, but known: somebody deleted it, and what API servers trust is put back.
  const bool lost = !stored.state && state_;
  const CertificateState before = stored.state ? *stored.state : state_.value_or(CertificateState());
  auto next = step(before, in);
  if (!next) co_return fail(std::move(next).error());
  waiting_ = next->waiting;
  if (!next->next && !lost && !stored.rotate) co_return ok();
  CertificateState state = next->next ? *next->next : before;
  auto writing = store_->write(std::move(stored), state);
  const Status written = co_await writing;
  if (!written) co_return written;
  for (const std::string& what : next->did) {
    ++rotations_;
    log::info("webhooks' certificates", {{"step", what}, {"revision", state.revision}});
  }
  if (lost) log::warning("webhooks' certificates were gone from their store, and are put back");
  adopt(state);
  co_return ok();
}

void CertificateKeeper::adopt(const CertificateState& state) {
  if (state_ && state_->revision == state.revision && state_->to_json() == state.to_json()) return;
  if (!own() && !from_files_) return;
  state_ = state;
  auto material = std::make_shared<Material>(*material_of(state));
  if (!own()) {
    material->serving = from_files_->serving;
    material->names = from_files_->names;
    material->bundle = from_files_->bundle;
    material->serving_not_after = from_files_->serving_not_after;
  }
  material_ = std::move(material);
  sink_(material_);
}

Result<Material> CertificateKeeper::read_files(const OwnCertificateFiles& files) {
  Material out;
  GS_TRY(out.serving.certificate, kube::read_file(files.certificate));
  GS_TRY(out.serving.key, kube::read_file(files.key));
  if (const Status good = check_key_pair(out.serving); !good) {
    return fail(Code::kInvalid, "--tls-cert-file {}, --tls-private-key-file {}: {}", files.certificate, files.key, good.error().message);
  }
  GS_TRY(const CertificateFacts facts, read_certificate(out.serving.certificate));
  out.names = facts.names;
  out.serving_not_after = facts.not_after;
  if (files.ca.empty()) return out;
  GS_TRY(out.bundle, kube::read_file(files.ca));
  auto ca = read_certificate(out.bundle);
  if (!ca) return fail(std::move(ca).error().with_context("--webhook-ca-file " + files.ca));
  return out;
}

}  // namespace gs::webhook
