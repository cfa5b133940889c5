#include "store/records.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

namespace gs::store {
namespace {

std::vector<ReadRecord> some_reads() {
  return {{"", "v1", "secrets", "ns", "child", false}, {"", "v1", "secrets", "ns", "other", false},
          {"apps", "v1", "deployments", "elsewhere", "app=x,tier in (a,b)", true}, {"", "v1", "nodes", "", "", true}};
}

TEST(RecordsTest, ReadSetsComeBackAsTheyWere) {
  EXPECT_EQ(decode_reads(encode_reads(some_reads(), "ns"), "ns").value(), some_reads());
  EXPECT_TRUE(decode_reads("", "ns").value().empty());
}

TEST(RecordsTest, AnyReadSetComesBack) {
  EXPECT_TRUE(rc::check([] {
    const auto texts = *rc::gen::container<std::vector<std::vector<std::string>>>(rc::gen::container<std::vector<std::string>>(5, rc::gen::arbitrary<std::string>()));
    std::vector<ReadRecord> reads;
    for (const auto& t : texts) reads.push_back({t[0], t[1], t[2], t[3], t[4], t[4].size() % 2 == 1});
    const std::string ns = *rc::gen::arbitrary<std::string>();
    RC_ASSERT(decode_reads(encode_reads(reads, ns), ns).value() == reads);
  }));
}

TEST(RecordsTest, DamagedReadSetsAreRefusedOrDifferButNeverCrash) {
  EXPECT_TRUE(rc::check([] {
    std::string bytes = encode_reads(some_reads(), "ns");
    const auto at = *rc::gen::inRange<size_t>(0, bytes.size());
    bytes[at] = static_cast<char>(bytes[at] ^ *rc::gen::inRange(1, 256));
    const auto reads = decode_reads(bytes, "ns");
    RC_ASSERT(!reads || *reads != some_reads());
    const auto cut = decode_reads(std::string_view(bytes).substr(0, at), "ns");
    RC_ASSERT(!cut || cut->size() < some_reads().size());
  }));
}

TEST(RecordsTest, AChecksumCoversEveryField) {
  const PairName pair{"tenant/cluster", "uid", "controller"};
  KeyRecord record;
  record.ns = "ns";
  record.name = "name";
  const Digest whole = checksum(pair, record, "");
  const auto differs = [&](auto change) {
    KeyRecord changed = record;
    change(changed);
    return checksum(pair, changed, "") != whole;
  };
  EXPECT_TRUE(differs([](KeyRecord& r) { r.ns = "n"; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.name = "n"; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.uid = "u"; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.version = "1"; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.settled = true; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.failures = 1; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.saved_at += Duration(1); }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.requeue_at = WallTime(); }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.resync_at = WallTime(); }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.basis.low = 1; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.revision.high = 1; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.children.low = 1; }));
  EXPECT_TRUE(differs([](KeyRecord& r) { r.reads.low = 1; }));
  EXPECT_NE(checksum(pair, record, "x"), whole);
  EXPECT_NE(checksum({"tenant/cluster", "uid", "another"}, record, ""), whole);
  EXPECT_NE(checksum({"tenant/cluster", "another", "controller"}, record, ""), whole);
  EXPECT_NE(checksum({"another", "uid", "controller"}, record, ""), whole);
}

}  // namespace
}  // namespace gs::store
