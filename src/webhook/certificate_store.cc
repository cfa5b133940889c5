#include "webhook/certificate_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/files.h"
#include "base/strings.h"
#include "json/value.h"
#include "kube/kubeconfig.h"

namespace gs::webhook {
namespace {

const cache::GroupVersionResource kSecrets("", "v1", "secrets");

}  // namespace

SecretStore::SecretStore(Loop& loop, kube::KubeTransport& hub, std::string ns)
    : loop_(loop), hub_(hub), ns_(std::move(ns)), informers_(loop, hub, {}) {
  cache::InformerKey key;
  key.resource = kSecrets;
  key.ns = ns_;
  key.field_selector = std::string("metadata.name=") + kName;
  handle_ = informers_.acquire(key, *this);
}

void SecretStore::tell() {
  if (changed_) changed_();
}

// The watch has come to what we wrote, or beyond it.
void SecretStore::seen(const kube::Object& object) {
  const kube::VersionOrder order = written_ ? kube::compare_versions(object.resource_version(), written_->resource_version()) : kube::VersionOrder();
  if (!order.comparable || order.order >= 0) written_ = kube::ObjectRef();
  tell();
}

kube::ObjectRef SecretStore::present() const { return written_ ? written_ : handle_->store().get(ns_, kName); }

Task<Result<StoredCertificates>> SecretStore::read() {
  const bool parked = handle_->health() == cache::Health::kForbidden || handle_->health() == cache::Health::kMissing;
  if (parked) handle_->kick();
  if (!handle_->synced()) {
    const std::string& reason = handle_->reason();
    co_return fail(parked ? Code::kForbidden : Code::kUnavailable, "Secret {}/{}: {}", ns_, kName, reason.empty() ? "is not read yet" : reason);
  }
  const kube::ObjectRef secret = present();
  if (!secret) co_return StoredCertificates();
  auto parsed = parse(*secret);
  if (parsed) co_return parsed;
  co_return fail(std::move(parsed).error().with_context(fmt::format("Secret {}/{}", ns_, kName)));
}

Result<StoredCertificates> SecretStore::parse(const kube::Object& secret) const {
  StoredCertificates out;
  out.version = secret.resource_version();
  GS_TRY(const json::Value value, json::parse(secret.json()));
  const json::Value* annotations = value.at("metadata.annotations");
  const json::Value* rotate = annotations != nullptr ? annotations->find(kRotateAnnotation) : nullptr;
  if (rotate != nullptr) {
    auto what = parse_rotation(rotate->string() != nullptr ? *rotate->string() : "");
    if (!what) return fail(std::move(what).error().with_context(fmt::format("annotation {}", kRotateAnnotation)));
    out.rotate = *what;
  }
  const json::Value* data = value.find("data");
  if (data == nullptr || !data->is_object() || data->object()->empty()) return out;  // made for us to fill in
  const json::Value* member = data->find(kMember);
  if (member == nullptr || member->string() == nullptr) return fail(Code::kInvalid, "is somebody else's: it has data but no {}; give it another name, or delete it", kMember);
  const auto text = base64_decode(*member->string());
  auto state = text ? CertificateState::from_json(*text) : Result<CertificateState>(fail(Code::kInvalid, "is not base64"));
  if (!state) return fail(Code::kInvalid, "{}: {}; it is left as it is: put it right, or delete the Secret to begin anew", kMember, state.error().message);
  out.state = *std::move(state);
  return out;
}

Task<Status> SecretStore::write(StoredCertificates read, CertificateState next) {
  const bool create = read.version.empty();
  json::Value body;
  body["metadata"]["name"] = kName;
  body["metadata"]["namespace"] = ns_;
  body["data"][kMember] = base64_encode(next.to_json());
  body["data"]["ca.crt"] = base64_encode(next.bundle());
  if (create) {
    body["apiVersion"] = "v1";
    body["kind"] = "Secret";
    body["metadata"]["labels"]["app.kubernetes.io/part-of"] = "gulfstream";
  } else {
    body["metadata"]["resourceVersion"] = read.version;
    if (read.rotate) body["metadata"]["annotations"][kRotateAnnotation] = json::Value();
  }
  const std::string collection = kSecrets.collection_path(ns_);
  kube::Request request(create ? "POST" : "PATCH", (create ? collection : collection + "/" + kName) + "?fieldManager=gulfstream");
  request.content_type = create ? "application/json" : "application/merge-patch+json";
  request.body = body.dump();
  request.deadline = saturating_add(loop_.now(), kTimeout);
  request.repeatable = false;
  auto sending = hub_.send(std::move(request));
  auto response = co_await sending;
  if (!response) co_return fail(std::move(response).error());
  if (response->status == 409) co_return fail(Code::kConflict, "Secret {}/{}: somebody else has written it", ns_, kName);
  if (response->status / 100 != 2) co_return fail(kube::status_error(response->status, response->body, response->retry_after, loop_.wall_now()));
  auto written = kube::Object::parse(response->body);
  if (!written) co_return fail(std::move(written).error());
  // The watch may have been quicker than the answer.
  const kube::ObjectRef shown = handle_->store().get(ns_, kName);
  const kube::VersionOrder order = shown ? kube::compare_versions(shown->resource_version(), (*written)->resource_version()) : kube::VersionOrder();
  written_ = order.comparable && order.order >= 0 ? kube::ObjectRef() : *std::move(written);
  co_return ok();
}

Task<Result<StoredCertificates>> DirectoryStore::read() {
  std::function<Result<StoredCertificates>()> work = [path = path_] { return read_now(path); };
  auto reading = off_loop<Result<StoredCertificates>>(loop_, std::move(work));
  co_return co_await reading;
}

Task<Status> DirectoryStore::write(StoredCertificates read, CertificateState next) {
  std::function<Status()> work = [path = path_, read = std::move(read), next = std::move(next)] { return write_now(path, read, next); };
  auto writing = off_loop<Status>(loop_, std::move(work));
  co_return co_await writing;
}

Result<StoredCertificates> DirectoryStore::read_now(const std::string& path) {
  GS_TRY_STATUS(make_private_directory(path));
  StoredCertificates out;
  const std::string rotate = path + "/rotate", file = path + "/" + SecretStore::kMember;
  if (file_exists(rotate)) {
    GS_TRY(const std::string text, kube::read_file(rotate));
    auto what = parse_rotation(text);
    if (!what) return fail(std::move(what).error().with_context(rotate));
    out.rotate = *what;
  }
  if (!file_exists(file)) return out;
  GS_TRY(const std::string text, kube::read_file(file));
  auto state = CertificateState::from_json(text);
  if (!state) return fail(Code::kInvalid, "{}: {}; it is left as it is: put it right, or remove it to begin anew", file, state.error().message);
  out.state = *std::move(state);
  out.version = sha256_hex(text);
  return out;
}

Status DirectoryStore::write_now(const std::string& path, const StoredCertificates& read, const CertificateState& next) {
  GS_TRY_STATUS(make_private_directory(path));
  const std::string file = path + "/" + SecretStore::kMember;
  std::string present;
  if (file_exists(file)) {
    GS_TRY(const std::string text, kube::read_file(file));
    present = sha256_hex(text);
  }
  if (present != read.version) return fail(Code::kConflict, "{}: somebody else has written it", file);
  GS_TRY_STATUS(write_whole_file(path + "/ca.crt", next.bundle(), kPublicFile));
  GS_TRY_STATUS(write_whole_file(file, next.to_json(), kSecretFile));
  if (read.rotate) ::unlink((path + "/rotate").c_str());
  sync_directory(path);
  return ok();
}

}  // namespace gs::webhook
