#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "net/cidr.h"
#include "net/stream_errors.h"
#include "net/tls_errors.h"
#include "runtime/sync.h"

namespace gs::net {
namespace {

using ByteStreamResult = Result<std::unique_ptr<ByteStream>>;

// The most that one TLS record holds.
constexpr size_t kRecord = 16 * 1024;

// What an earlier call left behind would be taken for this one's. Emptying the queue visits all its places, and it
// is empty nearly always.
void clear_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

// Of a connection that is not open yet; lives in the frame that waits for it.
struct Handshake {
  explicit Handshake(Loop& loop) : done(loop) {}
  Event done;
  std::optional<Error> error;
  std::string alpn;         // as on the wire
  std::string wanted_name;  // client: what the certificate must be valid for
  std::optional<Error> distrust;
};

class TlsStream final : public ByteStream, private ByteStream::Handler, private TurnEndHook {
 public:
  TlsStream(Loop& loop, TlsContext& context, std::unique_ptr<ByteStream> lower)
      : loop_(loop), lower_(std::move(lower)), ssl_(SSL_new(context.get())) {
    GS_CHECK(ssl_ != nullptr);
    BIO* bio = BIO_new(context.bio_method());
    GS_CHECK(bio != nullptr);
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_, bio, bio);
    SSL_set_app_data(ssl_, this);
  }
  ~TlsStream() override {
    if (gone_ != nullptr) *gone_ = true;
    if (handshake_ != nullptr) handshake_ = nullptr;
    SSL_free(ssl_);
  }

  SSL* ssl() const { return ssl_; }
  Handshake* handshake() const { return handshake_; }
  long client_verify_error() const { return client_verify_error_; }
  void note_verify_error(long error) {
    if (client_verify_error_ == X509_V_OK) client_verify_error_ = error;
  }

  // Answers through handshake.done; `handshake` is left alone once that is set.
  void begin(Handshake& handshake) {
    handshake_ = &handshake;
    lower_->start(*this);
    drive_handshake();
  }
  void give_up() { handshake_ = nullptr; }

  void start(ByteStream::Handler& handler) override {
    handler_ = &handler;
    resume();
  }
  void write(std::string_view bytes) override {
    if (bytes.empty() || (ended_ && !peer_finished_) || shutdown_wanted_) return;
    plain_.append(bytes);
    above_high_water_ |= buffered() > kHighWater;
    loop_.at_turn_end(*this);
  }
  size_t buffered() const override { return plain_.size() + lower_->buffered(); }
  void pause() override {
    paused_ = true;
    lower_->pause();
  }
  void resume() override {
    paused_ = false;
    if (!kept_.empty() || lower_error_) loop_.at_turn_end(*this);
    lower_->resume();
  }
  void shutdown() override {
    shutdown_wanted_ = true;
    loop_.at_turn_end(*this);
  }
  std::string_view alpn() const override {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return std::string_view(reinterpret_cast<const char*>(name), size);
  }
  std::string peer_address() const override { return lower_->peer_address(); }

  // For the BIO: takes from what arrived, gives to the stream below.
  size_t take_arrived(char* to, size_t size) {
    size = std::min(size, in_.size());
    in_.copy(to, size);
    in_.remove_prefix(size);
    return size;
  }
  void give_below(std::string_view bytes) { lower_->write(bytes); }

 private:
  void on_data(std::string_view bytes) override {
    if (ended_) return;
    if (!kept_.empty()) {
      kept_.append(bytes);
      loop_.at_turn_end(*this);
      return;
    }
    in_ = bytes;
    decrypt();
  }

  void on_closed(const Error& error) override {
    if (ended_) return;
    if (handshake_ != nullptr) {
      finish_handshake(Error(error.code, "TLS handshake: " + error.message));
      return;
    }
    lower_error_ = is_closed_by_peer(error) ? Error(Code::kUnavailable, "connection closed without close_notify") : error;
    if (!held() && kept_.empty()) end(Error(*lower_error_));
  }

