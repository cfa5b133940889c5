#include "webhook/review.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/value.h"
#include "webhook/review_test_util.h"

namespace gs::webhook {
namespace {

using ::testing::HasSubstr;

json::Value parsed(const std::string& text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value ? *std::move(value) : json::Value();
}

AdmissionRequest admission(const std::string& body) {
  auto request = parse_admission_review(body);
  if (!request) ADD_FAILURE() << request.error().to_string();
  return request ? *std::move(request) : AdmissionRequest("");
}

ConversionRequest conversion(const std::string& body) {
  auto request = parse_conversion_review(body);
  if (!request) ADD_FAILURE() << request.error().to_string();
  return request ? *std::move(request) : ConversionRequest("");
}

TEST(AdmissionReview, OfACreateIsReadAsTheApiServerSendsIt) {
  const AdmissionRequest request = admission(kCreatePod);
  EXPECT_EQ(request.version, ReviewVersion::kV1);
  EXPECT_EQ(request.uid, "705ab4f5-6393-11e8-b7cc-42010a800002");
  EXPECT_EQ(request.operation, "CREATE");
  EXPECT_EQ(request.name, "web-0");
  EXPECT_EQ(request.ns, "shop");
  EXPECT_EQ(request.kind, (GroupVersionName{"", "v1", "Pod"}));
  EXPECT_EQ(request.resource, (GroupVersionName{"", "v1", "pods"}));
  EXPECT_EQ(request.user_name, "kubernetes-admin");
  EXPECT_FALSE(request.dry_run);
  EXPECT_EQ(parsed(std::string(request.object)).text("spec.containers"), "");
  EXPECT_EQ(parsed(std::string(request.object)).pointer("/spec/containers/0/args/1")->string()->substr(5), "\"}{][\" \\");
  EXPECT_TRUE(request.old_object.empty());
  EXPECT_EQ(parsed(std::string(request.options)).text("fieldManager"), "kubectl-create");
  EXPECT_EQ(parsed(std::string(request.request)).text("uid"), request.uid);
}

TEST(AdmissionReview, KeepsApartWhatTheRulesMatchedAndWhatWasAsked) {
  const AdmissionRequest request = admission(kScale);
  EXPECT_EQ(request.resource, (GroupVersionName{"apps", "v1", "deployments"}));
  EXPECT_EQ(request.request_resource, (GroupVersionName{"apps", "v1beta1", "deployments"}));
  EXPECT_EQ(request.subresource, "scale");
  EXPECT_EQ(request.request_subresource, "scale");
  EXPECT_EQ(request.kind.name, "Scale");
  EXPECT_TRUE(request.dry_run);
}

TEST(AdmissionReview, OfV1beta1WithEscapesAndWithoutRequestKindsIsRead) {
  const AdmissionRequest request = admission(kDeleteEscaped);
  EXPECT_EQ(request.version, ReviewVersion::kV1beta1);
  EXPECT_EQ(request.name, "R&D");
  EXPECT_EQ(request.request_resource, request.resource);
  EXPECT_EQ(request.request_kind, request.kind);
  EXPECT_TRUE(request.object.empty());
  EXPECT_FALSE(request.dry_run);
}

TEST(AdmissionReview, ViewsHoldWhenTheRequestMoves) {
  std::vector<AdmissionRequest> held;
  held.push_back(admission(kDeleteEscaped));
  for (int i = 0; i < 10; ++i) held.push_back(admission(kCreatePod));
  EXPECT_EQ(held.front().name, "R&D");
  EXPECT_EQ(held.front().uid, "bbb");
}

TEST(AdmissionReview, ThatIsWrongIsRefusedWithTheFieldAndWhatIsWrong) {
  struct Case {
    std::string body, message;
    Code code = Code::kInvalid;
  };
  const Case cases[] = {
      {"", "invalid JSON"},
      {"{", "invalid JSON"},
      {"[]", "the body: must be a JSON object"},
      {"null", "the body: must be a JSON object"},
      {kCreatePod.substr(0, kCreatePod.size() / 2), "invalid JSON"},
      {kCreatePod + "x", "invalid JSON"},
      {kConvert, "kind: must be AdmissionReview at this path, not \"ConversionReview\"", Code::kUnsupported},
      {replaced(kCreatePod, "admission.k8s.io/v1", "admission.k8s.io/v2"), "apiVersion: must be admission.k8s.io/v1 or admission.k8s.io/v1beta1", Code::kUnsupported},
      {R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"})", "request: is required"},
      {R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null})", "request: is required"},
      {R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":[]})", "request: must be an object"},
      {R"({"kind":7,"apiVersion":"admission.k8s.io/v1","request":{}})", "kind: must be a string"},
      {replaced(kCreatePod, R"("uid":"705ab4f5-6393-11e8-b7cc-42010a800002",)", ""), "request.uid: is required"},
      {replaced(kCreatePod, R"("705ab4f5-6393-11e8-b7cc-42010a800002")", "17"), "request.uid: must be a string"},
      {replaced(kCreatePod, "705ab4f5", std::string(300, 'a')), "request.uid: is longer than 256 bytes"},
      {replaced(kCreatePod, R"("operation":"CREATE")", R"("operation":"")"), "request.operation: is required"},
      {replaced(kCreatePod, R"("operation":"CREATE")", R"("operation":"CREATE","operation":"DELETE")"), "request.operation: is there twice"},
      {replaced(kCreatePod, R"("operation":"CREATE")", R"("operation":"CREATE","resource":{"resource":"leases"})"), "request.resource: is there twice"},
      {replaced(kCreatePod, R"("dryRun":false)", R"("dryRun":"no")"), "request.dryRun: must be true or false"},
      {replaced(kCreatePod, R"("resource":{"group":"","version":"v1","resource":"pods"})", R"("resource":"pods")"), "request.resource: must be an object"},
      {replaced(kCreatePod, R"("resource":"pods"})", R"("resource":{}})"), "request.resource.resource: must be a string"},
      {replaced(kCreatePod, R"("oldObject":null)", R"("oldObject":"x")"), "request.oldObject: must be an object"},
      {replaced(kCreatePod, R"("username":"kubernetes-admin")", R"("username":[])"), "request.userInfo.username: must be a string"},
      {std::string(2000, '[') + std::string(2000, ']'), "JSON"},
  };
  for (const Case& c : cases) {
    const auto result = parse_admission_review(c.body);
    ASSERT_FALSE(result.has_value()) << c.message;
    EXPECT_EQ(result.error().code, c.code) << c.message;
    EXPECT_THAT(result.error().message, HasSubstr(c.message));
  }
}

TEST(AdmissionAnswer, EchoesUidAndVersionAndCarriesEverything) {
  AdmissionAnswer answer(true);
  answer.patch = R"([{"op":"add","path":"/metadata/labels","value":{"a":"b"}}])";
  answer.warnings = {"quote \" and \n newline", "second"};
  answer.audit_annotations.emplace_back("image-policy", "resolved");
  const json::Value review = parsed(to_json(admission(kCreatePod), answer));
  EXPECT_EQ(review.text("kind"), "AdmissionReview");
  EXPECT_EQ(review.text("apiVersion"), "admission.k8s.io/v1");
  EXPECT_EQ(review.text("response.uid"), "705ab4f5-6393-11e8-b7cc-42010a800002");
  EXPECT_EQ(review.at("response.allowed")->boolean(), true);
  EXPECT_EQ(review.text("response.patchType"), "JSONPatch");
  EXPECT_EQ(base64_decode(review.text("response.patch")), answer.patch);
  EXPECT_EQ(*review.pointer("/response/warnings/0")->string(), "quote \" and \n newline");
  EXPECT_EQ(review.text("response.auditAnnotations.image-policy"), "resolved");
  EXPECT_EQ(review.at("response.status"), nullptr);
  EXPECT_EQ(parsed(to_json(admission(kDeleteEscaped), AdmissionAnswer(true))).text("apiVersion"), "admission.k8s.io/v1beta1");
}

TEST(AdmissionAnswer, ThatRefusesSaysWhyAndNeverPatches) {
  AdmissionAnswer answer(false);
  answer.code = 403;
  answer.reason = "Forbidden";
  answer.message = "not from this registry: \xff\xfe";
  answer.patch = "[]";
  const json::Value review = parsed(to_json(admission(kCreatePod), answer));
  EXPECT_EQ(review.at("response.allowed")->boolean(), false);
  EXPECT_EQ(review.at("response.status.code")->integer(), 403);
  EXPECT_EQ(review.text("response.status.reason"), "Forbidden");
  EXPECT_EQ(review.text("response.status.message"), "not from this registry: ??");
  EXPECT_EQ(review.at("response.patch"), nullptr);
  EXPECT_EQ(review.at("response.patchType"), nullptr);
}

TEST(AdmissionAnswer, OfADelegateIsCheckedBeforeItGoesOut) {
  struct Case {
    std::string patch, message;  // no message: it is right
    bool mutating = true;
    bool allowed = true;
    Code code = Code::kInvalid;
  };
  const Case cases[] = {
      {"", ""},
      {"[]", ""},
      {R"([{"op":"add","path":"/a~1b/-","value":null},{"op":"remove","path":""},{"op":"move","from":"/a","path":"/b"},{"op":"test","path":"/a","value":1}])", ""},
      {"[]", "patch: a validating webhook may not change the object", false},
      {"[]", "patch: goes with an allowed answer only", true, false},
      {"{}", "patch: must be an array"},
      {"[", "patch: invalid JSON"},
      {"[1]", "patch[0]: must be an object"},
      {R"([{"op":"add","path":"/a","value":1},{"op":"merge","path":"/a"}])", "patch[1].op: must be add, remove"},
      {R"([{"path":"/a"}])", "patch[0].op"},
      {R"([{"op":"remove"}])", "patch[0].path: must be a JSON pointer"},
      {R"([{"op":"remove","path":"spec/a"}])", "patch[0].path: must be a JSON pointer"},
      {R"([{"op":"remove","path":7}])", "patch[0]: op, path and from must be strings"},
      {R"([{"op":"add","path":"/a"}])", "patch[0].value: is required"},
      {R"([{"op":"copy","path":"/a"}])", "patch[0].from: must be a JSON pointer"},
      {"[\"" + std::string(kMaxAnswerBytes, 'x') + "\"]", "patch: is larger than", true, true, Code::kTooLarge},
  };
  for (const Case& c : cases) {
    AdmissionAnswer answer(c.allowed);
    answer.patch = c.patch;
    const Status status = check_answer(answer, c.mutating);
    EXPECT_EQ(status.has_value(), c.message.empty()) << c.patch.substr(0, 200);
    if (status) continue;
    EXPECT_EQ(status.error().code, c.code);
    EXPECT_THAT(status.error().message, HasSubstr(c.message));
  }
}

TEST(AdmissionAnswer, WithTooMuchOrMisnamedBesideTheDecisionIsRefused) {
  AdmissionAnswer many(true);
  many.warnings.assign(kMaxWarnings + 1, "w");
  EXPECT_EQ(check_answer(many, true).error().code, Code::kTooLarge);
  AdmissionAnswer annotated(true);
  annotated.audit_annotations.emplace_back("example.com/key", "v");
  EXPECT_THAT(check_answer(annotated, true).error().message, HasSubstr("without slash"));
  AdmissionAnswer odd(false);
  odd.code = 7;
  EXPECT_THAT(check_answer(odd, true).error().message, HasSubstr("7 is no HTTP status"));
  AdmissionAnswer large(false);
  large.message.assign(kMaxAnswerBytes + 1, 'm');
  EXPECT_EQ(check_answer(large, true).error().code, Code::kTooLarge);
}

TEST(AdmissionAnswer, OfAReviewServerIsReadByTheApiServersRules) {
  const AdmissionRequest v1 = admission(kCreatePod);
  const AdmissionRequest v1beta1 = admission(kDeleteEscaped);
  const std::string good =
      R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true,)"
      R"("patch":"W10=","patchType":"JSONPatch","warnings":["w\u0026"],"auditAnnotations":{"k":"v"}}})";
  const auto answer = parse_admission_answer(good, v1);
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_TRUE(answer->allowed);
  EXPECT_EQ(answer->patch, "[]");
  EXPECT_EQ(answer->warnings, std::vector<std::string>{"w&"});
  EXPECT_EQ(answer->audit_annotations.at(0).second, "v");

