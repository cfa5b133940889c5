// Numeric addresses, ranges of them, and the rule about where the plane may dial.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

struct sockaddr;
struct sockaddr_storage;

namespace gs::net {

// An IPv4 or IPv6 address. IPv4-mapped IPv6 (::ffff:a.b.c.d) is the IPv4 address it maps.
class IpAddress {
 public:
  // Without brackets and zones.
  static std::optional<IpAddress> parse(std::string_view text);
  static std::optional<IpAddress> from_sockaddr(const sockaddr& address);
  void to_sockaddr(uint16_t port, sockaddr_storage& out) const;

  bool is_v4() const { return v4_; }
  bool is_loopback() const;
  // 4 or 16 bytes.
  std::string_view bytes() const;
  std::string to_string() const;
  // The IPv4 address inside the NAT64 prefix 64:ff9b::/96.
  std::optional<IpAddress> nat64() const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  friend class Cidr;
  bool v4_ = true;
  std::array<uint8_t, 16> bytes_{};
};

class Cidr {
 public:
  // "10.0.0.0/8", "fe80::/10"; a bare address is itself only.
  static Result<Cidr> parse(std::string_view text);
  bool contains(const IpAddress& address) const;
  std::string to_string() const;

 private:
  IpAddress base_;
  unsigned bits_ = 0;
};

// Checked on the resolved address at each dial: a name cannot lead where the rules forbid.
class DestinationFilter {
 public:
  DestinationFilter() = default;
  explicit DestinationFilter(std::vector<Cidr> deny) : deny_(std::move(deny)) {}
  void deny(Cidr range) { deny_.push_back(range); }
  // kForbidden naming the address and the rule.
  Status check(const IpAddress& address) const;

 private:
  std::vector<Cidr> deny_;
};

// Comma-separated ranges, as in a flag.
Result<std::vector<Cidr>> parse_cidrs(std::string_view list);

// What a tenant's kubeconfig must not reach: loopback, link-local, cloud metadata, unspecified,
// multicast.
std::vector<Cidr> default_cluster_deny_cidrs();

}  // namespace gs::net