  void on_drained() override { maybe_drained(); }

  void turn_ended() override {
    if (!kept_.empty() && !held()) {
      const std::string bytes = std::exchange(kept_, std::string());
      in_ = bytes;
      if (!decrypt()) return;
    }
    if (lower_error_ && !held() && kept_.empty() && !ended_) {
      end(Error(*lower_error_));
      return;
    }
    encrypt();
  }

  bool held() const { return paused_ || handler_ == nullptr; }

  // Everything in in_, or until the handler pauses. False when this object is gone.
  bool decrypt() {
    if (handshake_ != nullptr) drive_handshake();
    bool gone = false;
    gone_ = &gone;
    char buffer[kRecord];
    while (handshake_ == nullptr && !held() && !ended_) {
      clear_errors();
      size_t size = 0;
      if (SSL_read_ex(ssl_, buffer, sizeof buffer, &size) == 1) {
        handler_->on_data(std::string_view(buffer, size));
        if (gone) return false;
        // Asking OpenSSL for more costs as much as a short record.
        if (in_.empty() && SSL_has_pending(ssl_) == 0) break;
        continue;
      }
      const int why = SSL_get_error(ssl_, 0);
      if (why == SSL_ERROR_WANT_READ) break;
      end(why == SSL_ERROR_ZERO_RETURN ? closed_by_peer() : internal::protocol_error("peer"));
      if (gone) return false;
      break;
    }
    gone_ = nullptr;
    // Nobody wants it yet; the stream below is paused, so this is one read of it at most.
    if (!ended_ && !in_.empty()) {
      kept_.assign(in_);
      if (handler_ == nullptr) lower_->pause();
    }
    in_ = {};
    return true;
  }

  void encrypt() {
    if (ended_ && !peer_finished_) return;
    std::string_view rest = plain_;
    while (!rest.empty()) {
      clear_errors();
      size_t written = 0;
      if (SSL_write_ex(ssl_, rest.data(), std::min(rest.size(), kRecord), &written) != 1) {
        plain_ = std::string();
        if (!ended_) end(internal::protocol_error("peer"));
        return;
      }
      rest.remove_prefix(written);
    }
    plain_ = std::string();
    if (shutdown_wanted_ && !std::exchange(shutdown_sent_, true)) {
      ERR_clear_error();
      SSL_shutdown(ssl_);
      lower_->shutdown();
    }
    // Records are longer than what is in them: what was not above the mark may be so below. Under its own mark the
    // stream below will not tell when it is empty.
    above_high_water_ |= lower_->buffered() > kHighWater;
    if (lower_->buffered() <= kHighWater) maybe_drained();
  }

  void maybe_drained() {
    if (ended_ || handler_ == nullptr || !plain_.empty()) return;
    if (std::exchange(above_high_water_, false)) handler_->on_drained();
  }

  void drive_handshake() {
    ERR_clear_error();
    if (SSL_do_handshake(ssl_) == 1) {
      finish_handshake(std::nullopt);
      return;
    }
    const int why = SSL_get_error(ssl_, 0);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
    std::optional<Error> error = std::move(handshake_->distrust);
    if (!error) error = internal::protocol_error(SSL_is_server(ssl_) ? "client" : "server");
    finish_handshake(std::move(error));
  }

  void finish_handshake(std::optional<Error> error) {
    ended_ = error.has_value();
    Handshake& handshake = *std::exchange(handshake_, nullptr);
    handshake.error = std::move(error);
    handshake.done.set();
  }

  // The last that the handler hears; this object may be gone afterwards.
  void end(Error why) {
    ended_ = true;
    peer_finished_ = is_closed_by_peer(why);
    if (handler_ != nullptr) handler_->on_closed(why);
  }

