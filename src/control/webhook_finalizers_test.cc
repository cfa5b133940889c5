#include "control/webhook_finalizers.h"

namespace gs::control {
namespace {

kube::ObjectRef webhook(const std::string& finalizers, bool deleting) {
  const std::string more = deleting ? R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")" : "";
  return *kube::Object::parse(R"({"apiVersion":"gulfstream.dev/v1alpha1","kind":"Webhook","metadata":{"name":"w","uid":"u","resourceVersion":"7","finalizers":)" + finalizers + more + "}}");
}

WebhookReport report(bool deleting, size_t held) {
  WebhookReport out;
  out.uid = "u";
  out.deleting = deleting;
  out.held = held;
  return out;
}

TEST(WebhookFinalizers, ItStandsBeforeAnythingIsConfiguredAndOthersStay) {
  const auto patch = finalizer_patch(*webhook(R"(["x"])", false), report(false, 0));
  EXPECT_EQ(patch.dump(), R"({"metadata":{"resourceVersion":"7","finalizers":["x","gulfstream.dev/webhook"]}})");
  EXPECT_TRUE(finalizer_patch(*webhook(R"(["gulfstream.dev/webhook"])", false), report(false, 0)).is_null());
}

TEST(WebhookFinalizers, ItGoesWhenAllIsGivenBackOnEveryLoopAndNotBefore) {
  const auto deleting = webhook(R"(["gulfstream.dev/webhook","x"])", true);
  EXPECT_TRUE(finalizer_patch(*deleting, report(true, 1)).is_null()) << "something is left in a cluster";
  EXPECT_TRUE(finalizer_patch(*deleting, report(false, 0)).is_null()) << "a loop does not know yet";
  EXPECT_EQ(finalizer_patch(*deleting, report(true, 0)).dump(), R"({"metadata":{"resourceVersion":"7","finalizers":["x"]}})");
}

TEST(WebhookFinalizers, APlaneThatServesNoWebhooksTouchesNone) {
  WebhookReport idle = report(true, 0);
  idle.not_served = "no --listen";
  EXPECT_TRUE(finalizer_patch(*webhook(R"(["gulfstream.dev/webhook"])", true), idle).is_null());
  idle.deleting = false;
  EXPECT_TRUE(finalizer_patch(*webhook("[]", false), idle).is_null());
}

TEST(WebhookFinalizers, AnotherOfTheSameNameIsLeftAlone) {
  WebhookReport other = report(true, 0);
  other.uid = "other";
  EXPECT_TRUE(finalizer_patch(*webhook(R"(["gulfstream.dev/webhook"])", true), other).is_null());
}

TEST(WebhookReport, IsReleasedOnlyWhenEveryLoopSaysSo) {
  WebhookReport all = report(true, 0);
  all.merge(report(true, 2));
  EXPECT_EQ(all.held, 2u);
  EXPECT_TRUE(all.deleting);
  all.merge(report(false, 0));
  EXPECT_FALSE(all.deleting);
}

TEST(WebhookReport, ConditionsNameWhatIsWrongFirst) {
  WebhookReport good = report(false, 0);
  EXPECT_EQ(good.conditions().front().status, ConditionStatus::kTrue);
  WebhookReport bad = good;
  bad.note_trouble("t/c", "ServiceRefused", "Service ns/x: has a selector");
  EXPECT_EQ(bad.conditions().front().reason, "ServiceRefused");
  bad.certificate_reason = "CertificateNotReady";
  bad.certificate_error = "there are none";
  EXPECT_EQ(bad.conditions().front().reason, "CertificateNotReady");
  WebhookReport unserved = good;
  unserved.not_served = "no --listen";
  EXPECT_EQ(unserved.conditions().front().reason, "NotServed");
}

TEST(CertificateFacts, TheLeastThatIsCarriedCounts) {
  CertificateFacts all, one, two;
  one.carried = 7;
  two.carried = 5;
  two.services = {"a.b.svc"};
  two.unknown = 1;
  all.merge(one);
  all.merge(two);
  all.merge(CertificateFacts());
  EXPECT_EQ(all.carried, 5u);
  EXPECT_EQ(all.unknown, 1u);
  EXPECT_EQ(all.services.size(), 1u);
}

}  // namespace
}  // namespace gs::control
