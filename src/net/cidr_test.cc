#include "net/cidr.h"

#include <gtest/gtest.h>

namespace gs::net {
namespace {

TEST(IpAddress, ParsesAndPrintsBothFamilies) {
  struct Case {
    const char* text;
    const char* printed;  // null: not an address
  };
  for (const auto& c : std::vector<Case>{{"10.0.0.1", "10.0.0.1"},
                                         {"::1", "::1"},
                                         {"::ffff:10.0.0.1", "10.0.0.1"},
                                         {"2001:DB8::0", "2001:db8::"},
                                         {"010.0.0.1", nullptr},
                                         {"10.1", nullptr},
                                         {"2130706433", nullptr},
                                         {"[::1]", nullptr},
                                         {"fe80::1%eth0", nullptr},
                                         {"localhost", nullptr},
                                         {"", nullptr}}) {
    const auto address = IpAddress::parse(c.text);
    EXPECT_EQ(address.has_value(), c.printed != nullptr) << c.text;
    if (address && c.printed != nullptr) {
      EXPECT_EQ(address->to_string(), c.printed);
    }
  }
}

TEST(Cidr, ContainsExactlyItsRange) {
  struct Case {
    const char* range;
    const char* address;
    bool inside;
  };
  for (const auto& c : std::vector<Case>{{"10.0.0.0/8", "10.255.0.1", true},
                                         {"10.0.0.0/8", "11.0.0.1", false},
                                         {"10.1.2.3/9", "10.127.0.1", true},
                                         {"10.1.2.3/9", "10.128.0.1", false},
                                         {"0.0.0.0/0", "8.8.8.8", true},
                                         {"0.0.0.0/0", "::1", false},
                                         {"::/0", "1.2.3.4", false},
                                         {"fe80::/10", "febf::1", true},
                                         {"fe80::/10", "fec0::1", false},
                                         {"10.0.0.7", "10.0.0.7", true},
                                         {"10.0.0.7", "10.0.0.8", false},
                                         {"::ffff:10.0.0.0/104", "10.9.9.9", true},
                                         {"10.0.0.0/8", "::ffff:10.9.9.9", true}}) {
    const auto range = Cidr::parse(c.range);
    ASSERT_TRUE(range.has_value()) << c.range;
    EXPECT_EQ(range->contains(*IpAddress::parse(c.address)), c.inside) << c.range << " " << c.address;
  }
}

TEST(Cidr, RefusesWhatIsNotARange) {
  for (const char* text : {"", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "10.0.0.0/8/8", "::ffff:10.0.0.0/8"}) {
    EXPECT_FALSE(Cidr::parse(text).has_value()) << text;
  }
}

TEST(DestinationFilter, DefaultRulesRefuseWhatATenantMustNotReach) {
  const DestinationFilter filter(default_cluster_deny_cidrs());
  for (const char* address : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "169.254.169.254", "169.254.0.1",
                              "fe80::1", "fd00:ec2::254", "168.63.129.16", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1",
                              "ff02::1", "255.255.255.255", "64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254"}) {
    const auto verdict = filter.check(*IpAddress::parse(address));
    ASSERT_FALSE(verdict.has_value()) << address;
    EXPECT_EQ(verdict.error().code, Code::kForbidden);
  }
  for (const char* address : {"10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00::1", "64:ff9b::808:808"}) {
    EXPECT_TRUE(filter.check(*IpAddress::parse(address)).has_value()) << address;
  }
}

TEST(DestinationFilter, NamesTheAddressAndTheRule) {
  const DestinationFilter filter(*parse_cidrs("10.0.0.0/8, 192.168.0.0/16"));
  EXPECT_EQ(filter.check(*IpAddress::parse("192.168.1.1")).error().message,
            "destination 192.168.1.1 is refused by rule 192.168.0.0/16");
}

}  // namespace
}  // namespace gs::net