  Loop& loop_;
  std::unique_ptr<ByteStream> lower_;
  SSL* ssl_;
  ByteStream::Handler* handler_ = nullptr;
  Handshake* handshake_ = nullptr;
  std::string_view in_;      // arrived, valid during decrypt()
  std::string kept_;         // arrived while nobody wanted it
  std::string plain_;        // written in this turn, so that small writes share a record
  std::optional<Error> lower_error_;
  bool* gone_ = nullptr;
  long client_verify_error_ = X509_V_OK;
  bool above_high_water_ = false;
  bool paused_ = false;
  bool ended_ = false;          // on_closed was called, or the handshake failed
  bool peer_finished_ = false;  // in good order: what we still have to say goes out
  bool shutdown_wanted_ = false;
  bool shutdown_sent_ = false;
};

TlsStream* stream_of(const SSL* ssl) { return static_cast<TlsStream*>(SSL_get_app_data(ssl)); }

std::string alpn_wire(const std::vector<std::string>& names) {
  std::string wire;
  for (const auto& name : names) {
    wire.push_back(static_cast<char>(name.size()));
    wire += name;
  }
  return wire;
}

int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void*) {
  const Handshake* handshake = stream_of(ssl)->handshake();
  if (handshake == nullptr || handshake->alpn.empty()) return SSL_TLSEXT_ERR_NOACK;
  const int rc = SSL_select_next_proto(const_cast<unsigned char**>(out), out_size,
                                       reinterpret_cast<const unsigned char*>(handshake->alpn.data()),
                                       static_cast<unsigned>(handshake->alpn.size()), offered, offered_size);
  return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// OpenSSL forgets the certificate of a handshake that fails: the words are made here.
int refuse_and_explain(int verified, X509_STORE_CTX* store) {
  if (verified == 1) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  if (Handshake* handshake = stream_of(ssl)->handshake()) {
    handshake->distrust = internal::verification_error(X509_STORE_CTX_get_error(store),
                                                       X509_STORE_CTX_get_current_cert(store), handshake->wanted_name);
  }
  return 0;
}

int accept_and_note(int verified, X509_STORE_CTX* store) {
  if (verified == 1) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  stream_of(ssl)->note_verify_error(X509_STORE_CTX_get_error(store));
  return 1;
}

// TlsContext::identity() made sure that OpenSSL takes it.
void use_identity(SSL* ssl, const Identity& identity) { GS_CHECK(internal::try_identity(ssl, identity)); }

// A host name that a certificate can be checked against, as Go's crypto/x509 has it. OpenSSL would take
// an empty name for "any", and ".com" for all that ends so.
bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > 253 || name.front() == '.' || name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

// Without the dot of a fully qualified name: neither SNI nor certificates have it.
std::string name_to_verify(std::string name) {
  if (name.ends_with('.')) name.pop_back();
  return name;
}

Status check_server_name(const TlsOptions& options) {
  if (options.insecure_skip_verify) return ok();
  if (options.server_name.empty()) return fail(Code::kInvalid, "TLS: no server name to verify");
  const std::string name = name_to_verify(options.server_name);
  if (IpAddress::parse(name) || is_host_name(name)) return ok();
  return fail(Code::kInvalid, "TLS: \"{}\" is not a host name that a certificate can be verified for",
              truncate_utf8(options.server_name, 100));
}

void set_common(SSL* ssl, Loop& loop, TlsVersion min_version) {
  if (min_version == TlsVersion::k1_3) SSL_set_min_proto_version(ssl, TLS1_3_VERSION);
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(loop.wall_now().time_since_epoch()).count();
  X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), now);
}

