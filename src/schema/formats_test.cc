#include "schema/formats.h"

#include <gtest/gtest.h>

#include "schema/names.h"

namespace gs::schema {
namespace {

TEST(FormatsTest, QuantitiesAreWrittenInOneWay) {
  constexpr std::pair<const char*, const char*> kCases[] = {{"1", "1"},       {"1000m", "1"},    {"0.5", "500m"},  {"1500m", "1500m"}, {"1024Ki", "1Mi"},  {"1Gi", "1Gi"},   {"0", "0"},      {"0Ki", "0"},
                                                            {"1000", "1k"},   {"1500", "1500"},  {"1e3", "1e3"},   {"0.5Gi", "512Mi"}, {"100u", "100u"},   {"-1", "-1"},     {"+2", "2"},     {"1.5Mi", "1536Ki"},
                                                            {"512Ki", "512Ki"}, {"1Ki", "1Ki"},  {"2000000k", "2G"}};
  for (const auto& [given, written] : kCases) EXPECT_EQ(canonical_quantity(given), written) << given;
}

TEST(FormatsTest, WhatIsAQuantityIsSo) {
  for (const char* good : {"1", "100m", "1.5Gi", "1e3", "1E", ".5", "5.", "-1", "+1Ki"}) EXPECT_TRUE(is_quantity(good)) << good;
  for (const char* bad : {"", "zz", "1 Gi", "1gi", "1Kib", "--1", "1e", "Ki"}) EXPECT_FALSE(is_quantity(bad)) << bad;
}

struct Case {
  const char* format;
  const char* text;
  bool fits;
};

constexpr Case kCases[] = {
    {"date", "2024-02-29", true},          {"date", "2023-02-29", false},    {"date-time", "2024-01-02T03:04:05Z", true}, {"date-time", "2024-01-02", false}, {"ipv4", "10.0.0.1", true},
    {"ipv4", "256.0.0.1", false},          {"ipv6", "::1", true},            {"ipv6", "1.2.3.4", false},                  {"cidr", "10.0.0.0/24", true},      {"cidr", "10.0.0.0/33", false},
    {"mac", "00:11:22:33:44:55", true},    {"mac", "00:11", false},          {"uuid", "123e4567-e89b-12d3-a456-426614174000", true},                          {"uuid", "x", false},
    {"uuid4", "123e4567-e89b-12d3-a456-426614174000", false},                {"isbn10", "0321751043", true},              {"isbn13", "978-0321751041", true}, {"isbn", "123", false},
    {"hexcolor", "#FFF", true},            {"hexcolor", "#FFFF", false},     {"rgbcolor", "rgb(255,0,1)", true},          {"byte", "eA==", true},             {"byte", "!", false},
    {"duration", "22 ns", true},           {"duration", "1h30m", true},      {"duration", "soon", false},                 {"email", "a@b.example", true},     {"email", "a@", false},
    {"hostname", "a.example", true},       {"hostname", "-a", false},         {"uri", "https://a/b", true},                {"uri", "no scheme", false},        {"ssn", "123-45-6789", true},
    {"creditcard", "4111111111111111", true}, {"creditcard", "4111111111111112", false}, {"bsonobjectid", "507f1f77bcf86cd799439011", true}, {"password", "anything", true},
    {"k8s-short-name", "a-1", true},       {"k8s-short-name", "A", false},   {"k8s-long-name", "a.b", true},              {"whatever", "x", true},
};

TEST(FormatsTest, FormatsAreThoseOfApiextensions) {
  for (const Case& c : kCases) EXPECT_EQ(has_format(c.format, c.text), c.fits) << c.format << " " << c.text;
}

TEST(NamesTest, SayWhatIsWrongInKubernetesWords) {
  EXPECT_TRUE(dns1123_subdomain("a.b-c.d0").empty());
  EXPECT_EQ(dns1123_label("a.b"), Problems{"must not contain dots"});
  EXPECT_EQ(dns1123_label(std::string(64, 'a')), Problems{"must be no more than 63 bytes"});
  EXPECT_EQ(dns1035_label("1a").size(), 1u);
  EXPECT_EQ(label_key("/x"), Problems{"prefix part must be non-empty"});
  EXPECT_EQ(label_key("a/").front(), "name part must be non-empty");
  EXPECT_TRUE(label_key("example.com/My_Name.1").empty());
  EXPECT_TRUE(label_value("").empty());
  EXPECT_EQ(label_value("-a").size(), 1u);
  EXPECT_EQ(path_segment_name(".."), Problems{"may not be '..'"});
  EXPECT_EQ(path_segment_name("a/b%"), (Problems{"may not contain '/'", "may not contain '%'"}));
  EXPECT_EQ(config_map_key(".."), Problems{"must not be '..'"});
  EXPECT_EQ(port_number(0), Problems{"must be between 1 and 65535, inclusive"});
  EXPECT_EQ(port_name("1"), Problems{"must contain at least one letter (a-z)"});
}

}  // namespace
}  // namespace gs::schema
