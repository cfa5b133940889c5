import asyncio

from fakes import FakeServer
from namespace_baseline.profile import APPLIED_ANNOTATION, KINDS
from namespace_baseline.reconciler import Reconciler

DATA = {
    "networkPolicy.yaml": "spec: {podSelector: {}}",
    "resourceQuota.yaml": "spec: {hard: {pods: '1'}}",
    "limitRange.yaml": "spec: {limits: [{type: Pod, max: {cpu: '1'}}]}",
    "roleBinding.yaml": "{roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: Group, name: g}]}",
}
CONFIGS = {"baseline-restricted": {"data": DATA}}
PATHS = [kind.path("shop") for kind in KINDS]
NAMESPACE = "/api/v1/namespaces/shop"


def reconcile(server, reconciler, namespace, configs=CONFIGS, matched=True):
    server.writes.clear()
    return asyncio.run(reconciler.reconcile(server.request(namespace, configs, matched)))


def applied():
    server, reconciler = FakeServer(), Reconciler()
    namespace = server.namespace(profile="restricted")
    outcome = reconcile(server, reconciler, namespace)
    return server, reconciler, namespace, outcome


def test_a_labelled_namespace_gets_its_baseline_an_event_and_an_annotation():
    server, _, namespace, outcome = applied()
    assert outcome.kind == "ok"
    assert set(PATHS) < set(server.objects)
    assert namespace["metadata"]["annotations"][APPLIED_ANNOTATION].startswith("restricted@")
    assert [e.message for e in outcome.events] == ["profile restricted: created NetworkPolicy, created ResourceQuota, created LimitRange, created RoleBinding"]


def test_what_is_right_is_left_alone():
    server, reconciler, namespace, _ = applied()
    outcome = reconcile(server, reconciler, namespace)
    assert (outcome.kind, outcome.events, server.writes) == ("ok", [], [])


def test_a_restart_writes_once_more_and_says_nothing():
    server, _, namespace, _ = applied()
    outcome = reconcile(server, Reconciler(), namespace)
    assert outcome.events == [] and [path for _, path in server.writes] == PATHS


def test_drift_is_put_back():
    server, reconciler, namespace, _ = applied()
    del server.objects[PATHS[0]]
    server.objects[PATHS[1]]["spec"]["hard"]["pods"] = "99"
    outcome = reconcile(server, reconciler, namespace)
    assert outcome.events[0].message == "profile restricted: created NetworkPolicy, updated ResourceQuota"
    assert server.objects[PATHS[1]]["spec"]["hard"]["pods"] == "1"
    assert [path for _, path in server.writes] == PATHS[:2]


def test_a_part_that_the_profile_drops_is_deleted():
    server, reconciler, namespace, _ = applied()
    less = {"baseline-restricted": {"data": {k: v for k, v in DATA.items() if k != "limitRange.yaml"}}}
    outcome = reconcile(server, reconciler, namespace, less)
    assert outcome.events[0].message == "profile restricted: deleted LimitRange"
    assert PATHS[2] not in server.objects


def test_another_role_makes_the_binding_anew_since_a_role_reference_is_immutable():
    server, reconciler, namespace, _ = applied()
    other = {"baseline-restricted": {"data": {**DATA, "roleBinding.yaml": "{roleRef: {kind: ClusterRole, name: edit}, subjects: [{kind: Group, name: g}]}"}}}
    reconcile(server, reconciler, namespace, other)
    assert [w for w in server.writes if w[1] == PATHS[3]] == [("DELETE", PATHS[3]), ("PATCH", PATHS[3])]
    assert server.objects[PATHS[3]]["roleRef"]["name"] == "edit"


def test_without_the_label_everything_is_removed_but_what_is_not_ours():
    server, reconciler, namespace, _ = applied()
    del namespace["metadata"]["labels"]["baseline.gulfstream.dev/profile"]
    server.objects[PATHS[2]]["metadata"]["labels"] = {}
    outcome = reconcile(server, reconciler, namespace)
    assert outcome.events[0].message == "removed NetworkPolicy, ResourceQuota, RoleBinding"
    assert set(server.objects) == {NAMESPACE, PATHS[2]}
    assert namespace["metadata"]["annotations"] == {}


def test_an_unmatched_namespace_is_cleaned_though_it_has_the_label():
    server, reconciler, namespace, _ = applied()
    assert reconcile(server, reconciler, namespace, matched=False).events[0].reason == "BaselineRemoved"
    assert set(server.objects) == {NAMESPACE}


def test_a_namespace_that_never_had_a_baseline_costs_nothing():
    server = FakeServer()
    assert reconcile(server, Reconciler(), server.namespace()).kind == "skip"
    assert server.writes == []


def test_a_namespace_that_is_going_is_left_alone():
    server = FakeServer()
    outcome = reconcile(server, Reconciler(), server.namespace(profile="restricted", deletionTimestamp="2030-01-01T00:00:00Z"))
    assert (outcome.kind, server.writes) == ("skip", [])


def test_an_unknown_profile_is_said_and_not_tried_again():
    server = FakeServer()
    outcome = reconcile(server, Reconciler(), server.namespace(profile="nope"))
    assert (outcome.kind, outcome.reason, outcome.events[0].warning) == ("permanent", "UnknownProfile", True)
    assert "baseline-nope" in outcome.message


def test_failures_of_the_api_server_become_results():
    for status, reason, kind in [(409, "Conflict", "conflict"), (422, "Invalid", "permanent"), (403, "Forbidden", "transient"),
                                 (504, "UnknownOutcome", "transient"), (404, "NotFound", "skip")]:
        server = FakeServer()
        server.fail[NAMESPACE] = (status, reason)
        outcome = reconcile(server, Reconciler(), server.namespace(profile="restricted"))
        assert outcome.kind == kind, status