void configure_client(TlsStream& stream, Loop& loop, TlsContext& context, const TlsOptions& options,
                      Handshake& handshake) {
  SSL* ssl = stream.ssl();
  SSL_set_connect_state(ssl);
  set_common(ssl, loop, options.min_version);
  const std::string name = name_to_verify(options.server_name);
  handshake.wanted_name = name;
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (const auto address = IpAddress::parse(name)) {
    const auto bytes = address->bytes();
    GS_CHECK(X509_VERIFY_PARAM_set1_ip(verify, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) == 1);
  } else if (is_host_name(name)) {
    GS_CHECK(X509_VERIFY_PARAM_set1_host(verify, name.data(), name.size()) == 1);
    SSL_set_tlsext_host_name(ssl, name.c_str());
  }
  const auto trust = options.trust != nullptr ? options.trust : context.system_trust();
  SSL_set1_verify_cert_store(ssl, trust->get());
  SSL_set_verify(ssl, options.insecure_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, &refuse_and_explain);
  if (options.identity != nullptr) use_identity(ssl, *options.identity);
  const std::string alpn = alpn_wire(options.alpn);
  SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(alpn.data()), static_cast<unsigned>(alpn.size()));
}

void configure_server(TlsStream& stream, Loop& loop, const TlsServerOptions& options, Handshake& handshake) {
  SSL* ssl = stream.ssl();
  SSL_set_accept_state(ssl);
  set_common(ssl, loop, options.min_version);
  use_identity(ssl, *options.identity);
  handshake.alpn = alpn_wire(options.alpn);
  if (options.client_certificate == ClientCertificate::kNone) return;
  if (options.client_trust != nullptr) {
    SSL_set1_verify_cert_store(ssl, options.client_trust->get());
    for (X509* authority : options.client_trust->certificates()) SSL_add_client_CA(ssl, authority);
  }
  if (options.client_certificate == ClientCertificate::kRequired) {
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, &refuse_and_explain);
  } else {
    SSL_set_verify(ssl, SSL_VERIFY_PEER, &accept_and_note);
  }
}

// Owns the stream until the handshake is done; what `handshake` says is its outcome.
Task<Status> finish(Loop& loop, TlsStream& stream, Handshake& handshake, MonoTime deadline) {
  stream.begin(handshake);
  const bool in_time = co_await handshake.done.wait(deadline);
  if (!in_time) {
    stream.give_up();
    co_return fail(Code::kDeadlineExceeded, "TLS handshake: deadline exceeded");
  }
  if (handshake.error) {
    // Our alert, which says why, leaves at the end of this turn.
    co_await yield_turn(loop);
    co_return fail(std::move(*handshake.error));
  }
  co_return ok();
}

}  // namespace

namespace internal {

BIO_METHOD* make_stream_bio_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "byte stream");
  GS_CHECK(method != nullptr);
  BIO_meth_set_read_ex(method, [](BIO* bio, char* to, size_t size, size_t* taken) {
    BIO_clear_retry_flags(bio);
    *taken = static_cast<TlsStream*>(BIO_get_data(bio))->take_arrived(to, size);
    if (*taken > 0) return 1;
    BIO_set_retry_read(bio);
    return 0;
  });
  BIO_meth_set_write_ex(method, [](BIO* bio, const char* from, size_t size, size_t* given) {
    BIO_clear_retry_flags(bio);
    static_cast<TlsStream*>(BIO_get_data(bio))->give_below(std::string_view(from, size));
    *given = size;
    return 1;
  });
  BIO_meth_set_ctrl(method, [](BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1L : 0L; });
  return method;
}

void set_alpn_selection(SSL_CTX* context) { SSL_CTX_set_alpn_select_cb(context, &select_alpn, nullptr); }

}  // namespace internal

Task<ByteStreamResult> tls_connect(Loop& loop, TlsContext& context, std::unique_ptr<ByteStream> lower,
                                   TlsOptions options, MonoTime deadline) {
  GS_CO_TRY_STATUS(check_server_name(options));
  auto stream = std::make_unique<TlsStream>(loop, context, std::move(lower));
  Handshake handshake(loop);
  configure_client(*stream, loop, context, options, handshake);
  const Status done = co_await finish(loop, *stream, handshake, deadline);
  if (!done) co_return fail(done.error());
  std::unique_ptr<ByteStream> open = std::move(stream);
  co_return open;
}

