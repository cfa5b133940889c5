// Conditions, and how a status is made of them.
#include "control/report.h"

#include "control/status_writer.h"

namespace gs::control {
namespace {

const WallTime kNow = *parse_rfc3339("2026-01-02T03:04:05Z");
const WallTime kLater = kNow + std::chrono::hours(1);

ControllerReport controller() {
  ControllerReport report;
  report.uid = "u";
  report.generation = 3;
  report.desired = report.synced = report.ready = 2;
  return report;
}

std::string line(const std::vector<Condition>& conditions) {
  std::string out;
  for (const Condition& c : conditions) out += c.type + "=" + to_string(c.status) + "/" + c.reason + " ";
  return out;
}

TEST(ReportTest, ReadySumsUpWhatItRestsOn) {
  EXPECT_EQ(line(controller().conditions()), "Ready=True/Ready Valid=True/Valid DelegateReachable=True/Reachable ClustersSynced=True/Synced ");
  ControllerReport unreachable = controller();
  unreachable.delegate_reason = "Unreachable";
  unreachable.delegate_error = "connection refused";
  unreachable.note_trouble("b", "ResourceMissing", "no such resource");
  EXPECT_EQ(line(unreachable.conditions()), "Ready=False/Unreachable Valid=True/Valid DelegateReachable=False/Unreachable ClustersSynced=False/ResourceMissing ");
  ControllerReport invalid;
  invalid.error = "spec.x: is required";
  EXPECT_EQ(line(invalid.conditions()), "Ready=False/Invalid Valid=False/Invalid DelegateReachable=Unknown/Invalid ClustersSynced=Unknown/Invalid ");
}

TEST(ReportTest, LoopsAddUpAndTheFirstTroubleIsTold) {
  Report a, b;
  a.controllers["c"] = controller();
  a.controllers["c"].note_trouble("y", "Retrying", "of y");
  b.controllers["c"] = controller();
  b.controllers["c"].delegate_reason = "Unauthorized";
  b.controllers["c"].delegate_error = "401";
  b.controllers["c"].note_trouble("x", "ResourceMissing", "of x");
  b.controllers["only-b"] = controller();
  a.merge(b);
  EXPECT_EQ(a.controllers["c"].desired, 4u);
  EXPECT_EQ(a.controllers["c"].trouble, "of x");
  EXPECT_EQ(a.controllers["c"].delegate_error, "401");
  EXPECT_EQ(a.controllers["c"].delegate_reason, "Unauthorized");
  EXPECT_EQ(a.controllers["only-b"].desired, 2u);
}

TEST(ReportTest, AClusterIsUnknownBeforeItAnsweredAndFalseWhenItDoesNot) {
  ClusterReport report;
  EXPECT_EQ(line(report.conditions()), "Ready=Unknown/Connecting KubeconfigAccepted=True/Accepted Connected=Unknown/Connecting ");
  report.connect_error = "refused";
  EXPECT_EQ(line(report.conditions()), "Ready=False/Unreachable KubeconfigAccepted=True/Accepted Connected=False/Unreachable ");
  report.error = "users[0].user.exec: ...";
  report.error_reason = "KubeconfigRefused";
  EXPECT_EQ(line(report.conditions()), "Ready=False/KubeconfigRefused KubeconfigAccepted=False/KubeconfigRefused Connected=Unknown/NotConnected ");
  report.paused = true;
  EXPECT_EQ(line(report.conditions()), "Ready=False/Paused KubeconfigAccepted=Unknown/Paused Connected=Unknown/Paused ");
}

TEST(StatusContentTest, ATransitionTimeIsKeptWhileTheStatusIs) {
  const std::string first = controller_status(controller(), "", kNow).dump();
  EXPECT_TRUE(status_patch(controller_status(controller(), first, kLater), first).is_null());
  ControllerReport changed = controller();
  changed.note_trouble("b", "ResourceMissing", "no such resource");
  const auto second = controller_status(changed, first, kLater);
  EXPECT_EQ(second.pointer("/conditions/0/type")->string()->c_str(), std::string("Ready"));
  EXPECT_EQ(second.pointer("/conditions/0/lastTransitionTime")->string()->c_str(), std::string("2026-01-02T04:04:05Z"));
  EXPECT_EQ(second.pointer("/conditions/1/lastTransitionTime")->string()->c_str(), std::string("2026-01-02T03:04:05Z"));
}

TEST(StatusContentTest, WhatOthersPutIntoAStatusStays) {
  auto present = controller_status(controller(), "", kNow);
  present["annotations"]["a"] = "b";
  EXPECT_TRUE(status_patch(controller_status(controller(), present.dump(), kLater), present.dump()).is_null());
  ControllerReport changed = controller();
  changed.failing = 1;
  const auto patch = status_patch(controller_status(changed, present.dump(), kLater), present.dump());
  EXPECT_EQ(patch.dump(), R"({"clusters":{"desired":2,"synced":2,"ready":2,"failing":1}})");
}

TEST(StatusContentTest, LastSeenAloneIsWrittenRarely) {
  ClusterReport report;
  report.reachable = true;
  report.version = "v1.36.3";
  report.last_seen = kNow;
  const std::string first = cluster_status(report, 1, "", kNow).dump();
  report.last_seen = kNow + std::chrono::minutes(9);
  EXPECT_TRUE(status_patch(cluster_status(report, 1, first, kLater), first).is_null());
  report.last_seen = kNow + std::chrono::minutes(11);
  EXPECT_EQ(status_patch(cluster_status(report, 1, first, kLater), first).dump(), R"({"lastSeen":"2026-01-02T03:15:05Z"})");
  // What was seen once stays shown while the cluster is away.
  ClusterReport away;
  away.connect_error = "refused";
  const auto patch = status_patch(cluster_status(away, 1, first, kLater), first);
  EXPECT_EQ(patch.find("kubernetesVersion"), nullptr);
  EXPECT_EQ(patch.find("lastSeen"), nullptr);
}

}  // namespace
}  // namespace gs::control
