"""The main job, end to end: a real API server, a stock grpcio delegate, and the plane between them."""
import threading
import time

import pytest

from harness.delegate import Delegate, pb
from harness.process import eventually


def controller(delegate, name="children", **spec):
    return {
        "apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": name},
        "spec": {
            "primary": {"version": "v1", "resource": "configmaps", "match": [{"fieldPath": "metadata.labels.test", "value": name}]},
            "secondary": [{"version": "v1", "resource": "secrets"}],
            "delegate": delegate.url, **spec}}


def primary(name, test, namespace="default", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, "labels": {"test": test}}, "data": data}


def secret_path(name, namespace="default"):
    return f"/api/v1/namespaces/{namespace}/secrets/child-{name}"


def make_child(r):
    """For each primary a Secret of the same data, owned by it."""
    if r.primary is None or r.primary["metadata"].get("deletionTimestamp"):
        return None
    meta = r.primary["metadata"]
    answer = r.apply(secret_path(r.name, r.namespace), {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": f"child-{r.name}", "namespace": r.namespace, "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": r.name, "uid": meta["uid"], "controller": True}]},
        "stringData": r.primary.get("data", {})})
    assert answer.status in (200, 201), answer.body
    return None


@pytest.fixture
def delegate():
    made = Delegate(make_child)
    yield made
    made.stop()


def test_children_are_made_in_every_cluster_and_drift_is_mended(clusters, plane, delegate):
    plane.write("controller.yaml", controller(delegate))
    for cluster in clusters:
        plane.add_cluster(cluster)
        cluster.apply(*[primary(f"p{i}", "children", a=str(i)) for i in range(20)])
    plane.start("--loops", "2").wait_ready()
    for cluster in clusters:
        for i in range(20):
            eventually(lambda: cluster.get(secret_path(f"p{i}")), what=f"child p{i} in {cluster.name}")
    one = clusters[1]
    one.kubectl("delete", "secret", "child-p3", "-n", "default")
    eventually(lambda: one.get(secret_path("p3")), what="the deleted child")
    before = one.get(secret_path("p4"))["data"]
    one.kubectl("patch", "secret", "child-p4", "-n", "default", "-p", '{"stringData":{"a":"drift"}}')
    eventually(lambda: one.get(secret_path("p4"))["data"] == before, what="the edited child")
    one.apply(primary("p5", "children", a="new"))
    eventually(lambda: one.get(secret_path("p5"))["data"]["a"] == "bmV3", what="the changed primary's child")
    assert one.manager_of(secret_path("p5")) in ("gulfstream-children", None)


def test_clusters_and_controllers_come_change_and_go_while_it_runs(clusters, plane, delegate):
    plane.start().wait_ready()
    clusters[0].apply(primary("live", "live", a="1"))
    clusters[1].apply(primary("live", "live", a="1"))
    plane.write("controller.yaml", controller(delegate, "live"))
    plane.add_cluster(clusters[0])
    eventually(lambda: clusters[0].get(secret_path("live")), what="the child after both were added")
    plane.add_cluster(clusters[1])
    eventually(lambda: clusters[1].get(secret_path("live")), what="the child in the cluster added later")
    plane.add_cluster(clusters[1], paused=True)
    eventually(lambda: plane.status("live")["counts"]["desired"] == "1", what="the paused cluster")
    clusters[1].kubectl("delete", "secret", "child-live", "-n", "default")
    time.sleep(2)
    assert clusters[1].get(secret_path("live")) is None
    plane.add_cluster(clusters[1])
    eventually(lambda: clusters[1].get(secret_path("live")), what="the child after the pause")
    # Another selector: the old primary is unmatched, and told so.
    edited = controller(delegate, "live")
    edited["spec"]["primary"]["match"][0]["value"] = "other"
    clusters[0].apply(primary("other", "other", a="1"))
    plane.write("controller.yaml", edited)
    eventually(lambda: clusters[0].get(secret_path("other")), what="the child of the edited Controller")
    plane.remove("controller.yaml")
    eventually(lambda: "Controller live" not in plane.http("/statusz"), what="the removed Controller")