Task<ByteStreamResult> tls_accept(Loop& loop, TlsContext& context, std::unique_ptr<ByteStream> lower,
                                  TlsServerOptions options, MonoTime deadline) {
  if (options.identity == nullptr) co_return fail(Code::kInvalid, "TLS: a server needs a certificate");
  auto stream = std::make_unique<TlsStream>(loop, context, std::move(lower));
  Handshake handshake(loop);
  configure_server(*stream, loop, options, handshake);
  const Status done = co_await finish(loop, *stream, handshake, deadline);
  if (!done) co_return fail(done.error());
  std::unique_ptr<ByteStream> open = std::move(stream);
  co_return open;
}

Task<ByteStreamResult> TlsConnector::connect(Endpoint endpoint, MonoTime deadline) {
  TlsOptions options = options_;
  if (options.server_name.empty()) options.server_name = endpoint.host;
  const std::string where = fmt::format("{}:{}", endpoint.host, endpoint.port);
  auto lower = co_await lower_.connect(endpoint, deadline);
  if (!lower) co_return fail(std::move(lower).error());
  Semaphore::Permit place;
  CallbackTimer lapse(loop_, [&place] { place = Semaphore::Permit(); });
  if (places_ != nullptr) {
    auto acquiring = places_->acquire(deadline);
    auto acquired = co_await acquiring;
    if (!acquired) co_return fail(Code::kDeadlineExceeded, "TLS handshake with {}: too many at once", where);
    place = *std::move(acquired);
    lapse.arm_after(kPlaceTime);
  }
  auto secure = co_await tls_connect(loop_, context_, *std::move(lower), std::move(options), deadline);
  if (!secure) co_return fail(std::move(secure).error().with_context(where));
  co_return std::move(secure);
}

std::optional<PeerCertificate> peer_certificate(const ByteStream& stream) {
  const auto* tls = dynamic_cast<const TlsStream*>(&stream);
  X509* certificate = tls == nullptr ? nullptr : SSL_get0_peer_certificate(tls->ssl());
  if (certificate == nullptr) return std::nullopt;
  PeerCertificate peer;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int field = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (field != NID_commonName && field != NID_organizationName) continue;
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    if (size < 0) continue;
    std::string value(reinterpret_cast<char*>(text), static_cast<size_t>(size));
    OPENSSL_free(text);
    if (field == NID_commonName) {
      peer.common_name = std::move(value);
    } else {
      peer.organizations.push_back(std::move(value));
    }
  }
  const long error = std::max(tls->client_verify_error(), SSL_get_verify_result(tls->ssl()));
  const bool asked = SSL_get_verify_mode(tls->ssl()) != SSL_VERIFY_NONE;
  if (error != X509_V_OK) peer.not_verified = X509_verify_cert_error_string(error);
  if (!asked) peer.not_verified = "verification is off";
  return peer;
}

void TlsAcceptor::accepted(std::unique_ptr<ByteStream> stream) {
  if (scope_.size() >= kHandshakesAtOnce) return;  // dropped: the client will come again
  scope_.spawn(handshake(std::move(stream)));
}

Task<void> TlsAcceptor::handshake(std::unique_ptr<ByteStream> stream) {
  const std::string peer = stream->peer_address();
  const MonoTime deadline = saturating_add(loop_.now(), kHandshakeTime);
  TlsServerOptions options = options_;
  auto secure = co_await tls_accept(loop_, context_, std::move(stream), std::move(options), deadline);
  if (secure) {
    next_.accepted(*std::move(secure));
  } else {
    log::debug("TLS handshake failed", {{"peer", peer}, {"error", secure.error()}});
  }
}

}  // namespace gs::net
