// Beast asserts what bytes of a peer decide: an empty chunked body whose last line comes in pieces ends the
// process (basic_parser::parse_chunk_header, "n >= 5"). Without its assertions it does the right thing.
#define BOOST_DISABLE_ASSERTS

#include "net/http1_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <utility>

#include "base/strings.h"

namespace gs::net {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using View = boost::beast::string_view;

std::string text(View view) { return std::string(view.data(), view.size()); }

// Beast's parser is a template over the direction; this is what both of ours have in common.
class ParserBase {
 public:
  virtual ~ParserBase() = default;
  virtual size_t put(std::string_view bytes, error_code& ec) = 0;
  virtual void put_eof(error_code& ec) = 0;
  virtual bool header_done() const = 0;
  virtual bool done() const = 0;
  virtual bool keep_alive() const = 0;
  virtual bool chunked() const = 0;
  virtual bool upgrade() const = 0;
  virtual bool got_some() const = 0;
  virtual std::optional<uint64_t> content_length() const = 0;
};

struct Target {
  int* version;
  int* status;
  std::string* method;
  std::string* target;
  Headers* headers;
  Headers* trailers;
  std::string* body;
};

template <bool IsRequest>
class BeastParser final : public ParserBase, private http::basic_parser<IsRequest> {
  using Base = http::basic_parser<IsRequest>;

 public:
  BeastParser(Target out, size_t max_head_bytes, bool without_body) : out_(out) {
    this->header_limit(static_cast<std::uint32_t>(max_head_bytes));
    this->body_limit(boost::none);
    this->eager(true);
    if (without_body) this->skip(true);
  }
  size_t put(std::string_view bytes, error_code& ec) override {
    return Base::put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
  }
  void put_eof(error_code& ec) override { Base::put_eof(ec); }
  bool header_done() const override { return this->is_header_done(); }
  bool done() const override { return this->is_done(); }
  bool keep_alive() const override { return Base::keep_alive(); }
  bool chunked() const override { return Base::chunked(); }
  bool upgrade() const override { return Base::upgrade(); }
  bool got_some() const override { return Base::got_some(); }
  std::optional<uint64_t> content_length() const override {
    const auto length = Base::content_length();
    return length ? std::optional<uint64_t>(*length) : std::nullopt;
  }

 private:
  void on_request_impl(http::verb, View method, View target, int version, error_code&) override {
    *out_.method = text(method);
    *out_.target = text(target);
    *out_.version = version;
  }
  void on_response_impl(int code, View, int version, error_code&) override {
    *out_.status = code;
    *out_.version = version;
  }
  void on_field_impl(http::field, View name, View value, error_code&) override {
    Headers& headers = this->is_header_done() ? *out_.trailers : *out_.headers;
    headers.emplace_back(to_lower(std::string_view(name.data(), name.size())), text(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(View bytes, error_code&) override {
    out_.body->append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View bytes, error_code& ec) override { return on_body_impl(bytes, ec); }
  void on_finish_impl(error_code&) override {}

  Target out_;
};

Error parse_error(const error_code& ec) {
  const bool large = ec == http::error::header_limit;
  return Error(large ? Code::kTooLarge : Code::kInvalid, fmt::format("HTTP/1.1: {}", ec.message()));
}

}  // namespace

class Http1Parser::Impl {
 public:
  explicit Impl(std::unique_ptr<ParserBase> p) : parser(std::move(p)) {}
  std::unique_ptr<ParserBase> parser;
};

Http1Parser::Http1Parser(Kind kind, size_t max_head_bytes) : kind_(kind), max_head_bytes_(max_head_bytes) {
  (void)next();  // nothing is pending: cannot fail
}
Http1Parser::~Http1Parser() = default;

Status Http1Parser::next(bool without_body) {
  headers_.clear();
  trailers_.clear();
  body_.clear();
  started_ = false;
  const Target out{&version_, &status_, &method_, &target_, &headers_, &trailers_, &body_};
  std::unique_ptr<ParserBase> parser;
  if (kind_ == Kind::kRequest) {
    parser = std::make_unique<BeastParser<true>>(out, max_head_bytes_, without_body);
  } else {
    parser = std::make_unique<BeastParser<false>>(out, max_head_bytes_, without_body);
  }
  impl_ = std::make_unique<Impl>(std::move(parser));
  const std::string rest = std::exchange(pending_, {});
  return feed(rest);
}

Status Http1Parser::run(std::string_view bytes, size_t& used) {
  ParserBase& parser = *impl_->parser;
  while (used < bytes.size() && !parser.done()) {
    error_code ec;
    const bool had_head = parser.header_done();
    const size_t now = parser.put(bytes.substr(used), ec);
    used += now;
    if (ec == http::error::need_more) ec = {};
    if (ec) return fail(parse_error(ec));
    // Two ways to say where the body ends are how requests are smuggled.
    if (!had_head && parser.header_done()) {
      for (const Header& header : headers_) {
        // HTTP/1.0 knows no transfer encodings: whoever was in between took the message for another.
        if (header.name == "transfer-encoding" && (version_ < 11 || !equals_ignore_case(header.value, "chunked"))) {
          return fail(Code::kInvalid, "HTTP/1.1: transfer-encoding \"{}\"", header.value);
        }
      }
      if (version_ != 10 && version_ != 11) return fail(Code::kInvalid, "HTTP/1.1: bad version");
    }
    if (now == 0) break;
  }
  return ok();
}

Status Http1Parser::feed(std::string_view bytes) {
  if (bytes.empty()) return ok();
  if (impl_->parser->done()) {
    pending_.append(bytes);
    return ok();
  }
  started_ = true;
  size_t used = 0;
  if (pending_.empty()) {
    GS_TRY_STATUS(run(bytes, used));
    pending_ = bytes.substr(used);
  } else {
    pending_.append(bytes);
    const Status status = run(pending_, used);
    pending_.erase(0, used);
    if (!status) return status;
  }
  // Beast bounds heads, not the extensions of a chunk's size.
  if (!impl_->parser->done() && pending_.size() > max_head_bytes_) {
    return fail(Code::kTooLarge, "HTTP/1.1: header of more than {} bytes", max_head_bytes_);
  }
  return ok();
}

Status Http1Parser::finish() {
  ParserBase& parser = *impl_->parser;
  if (parser.done()) return ok();
  if (!pending_.empty() || !parser.header_done()) return fail(Code::kInvalid, "HTTP/1.1: message is cut short");
  error_code ec;
  parser.put_eof(ec);
  if (ec) return fail(parse_error(ec));
  return ok();
}

bool Http1Parser::head_done() const { return impl_->parser->header_done(); }
bool Http1Parser::done() const { return impl_->parser->done(); }
bool Http1Parser::keep_alive() const { return impl_->parser->keep_alive(); }
bool Http1Parser::chunked() const { return impl_->parser->chunked(); }
bool Http1Parser::upgrade() const { return impl_->parser->upgrade(); }
std::optional<uint64_t> Http1Parser::content_length() const { return impl_->parser->content_length(); }

}  // namespace gs::net
