#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "schema/decode.h"
#include "schema/kubernetes.h"
#include "schema/protobuf/decode.h"
#include "schema/protobuf/encode.h"

namespace gs::schema::protobuf {
namespace {

using json::Value;

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// The object of an envelope as JSON has it, kind and apiVersion too.
Value read(std::string_view bytes) {
  Envelope envelope;
  EXPECT_EQ(read_envelope(bytes, envelope), "");
  const SchemaPtr schema = kubernetes_kind(envelope.api_version, envelope.kind);
  if (schema == nullptr) return Value();
  Value out;
  EXPECT_EQ(decode(*schema, envelope.raw, out), "");
  out["kind"] = envelope.kind;
  out["apiVersion"] = envelope.api_version;
  return out;
}

std::string write(const Value& object) {
  const SchemaPtr schema = kubernetes_kind(object.text("apiVersion"), object.text("kind"));
  std::string raw, out;
  encode(*schema, object, raw);
  write_envelope(object.text("apiVersion"), object.text("kind"), raw, out);
  return out;
}

// Both directions, of one object that Kubernetes' own library wrote.
void expect_same(const Value& object, const std::string& bytes, const std::string& what) {
  const Value decoded = read(bytes);
  EXPECT_EQ(decoded, object) << what << "\nours:  " << decoded.dump() << "\nGo's:  " << object.dump();
  EXPECT_EQ(base64_encode(write(object)), base64_encode(bytes)) << what;
}

TEST(ProtobufTest, ReadsAndWritesWhatKubernetesOwnLibraryWrote) {
  std::ifstream lines(PROTOBUF_TESTDATA "/objects.golden");
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const size_t tab = line.find('\t');
    expect_same(*json::parse(line.substr(0, tab)), *base64_decode(line.substr(tab + 1)), line.substr(0, tab));
  }
  EXPECT_EQ(count, 30u);
}

// Every field of every type, as Kubernetes' own tests have it: a directory of NAME.json and NAME.pb (test/e2e/test_schema_table.py).
TEST(ProtobufTest, ReadsAndWritesEveryFieldOfEveryType) {
  const char* directories = std::getenv("KUBERNETES_TESTDATA");
  if (directories == nullptr) GTEST_SKIP() << "KUBERNETES_TESTDATA is not set";
  size_t count = 0;
  for (const std::string_view directory : split(directories, ':')) {
    for (const auto& file : std::filesystem::directory_iterator(directory)) {
      if (file.path().extension() != ".pb") continue;
      const auto object = json::parse(contents(std::filesystem::path(file.path()).replace_extension(".json")));
      ASSERT_TRUE(object) << file.path();
      if (kubernetes_kind(object->text("apiVersion"), object->text("kind")) == nullptr) continue;
      expect_same(*object, contents(file.path()), file.path().filename());
      ++count;
    }
  }
  EXPECT_GT(count, 60u);
}

struct Wrong {
  std::string bytes;
  const char* problem;
};

TEST(ProtobufTest, SaysWhatIsWrongWithAnEnvelopeInKubernetesWords) {
  const std::string magic("k8s\0", 4);
  const Wrong cases[] = {{"", "empty data"},
                         {"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"},
                         {magic, "empty body"},
                         {magic + "\x12\x05x", "unexpected EOF"},
                         {magic + "\x0a\x02\x0a\x09", "unexpected EOF"},
                         {magic + "\x0f", "proto: illegal wireType 7"},
                         {magic + "\x0c", "proto: wiretype end group for non-group"},
                         {magic + std::string(11, '\xff'), "proto: integer overflow"}};
  for (const Wrong& c : cases) {
    Envelope envelope;
    EXPECT_EQ(read_envelope(c.bytes, envelope), c.problem) << base64_encode(c.bytes);
  }
}

std::string problem(const char* type, std::string_view bytes) {
  Value value;
  return decode(*kubernetes_schema(type), bytes, value);
}

TEST(ProtobufTest, SaysWhatIsWrongWithAMessage) {
  EXPECT_EQ(problem("core.v1.ConfigMap", "\x0a\x05"), "unexpected EOF");
  EXPECT_EQ(problem("core.v1.ConfigMap", std::string("\x08\x00", 2)), "proto: wrong wireType = 0 for field ObjectMeta");
  std::string quantity;
  write_bytes(1, "zz", quantity);
  std::string entry, quota;
  write_bytes(1, "cpu", entry);
  write_bytes(2, quantity, entry);
  write_bytes(1, entry, quota);
  EXPECT_TRUE(problem("core.v1.ResourceQuotaSpec", quota).starts_with("quantities must match"));
  std::string revision, raw;
  write_bytes(1, "{", raw);
  write_bytes(2, raw, revision);
  EXPECT_TRUE(problem("apps.v1.ControllerRevision", revision).starts_with("json: error calling MarshalJSON")) << problem("apps.v1.ControllerRevision", revision);
}

TEST(ProtobufTest, SkipsFieldsThatItDoesNotKnowAndMergesWhatComesTwice) {
  std::string meta, again, config;
  write_bytes(1, "name", meta);
  write_bytes(200, "unknown", meta);
  meta += std::string("\xc3\x3e\xc4\x3e", 4);  // a group
  write_bytes(3, "ns", again);
  write_bytes(1, meta, config);
  write_bytes(1, again, config);
  Value value;
  EXPECT_EQ(decode(*kubernetes_schema("core.v1.ConfigMap"), config, value), "");
  EXPECT_EQ(value.dump(), R"({"metadata":{"name":"name","namespace":"ns"}})");
}

TEST(ProtobufTest, ReplacesWhatIsNoUtf8AsGoDoesInJson) {
  std::string reference;
  write_bytes(1, "a\xff\xc3\xbc\xe2\x82 b", reference);
  Value value;
  EXPECT_EQ(decode(*kubernetes_schema("core.v1.ObjectReference"), reference, value), "");
  EXPECT_EQ(value.text("kind"), "a\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd b");
}

TEST(ProtobufTest, TakesPackedNumbers) {
  std::string codes;
  write_bytes(3, std::string("\x01\xc8\x01", 3), codes);
  Value value;
  EXPECT_EQ(decode(*kubernetes_schema("batch.v1.PodFailurePolicyOnExitCodesRequirement"), codes, value), "");
  EXPECT_EQ(value.find("values")->dump(), "[1,200]");
}

TEST(ProtobufTest, BoundsDepthAndNumber) {
  std::string props;
  for (int i = 0; i < 1000; ++i) {
    std::string outer;
    write_bytes(28, props, outer);  // JSONSchemaProps.not
    props = std::move(outer);
  }
  EXPECT_EQ(kubernetes_schema("apiextensions.v1.JSONSchemaProps")->find("not")->numbers[0], 28);
  EXPECT_EQ(problem("apiextensions.v1.JSONSchemaProps", props), "proto: messages are nested too deep");
  std::string finalizers;
  for (int i = 0; i < 1'000'001; ++i) finalizers += std::string("\x72\x00", 2);
  EXPECT_EQ(problem("meta.v1.ObjectMeta", finalizers), "proto: too many values");
}

}  // namespace
}  // namespace gs::schema::protobuf
