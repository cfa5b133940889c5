#include "net/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "base/check.h"
#include "base/strings.h"

namespace gs::net {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::array<uint8_t, 12> kNat64Prefix{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};

bool same_bits(const uint8_t* a, const uint8_t* b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - bits % 8));
  return (a[whole] & mask) == (b[whole] & mask);
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  if (inet_pton(AF_INET, copy.c_str(), &v4.sin_addr) == 1) return from_sockaddr(reinterpret_cast<sockaddr&>(v4));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  if (inet_pton(AF_INET6, copy.c_str(), &v6.sin6_addr) == 1) return from_sockaddr(reinterpret_cast<sockaddr&>(v6));
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::from_sockaddr(const sockaddr& address) {
  IpAddress ip;
  if (address.sa_family == AF_INET) {
    std::memcpy(ip.bytes_.data(), &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
    return ip;
  }
  if (address.sa_family != AF_INET6) return std::nullopt;
  const auto* bytes = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr.s6_addr;
  if (std::memcmp(bytes, kMappedPrefix.data(), kMappedPrefix.size()) == 0) {
    std::memcpy(ip.bytes_.data(), bytes + 12, 4);
    return ip;
  }
  ip.v4_ = false;
  std::memcpy(ip.bytes_.data(), bytes, 16);
  return ip;
}

void IpAddress::to_sockaddr(uint16_t port, sockaddr_storage& out) const {
  std::memset(&out, 0, sizeof out);
  if (v4_) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes_.data(), 4);
    return;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, bytes_.data(), 16);
}

bool IpAddress::is_loopback() const {
  static constexpr std::array<uint8_t, 16> kLoopback6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return v4_ ? bytes_[0] == 127 : bytes_ == kLoopback6;
}

std::string_view IpAddress::bytes() const {
  return std::string_view(reinterpret_cast<const char*>(bytes_.data()), v4_ ? 4 : 16);
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

std::optional<IpAddress> IpAddress::nat64() const {
  if (v4_ || std::memcmp(bytes_.data(), kNat64Prefix.data(), kNat64Prefix.size()) != 0) return std::nullopt;
  IpAddress inner;
  std::memcpy(inner.bytes_.data(), bytes_.data() + 12, 4);
  return inner;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  text = trim(text);
  const size_t slash = text.find('/');
  const auto base = IpAddress::parse(text.substr(0, slash));
  if (!base) return fail(Code::kInvalid, "\"{}\" is not an address range (want e.g. 10.0.0.0/8)", text);
  Cidr cidr;
  cidr.base_ = *base;
  cidr.bits_ = base->is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return cidr;
  auto bits = parse_uint(text.substr(slash + 1));
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const bool mapped = base->is_v4() && text.find(':') != std::string_view::npos;
  if (bits && mapped) bits = *bits >= 96 ? std::optional(*bits - 96) : std::nullopt;
  if (!bits || *bits > cidr.bits_) return fail(Code::kInvalid, "\"{}\" has a bad prefix length", text);
  cidr.bits_ = static_cast<unsigned>(*bits);
  return cidr;
}

bool Cidr::contains(const IpAddress& address) const {
  return address.v4_ == base_.v4_ && same_bits(address.bytes_.data(), base_.bytes_.data(), bits_);
}

std::string Cidr::to_string() const { return fmt::format("{}/{}", base_.to_string(), bits_); }

Status DestinationFilter::check(const IpAddress& address) const {
  const auto inner = address.nat64();
  for (const Cidr& range : deny_) {
    if (range.contains(address) || (inner && range.contains(*inner))) {
      return fail(Code::kForbidden, "destination {} is refused by rule {}", address.to_string(), range.to_string());
    }
  }
  return ok();
}

Result<std::vector<Cidr>> parse_cidrs(std::string_view list) {
  std::vector<Cidr> ranges;
  for (const std::string_view part : split(list, ',')) {
    if (trim(part).empty()) continue;
    GS_TRY(const Cidr range, Cidr::parse(part));
    ranges.push_back(range);
  }
  return ranges;
}

std::vector<Cidr> default_cluster_deny_cidrs() {
  auto ranges = parse_cidrs(
      "127.0.0.0/8,::1/128,"          // loopback
      "169.254.0.0/16,fe80::/10,"     // link-local, with most clouds' metadata 169.254.169.254
      "fd00:ec2::254/128,168.63.129.16/32,"  // metadata of EC2 over IPv6, of Azure
      "0.0.0.0/8,::/128,"             // unspecified: reaches this machine
      "224.0.0.0/4,255.255.255.255/32,ff00::/8");
  GS_CHECK(ranges.has_value());
  return *std::move(ranges);
}

}  // namespace gs::net
