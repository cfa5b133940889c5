// Protobuf at the HTTP face: what a typed client of client-go sends and gets.
#include "apiserver/protobuf.h"

#include <fmt/format.h>

#include "apiserver/api_server.h"
#include "base/strings.h"
#include "kube/http_transport.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "schema/kubernetes.h"
#include "schema/protobuf/decode.h"
#include "schema/protobuf/encode.h"

namespace gs::apiserver {
namespace {

using namespace std::chrono_literals;
namespace pb = schema::protobuf;
const std::string kMaps = "/api/v1/namespaces/default/configmaps";
const std::string kType{kProtobuf};
const std::string kBoth = kType + ",application/json";

// An envelope read back, with its kind; null where it is none.
json::Value read(std::string_view bytes) {
  pb::Envelope envelope;
  if (!pb::read_envelope(bytes, envelope).empty()) return json::Value();
  const bool list = envelope.kind.ends_with("List");
  const std::string_view kind = list ? envelope.kind.substr(0, envelope.kind.size() - 4) : envelope.kind;
  json::Value out;
  out["kind"] = envelope.kind;
  if (list) {
    out["bytes"] = static_cast<int64_t>(envelope.raw.size());
  } else {
    json::Value object;
    EXPECT_EQ(pb::decode(*schema::kubernetes_kind(envelope.api_version, kind), envelope.raw, object), "");
    out["object"] = std::move(object);
  }
  return out;
}

std::string protobuf(const std::string& json) { return to_protobuf(json).value_or(""); }

class ProtobufTest : public testing::Test {
 protected:
  ProtobufTest() {
    listener = *net::SimListener::listen(loop, net, "server", 443, http);
    kube::ConnectionConfig config;
    config.server = *kube::parse_server_url("http://server:443");
    transport = std::make_unique<kube::HttpTransport>(loop, connector, config, kube::HttpTransportOptions());
  }

  Answer ask(const std::string& method, const std::string& target, const std::string& body, const std::string& type = kType) {
    Answer answer = server.request(method, target, body, type);
    const auto parsed = json::parse(answer.body);
    object = parsed ? *parsed : json::Value();
    return answer;
  }
  std::string message() { return std::string(object.text("message")); }
  Task<void> send(kube::Request request, kube::Response& out) {
    auto response = co_await transport->send(std::move(request));
    if (response) out = *std::move(response);
  }
  kube::Response get(const std::string& target, const std::string& accept) {
    kube::Request request("GET", target);
    request.accept = accept;
    kube::Response out;
    TaskScope scope(loop);
    scope.spawn(send(std::move(request), out));
    world.run_for(10s);
    return out;
  }

  SimWorld world{7};
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  ApiServer server{loop};
  net::HttpServer http{loop, server.handler()};
  std::unique_ptr<net::Listener> listener;
  net::SimConnector connector{loop, net, "client"};
  std::unique_ptr<kube::HttpTransport> transport;
  json::Value object;
};

TEST_F(ProtobufTest, BodiesAreTakenAsTheyWouldBeInJson) {
  const std::string body = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"x":"y"}},"data":{"k":"v"},"binaryData":{"b":"AAE="}})";
  EXPECT_EQ(ask("POST", kMaps, protobuf(body)).status, 201);
  const json::Value from_protobuf = object;
  EXPECT_EQ(ask("DELETE", kMaps + "/a", "").status, 200);
  EXPECT_EQ(ask("POST", kMaps, body, "application/json").status, 201);
  for (const char* path : {"metadata.labels", "data", "binaryData"}) EXPECT_EQ(from_protobuf.at(path)->dump(), object.at(path)->dump()) << path;
  EXPECT_EQ(object.object()->size(), from_protobuf.object()->size()) << from_protobuf.dump();
}

TEST_F(ProtobufTest, ABodyOfAnotherKindOrOfNoneIsRefusedInWords) {
  EXPECT_EQ(ask("POST", kMaps, "x").status, 400);
  EXPECT_EQ(message(), "the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] (78)");
  std::string envelope;
  pb::write_envelope("v1", "ConfigMap", "\x0a\x05", envelope);
  EXPECT_EQ(ask("POST", kMaps, envelope).status, 400);
  EXPECT_EQ(message(), "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: unexpected EOF");
  envelope.clear();
  pb::write_envelope("v1", "Nonsense", "", envelope);
  EXPECT_EQ(ask("POST", kMaps, envelope).status, 400);
  EXPECT_EQ(message(), "Nonsense in version \"v1\" cannot be handled as a ConfigMap: no kind \"Nonsense\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\"");
  EXPECT_EQ(ask("POST", kMaps, protobuf(R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}})")).status, 400);
}

TEST_F(ProtobufTest, AKindThatIsNotSaidIsThatOfThePath) {
  std::string raw, envelope;
  pb::encode(*schema::kubernetes_schema("core.v1.ConfigMap"), *json::parse(R"({"metadata":{"name":"a"}})"), raw);
  pb::write_envelope("", "", raw, envelope);
  EXPECT_EQ(ask("POST", kMaps, envelope).status, 201);
}