def test_a_crd_that_is_missing_parks_the_pair_and_heals_when_it_appears(clusters, plane, delegate):
    cluster = clusters[0]
    spec = controller(delegate, "widgets", primary={"group": "test.gulfstream.dev", "version": "v1", "resource": "widgets"})
    plane.write("controller.yaml", spec)
    plane.add_cluster(cluster)
    plane.start()
    status = eventually(lambda: plane.status("widgets").get("ClustersSynced", ("True",))[0] == "False" and plane.status("widgets"))
    assert status["ClustersSynced"][1] == "ResourceMissing"
    assert "widgets.v1.test.gulfstream.dev" in status["ClustersSynced"][2]
    cluster.apply({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.test.gulfstream.dev"},
        "spec": {"group": "test.gulfstream.dev", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}})
    cluster.kubectl("wait", "--for=condition=Established", "crd/widgets.test.gulfstream.dev", "--timeout=30s")
    cluster.apply({"apiVersion": "test.gulfstream.dev/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"}, "data": {"a": "1"}})
    eventually(lambda: delegate.count(name="w") > 0, timeout=90, what="the reconcile once the CRD is there")
    assert plane.status("widgets")["Ready"][0] == "True"


def test_a_killed_delegate_loses_nothing(clusters, plane):
    cluster = clusters[0]
    delegate = Delegate(make_child)
    plane.write("controller.yaml", controller(delegate, "killed"))
    plane.add_cluster(cluster)
    plane.start().wait_ready()
    cluster.apply(*[primary(f"k{i}", "killed", a="1") for i in range(10)])
    eventually(lambda: all(cluster.get(secret_path(f"k{i}")) for i in range(10)), what="children before")
    delegate.stop()
    cluster.apply(*[primary(f"k{i}", "killed", a="2") for i in range(20)])
    time.sleep(2)
    again = Delegate(make_child, port=delegate.port)
    try:
        eventually(lambda: all((cluster.get(secret_path(f"k{i}")) or {}).get("data") == {"a": "Mg=="} for i in range(20)), timeout=60, what="children after")
        assert plane.metric("gulfstream_workqueue_retries_total") == 0, "a dead delegate counts against no key"
    finally:
        again.stop()


def test_a_killed_plane_and_a_killed_api_server_converge(clusters, plane, delegate):
    hurt, well = clusters[0], clusters[1]
    plane.write("controller.yaml", controller(delegate, "outage"))
    plane.add_cluster(hurt)
    plane.add_cluster(well)
    plane.start().wait_ready()
    hurt.apply(*[primary(f"c{i}", "outage", a="1") for i in range(50)])
    plane.kill()
    plane.start().wait_ready()
    eventually(lambda: all(hurt.get(secret_path(f"c{i}")) for i in range(50)), timeout=60, what="children after the plane's death")
    hurt.apiserver.kill()
    well.apply(primary("meanwhile", "outage", a="1"))
    eventually(lambda: well.get(secret_path("meanwhile")), timeout=5, what="the other cluster's child meanwhile")
    time.sleep(3)
    hurt.start_apiserver()
    hurt.wait_ready()
    hurt.apply(primary("afterwards", "outage", a="1"))
    eventually(lambda: hurt.get(secret_path("afterwards")), timeout=90, what="the child after the server's return")


def test_results_mean_what_they_say(clusters, plane):
    cluster = clusters[0]
    times = {}

    def answer(r):
        times.setdefault(r.name, []).append(time.monotonic())
        if r.name == "requeue" and len(times["requeue"]) < 4:
            return {"requeue_after": pb.RequeueAfter(milliseconds=200)}
        if r.name == "transient" and len(times["transient"]) < 6:
            return {"transient": pb.Failure(reason="Flaky", message="not yet")}
        if r.name == "permanent":
            return {"permanent": pb.Failure(reason="Broken", message="never")}
        return None

    delegate = Delegate(answer)
    try:
        plane.write("controller.yaml", controller(delegate, "results"))
        plane.add_cluster(cluster)
        cluster.apply(*[primary(n, "results") for n in ("requeue", "transient", "permanent", "ok")])
        plane.start().wait_ready()
        eventually(lambda: len(times.get("requeue", [])) == 4 and len(times.get("transient", [])) == 6, what="the repeats")
        time.sleep(1)
        assert {name: len(at) for name, at in times.items()} == {"requeue": 4, "transient": 6, "permanent": 1, "ok": 1}
        assert plane.status("results")["counts"]["failing"] == "1"
        assert '"reconcile failed"' in plane.log() and 'reason="Broken"' in plane.log()
    finally:
        delegate.stop()