  const auto refused = parse_admission_answer(R"({"response":{"allowed":false,"status":{"code":422,"reason":"Invalid","message":"no"}}})", v1beta1);
  ASSERT_TRUE(refused.has_value()) << refused.error().to_string();
  EXPECT_FALSE(refused->allowed);
  EXPECT_EQ(refused->code, 422);
  EXPECT_EQ(refused->reason, "Invalid");
  EXPECT_EQ(refused->message, "no");

  struct Case {
    std::string body, message;
  };
  const Case cases[] = {
      {"<html>", "invalid JSON"},
      {"[]", "the answer: must be a JSON object"},
      {R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"})", "response: is required"},
      {replaced(good, "705ab4f5", "805ab4f5"), "response.uid: must be the request's"},
      {replaced(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1"), "the answer must be of admission.k8s.io/v1"},
      {replaced(good, R"(,"patchType":"JSONPatch")", ""), "response.patchType: must be JSONPatch"},
      {replaced(good, R"("patch":"W10=",)", ""), "response.patchType: goes with a patch only"},
      {replaced(good, "W10=", "@@"), "response.patch: must be base64"},
      {replaced(good, R"("allowed":true)", R"("allowed":"yes")"), "response.allowed: must be true or false"},
      {replaced(good, R"(["w\u0026"])", "[1]"), "response.warnings: must be strings"},
      {replaced(good, R"({"k":"v"})", R"({"k":1})"), "response.auditAnnotations: must be strings by name"},
  };
  for (const Case& c : cases) {
    const auto result = parse_admission_answer(c.body, v1);
    ASSERT_FALSE(result.has_value()) << c.message;
    EXPECT_THAT(result.error().message, HasSubstr(c.message));
  }
}

TEST(ConversionReview, IsReadAndAnsweredInItsVersion) {
  const ConversionRequest request = conversion(kConvert);
  EXPECT_EQ(request.uid, "0df3f2c0");
  EXPECT_EQ(request.desired_api_version, "example.com/v2");
  ASSERT_EQ(request.objects.size(), 1u);
  EXPECT_EQ(parsed(std::string(request.objects[0])).text("metadata.resourceVersion"), "177");

  ConversionAnswer answer;
  answer.objects = {R"({"apiVersion":"example.com/v2"})", R"({"a":1})"};
  const json::Value review = parsed(to_json(request, answer));
  EXPECT_EQ(review.text("kind"), "ConversionReview");
  EXPECT_EQ(review.text("apiVersion"), "apiextensions.k8s.io/v1");
  EXPECT_EQ(review.text("response.uid"), "0df3f2c0");
  EXPECT_EQ(review.text("response.result.status"), "Success");
  EXPECT_EQ(review.at("response.convertedObjects")->array()->size(), 2u);

  const ConversionRequest beta = conversion(replaced(kConvert, "apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"));
  answer.failure = "no \"way\"";
  const json::Value failed = parsed(to_json(beta, answer));
  EXPECT_EQ(failed.text("apiVersion"), "apiextensions.k8s.io/v1beta1");
  EXPECT_EQ(failed.text("response.result.status"), "Failure");
  EXPECT_EQ(failed.text("response.result.message"), "no \"way\"");
  EXPECT_TRUE(failed.at("response.convertedObjects")->array()->empty());
}

TEST(ConversionReview, ThatIsWrongIsRefusedWithTheField) {
  struct Case {
    std::string body, message;
  };
  const Case cases[] = {
      {kCreatePod, "kind: must be ConversionReview at this path"},
      {replaced(kConvert, R"("uid":"0df3f2c0")", R"("uid":null)"), "request.uid: is required"},
      {replaced(kConvert, R"("example.com/v2")", "{}"), "request.desiredAPIVersion: must be a string"},
      {replaced(kConvert, R"("example.com/v2")", "\"\""), "request.desiredAPIVersion: is required"},
      {replaced(kConvert, R"("objects":[)", R"("objects":[null,)"), "request.objects[0]: must be an object"},
      {R"({"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1","request":{"uid":"u","desiredAPIVersion":"e/v2","objects":{}}})",
       "request.objects: must be an array"},
  };
  for (const Case& c : cases) {
    const auto result = parse_conversion_review(c.body);
    ASSERT_FALSE(result.has_value()) << c.message;
    EXPECT_THAT(result.error().message, HasSubstr(c.message));
  }
}

TEST(ConversionAnswer, OfAReviewServerIsReadByTheApiServersRules) {
  const ConversionRequest request = conversion(kConvert);
  const std::string good =
      R"({"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1","response":{"uid":"0df3f2c0","result":{"status":"Success"},"convertedObjects":[{"a":1},{"b":2}]}})";
  const auto answer = parse_conversion_answer(good, request);
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_EQ(answer->objects, (std::vector<std::string>{R"({"a":1})", R"({"b":2})"}));
  const auto failed = parse_conversion_answer(replaced(good, R"({"status":"Success"})", R"({"status":"Failure","message":"why"})"), request);
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->failure, "why");
  EXPECT_TRUE(failed->objects.empty());
  const auto silent = parse_conversion_answer(replaced(good, R"({"status":"Success"})", "{}"), request);
  ASSERT_TRUE(silent.has_value());
  EXPECT_EQ(silent->failure, "response.result.status was '', not 'Success'");
  EXPECT_FALSE(parse_conversion_answer(replaced(good, "0df3f2c0", "other"), request).has_value());
}

}  // namespace
}  // namespace gs::webhook