TEST_F(ProtobufTest, OptionsOfDeletionsAndBodiesOfSubresourcesAreTakenToo) {
  ask("POST", kMaps, R"({"metadata":{"name":"a"}})", "application/json");
  EXPECT_EQ(ask("DELETE", kMaps + "/a", protobuf(R"({"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"other"}})")).status, 409);
  EXPECT_EQ(ask("DELETE", kMaps + "/a", protobuf(R"({"apiVersion":"meta.k8s.io/v1","kind":"DeleteOptions","dryRun":["All"]})")).status, 200);
  EXPECT_EQ(ask("GET", kMaps + "/a", "").status, 200) << "a body that is not there has no type";
  EXPECT_EQ(ask("DELETE", kMaps + "/a", "x").status, 400);
  EXPECT_EQ(message(), "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  const std::string deployments = "/apis/apps/v1/namespaces/default/deployments";
  const std::string deployment = R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})";
  EXPECT_EQ(ask("POST", deployments, protobuf(deployment)).status, 201) << message();
  EXPECT_EQ(object.at("spec.replicas")->dump(), "1");
  EXPECT_EQ(ask("PUT", deployments + "/d/scale", protobuf(R"({"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"d"},"spec":{"replicas":4}})")).status, 200) << message();
  ask("GET", deployments + "/d", "");
  EXPECT_EQ(object.at("spec.replicas")->dump(), "4");
}

TEST_F(ProtobufTest, AnswersAreInWhatIsAcceptedFirst) {
  ask("POST", kMaps, R"({"metadata":{"name":"a"},"data":{"k":"v"}})", "application/json");
  const kube::Response got = get(kMaps + "/a", kBoth);
  EXPECT_EQ(got.content_type, kType);
  EXPECT_EQ(read(got.body).text("object.data.k"), "v");
  EXPECT_EQ(get(kMaps + "/a", "application/json," + kType).content_type, "application/json");
  const kube::Response missing = get(kMaps + "/none", kBoth);
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(read(missing.body).text("object.reason"), "NotFound");
  // A Table has no protobuf.
  const std::string table = ";as=Table;g=meta.k8s.io;v=v1";
  EXPECT_EQ(json::parse(get(kMaps, kType + table + ",application/json" + table).body)->text("kind"), "Table");
  EXPECT_EQ(get(kMaps, kType + table).status, 406);
  const std::string partial = kType + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
  pb::Envelope envelope;
  const std::string body = get(kMaps + "/a", partial).body;
  EXPECT_EQ(pb::read_envelope(body, envelope), "");
  EXPECT_EQ(envelope.kind, "PartialObjectMetadata");
  EXPECT_EQ(envelope.api_version, "meta.k8s.io/v1");
}

TEST_F(ProtobufTest, ListsAreTheSameAsThatOfTheirJson) {
  for (const char* name : {"a", "b", "c"}) ask("POST", kMaps, fmt::format(R"({{"metadata":{{"name":"{}"}},"data":{{"k":"v"}}}})", name), "application/json");
  for (const char* query : {"", "?limit=2"}) {
    const kube::Response list = get(kMaps + query, kType);
    EXPECT_EQ(list.status, 200);
    EXPECT_EQ(list.content_type, kType);
    EXPECT_EQ(base64_encode(list.body), base64_encode(to_protobuf(get(kMaps + query, "application/json").body).value_or("")));
  }
}

TEST_F(ProtobufTest, CustomResourcesHaveNoProtobufButTheirMetadata) {
  ResourceType type = custom_resource("example.com", "v1", "things", "Thing");
  server.table().add(type);
  const std::string things = "/apis/example.com/v1/namespaces/default/things";
  EXPECT_EQ(ask("POST", things, R"({"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"t"}})", "application/json").status, 201);
  EXPECT_EQ(ask("POST", things, "x").status, 415);
  EXPECT_EQ(message(), "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml");
  EXPECT_EQ(ask("DELETE", things + "/t", protobuf(R"({"apiVersion":"meta.k8s.io/v1","kind":"DeleteOptions","dryRun":["All"]})")).status, 200);
  EXPECT_EQ(get(things + "/t", kBoth).content_type, "application/json");
  EXPECT_EQ(get(things + "/t", kType).status, 406);
  EXPECT_EQ(get(things + "/t", kType + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1").content_type, kType);
}

TEST_F(ProtobufTest, AWatchSendsFramesWithTheirLength) {
  ask("POST", kMaps, R"({"metadata":{"name":"a"},"data":{"k":"v"}})", "application/json");
  const kube::Response watch = get(kMaps + "?watch=true&timeoutSeconds=1", kType + ";stream=watch");
  EXPECT_EQ(watch.content_type, kProtobufWatch);
  ASSERT_GT(watch.body.size(), 4u);
  const size_t size = static_cast<unsigned char>(watch.body[2]) << 8 | static_cast<unsigned char>(watch.body[3]);
  ASSERT_EQ(watch.body.size(), size + 4);
  std::string object, extension, frame;
  object = to_protobuf(get(kMaps + "/a", "application/json").body).value_or("");
  pb::write_bytes(1, object, extension);
  pb::write_bytes(1, "ADDED", frame);
  pb::write_bytes(2, extension, frame);
  EXPECT_EQ(base64_encode(watch.body.substr(4)), base64_encode(frame));
}

}  // namespace
}  // namespace gs::apiserver