def test_bad_input_gives_a_reason_and_harms_nobody(clusters, plane, delegate):
    good, bad = clusters[0], clusters[1]
    plane.write("good.yaml", controller(delegate, "good"))
    broken = controller(delegate, "broken")
    broken["spec"]["primary"] = {"version": "v1"}
    plane.write("broken.yaml", broken)
    nobody = controller(delegate, "nobody")
    nobody["spec"]["delegate"] = "http://127.0.0.1:1"
    plane.write("nobody.yaml", nobody)
    plane.add_cluster(good)
    plane.add_cluster(bad, user={"token": "wrong"})
    with open(f"{plane.config}/garbage.yaml", "w") as f:
        f.write("a: [\n")
    good.apply(primary("fine", "good", a="1"), primary("unreached", "nobody"))
    plane.start()
    eventually(lambda: good.get(secret_path("fine")), what="the good Controller's child")
    assert plane.status("broken")["Ready"] == ("False", "Invalid", "spec.primary.resource: is required")
    reached = eventually(lambda: plane.status("nobody")["DelegateReachable"][0] == "False" and plane.status("nobody")["DelegateReachable"])
    assert "refused" in reached[2]
    assert "garbage.yaml: line" in plane.log()
    eventually(lambda: "refuses our credentials" in plane.log(), what="the reason of the bad cluster")


def test_configs_come_with_the_pair_and_resync_when_they_change(clusters, plane):
    cluster = clusters[0]
    seen = []
    delegate = Delegate(lambda r: seen.append(((r.config("settings") or {}).get("data"), (r.config("mine") or {}).get("data"))))
    try:
        spec = controller(delegate, "configured", configs=[
            {"name": "settings", "namespace": "kube-system", "onChanged": "Resync"}, {"name": "mine", "source": "Hub"}])
        plane.write("controller.yaml", spec)
        plane.write("mine.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"v": "1"}})
        plane.add_cluster(cluster)
        cluster.apply(primary("conf", "configured"))
        plane.start().wait_ready()
        eventually(lambda: (None, {"v": "1"}) in seen, what="the absent and the hub's config")
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "kube-system"}, "data": {"a": "1"}})
        eventually(lambda: ({"a": "1"}, {"v": "1"}) in seen, what="the resync after the config appeared")
        plane.write("mine.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"v": "2"}})
        eventually(lambda: ({"a": "1"}, {"v": "2"}) in seen, what="the resync after the hub's config changed")
    finally:
        delegate.stop()


def test_a_controller_has_no_more_in_flight_than_it_may(clusters, plane):
    running, most = [0], [0]
    lock = threading.Lock()

    def slow(_):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.2)
        with lock:
            running[0] -= 1

    delegate = Delegate(slow)
    try:
        plane.write("controller.yaml", controller(delegate, "capped"))
        for cluster in clusters[:2]:
            plane.add_cluster(cluster)
            cluster.apply(*[primary(f"capped{i}", "capped") for i in range(10)])
        plane.start("--max-concurrent-reconciles", "3").wait_ready()
        eventually(lambda: delegate.count() >= 20, what="all reconciles")
        assert most[0] == 3
    finally:
        delegate.stop()


def test_sigterm_drains_what_is_in_flight(clusters, plane):
    cluster = clusters[0]
    begun, finished = [], []

    def slow(r):
        begun.append(r.name)
        time.sleep(2)
        make_child(r)
        finished.append(r.name)

    delegate = Delegate(slow)
    try:
        plane.write("controller.yaml", controller(delegate, "drained"))
        plane.add_cluster(cluster)
        cluster.apply(primary("drained", "drained", a="1"))
        plane.start()
        eventually(lambda: begun, what="the reconcile")
        assert plane.stop() == 0
        assert finished == ["drained"]
        assert cluster.get(secret_path("drained"))
    finally:
        delegate.stop()
