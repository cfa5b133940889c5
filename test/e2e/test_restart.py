"""Restarts with --state: what did not change is not reconciled, what changed while the plane was down is."""
import concurrent.futures
import os
import sqlite3
import stat
import threading
import time

from harness.delegate import Delegate, pb
from harness.process import eventually
from test_walking_skeleton import controller, make_child, primary, secret_path

MARKER = "THE-CONTENT-OF-AN-OBJECT"


def on_all(clusters, action):
    with concurrent.futures.ThreadPoolExecutor(len(clusters)) as pool:
        list(pool.map(action, clusters))


class Restarts:
    """A plane with --state, and what its delegates saw since the last restart."""

    def __init__(self, plane, run_dir, *delegates):
        self.plane, self.delegates = plane, list(delegates)
        self.file = os.path.join(run_dir, "state.db")
        self.before = {}

    def start(self):
        self.before = {d: len(d.seen) for d in self.delegates}
        self.plane.start("--state", self.file).wait_ready()
        return self

    def stop(self):
        assert self.plane.stop() == 0

    def seen(self):
        """{(cluster, name)} of the reconciles since the start."""
        out = set()
        for delegate in self.delegates:
            with delegate.lock:
                out |= {(r.cluster, r.name) for r in delegate.seen[self.before.get(delegate, 0):]}
        return out

    def settle(self, pairs, calm=1.0):
        """Until all pairs compared their keys, nothing more is reconciled, and all of it is stored."""
        eventually(lambda: self.plane.log().count("keys were compared with the state") >= pairs, what="the comparisons")
        last, since = None, time.monotonic()
        deadline = since + 60
        while time.monotonic() - since < calm or self.plane.metric("gulfstream_state_pending") > 0:
            assert time.monotonic() < deadline, "it never becomes calm"
            now = sum(len(d.seen) for d in self.delegates)
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.05)
        return self


def test_only_what_changed_while_it_was_down_is_reconciled(clusters, plane, run_dir):
    def reconcile(r):
        make_child(r)
        if r.name == "reads":
            r.call("GET", secret_path("shared"))
        if r.name == "due":
            return {"requeue_after": pb.RequeueAfter(milliseconds=6000)}
        if r.name == "later":
            return {"requeue_after": pb.RequeueAfter(milliseconds=3600_000)}
        return None

    delegate = Delegate(reconcile)
    restarts = Restarts(plane, run_dir, delegate)
    names = [f"r{i}" for i in range(200)] + ["reads", "later"]
    try:
        plane.write("controller.yaml", controller(delegate, "restarted"))
        for cluster in clusters:
            plane.add_cluster(cluster)
        on_all(clusters, lambda c: c.apply(*[primary(n, "restarted", a=MARKER) for n in names]))
        restarts.start().settle(3)
        assert restarts.seen() == {(c.name, n) for c in clusters for n in names}
        restarts.stop()

        restarts.start().settle(3)
        assert restarts.seen() == set(), "nothing had changed"
        assert plane.metric('gulfstream_restart_keys_total{result="unchanged"}') == 3 * len(names)
        assert len(delegate.sessions) == 2, "it was asked which revision it is"
        clusters[0].apply(primary("due", "restarted"))
        eventually(lambda: (clusters[0].name, "due") in restarts.seen(), what="the key that comes back")
        restarts.settle(3)
        assert restarts.seen() == {(clusters[0].name, "due")}
        restarts.stop()

        one, two, three = clusters
        one.apply(primary("r0", "restarted", a="edited"))
        one.kubectl("delete", "configmap", "r1", "-n", "default")
        two.kubectl("delete", "secret", "child-r2", "-n", "default")
        two.kubectl("patch", "secret", "child-r3", "-n", "default", "-p", '{"stringData":{"a":"drift"}}')
        three.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "child-shared", "namespace": "default"}},
                    primary("new", "restarted", a="1"))
        three.kubectl("label", "configmap", "r4", "-n", "default", "test=other", "--overwrite")
        time.sleep(6)
        restarts.start().settle(3)
        assert restarts.seen() == {(one.name, "r0"), (one.name, "r1"), (one.name, "due"), (two.name, "r2"), (two.name, "r3"),
                                   (three.name, "reads"), (three.name, "new"), (three.name, "r4")}
        states = {r.name: r.state for r in delegate.seen[restarts.before[delegate]:]}
        assert (states["r1"], states["r4"]) == ("gone", "unmatched")
        assert two.get(secret_path("r2")) and two.get(secret_path("r3"))["data"]["a"] == two.get(secret_path("r5"))["data"]["a"]
        restarts.stop()

        for end in ("", "-marks"):
            assert stat.S_IMODE(os.stat(restarts.file + end).st_mode) == 0o600
            with open(restarts.file + end, "rb") as f:
                assert MARKER.encode() not in f.read()
        with sqlite3.connect(restarts.file) as db:
            rows = dict(db.execute("SELECT name, version FROM keys JOIN pairs ON pairs.id = keys.pair WHERE cluster = ?", (one.name,)))
        assert rows["r7"] == one.get("/api/v1/namespaces/default/configmaps/r7")["metadata"]["resourceVersion"]
        assert "r1" not in rows
    finally:
        delegate.stop()


def test_a_changed_config_controller_or_delegate_is_caught(clusters, plane, run_dir):
    cluster, other = clusters[0], clusters[1]
    delegate = Delegate(make_child)
    restarts = Restarts(plane, run_dir, delegate)
    names = [f"c{i}" for i in range(5)]
    everywhere = {(c.name, n) for c in (cluster, other) for n in names}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "restart-settings", "namespace": "kube-system"}, "data": {"v": "1"}}
    spec = controller(delegate, "caught", configs=[{"name": "restart-settings", "namespace": "kube-system", "onChanged": "Resync"}])
    try:
        plane.write("controller.yaml", spec)
        for c in (cluster, other):
            plane.add_cluster(c)
            c.apply(config, *[primary(n, "caught", a="1") for n in names])
        restarts.start().settle(2)
        restarts.stop()
        restarts.start().settle(2)
        assert restarts.seen() == set()
        restarts.stop()

        config["data"]["v"] = "2"
        cluster.apply(config)
        restarts.start().settle(2)
        assert restarts.seen() == {(cluster.name, n) for n in names}, "its config was edited"
        restarts.stop()

        spec["spec"]["authorized"] = [{"group": "", "resources": ["services"]}]
        plane.write("controller.yaml", spec)
        restarts.start().settle(2)
        assert restarts.seen() == everywhere, "the Controller was edited"
        restarts.stop()

        delegate.stop()
        delegate = Delegate(make_child, port=delegate.port, revision="r2")
        restarts.delegates.append(delegate)
        restarts.start()
        eventually(lambda: restarts.seen() == everywhere, what="the upgraded delegate sees all keys")
        restarts.settle(2)
        assert {r.message.reason for r in delegate.seen} == {pb.REASON_RESYNC}, "in the low lane"
        restarts.stop()

        # A revision that nobody knows may be any.
        delegate.stop()
        delegate = Delegate(make_child, port=delegate.port, revision="")
        restarts.delegates.append(delegate)
        for _ in range(2):
            restarts.start()
            eventually(lambda: restarts.seen() == everywhere, what="all keys, since the delegate does not say what it is")
            restarts.settle(2)
            restarts.stop()
    finally:
        delegate.stop()


def test_a_kill_costs_repeats_and_never_a_skip(clusters, plane, run_dir):
    cluster = clusters[0]
    hold, held, finished = threading.Event(), [], []
    shared = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "child-comes-and-goes", "namespace": "default"}}

    def reconcile(r):
        if r.name == "holds":
            there = r.call("GET", secret_path("comes-and-goes")).status == 200
            if there:
                held.append(r.name)
                hold.wait(60)
                return None
        elif r.primary and r.primary["data"]["a"] == "2":
            time.sleep(0.1)
        make_child(r)
        finished.append((r.name, (r.primary or {}).get("data", {}).get("a")))
        return None

    delegate = Delegate(reconcile, max_in_flight=8)
    restarts = Restarts(plane, run_dir, delegate)
    names = [f"k{i}" for i in range(60)]
    spec = controller(delegate, "slain")
    spec["spec"]["secondary"].append({"version": "v1", "resource": "secrets", "relationship": "Reference"})
    try:
        plane.write("controller.yaml", spec)
        plane.add_cluster(cluster)
        cluster.apply(primary("holds", "slain", a="1"), *[primary(n, "slain", a="1") for n in names])
        restarts.start().settle(1)
        # A key acts on an object that comes, and goes again while the plane is dead: all is equal then, and
        # yet what its last reconcile did is half done.
        cluster.apply(shared)
        eventually(lambda: held, what="the reconcile that holds")
        cluster.apply(*[primary(n, "slain", a="2") for n in names])
        eventually(lambda: sum(1 for _, a in finished if a == "2") > 10, what="some work")
        plane.kill()
        cluster.kubectl("delete", "secret", "child-comes-and-goes", "-n", "default")
        done = {n for n, a in finished if a == "2"}
        assert 0 < len(done) < len(names), "it was killed in the middle"
        hold.set()
        restarts.start()
        eventually(lambda: {n for n, a in finished if a == "2"} >= set(names), what="the rest of the work")
        eventually(lambda: (cluster.name, "holds") in restarts.seen(), what="the key that was in flight")
        restarts.settle(1)
        assert all(cluster.get(secret_path(n))["data"] == {"a": "Mg=="} for n in names)
        restarts.stop()
        restarts.start().settle(1)
        assert restarts.seen() == set(), "and then all is known again"
    finally:
        hold.set()
        delegate.stop()


def test_without_a_usable_file_everything_is_reconciled_and_said(clusters, plane, run_dir):
    cluster = clusters[0]
    delegate = Delegate(make_child)
    restarts = Restarts(plane, run_dir, delegate)
    names = {f"d{i}" for i in range(20)}
    everything = {(cluster.name, n) for n in names}
    try:
        plane.write("controller.yaml", controller(delegate, "damaged"))
        plane.add_cluster(cluster)
        cluster.apply(*[primary(n, "damaged", a="1") for n in names])
        restarts.start().settle(1)
        assert "there was no file" in plane.log()
        restarts.stop()
        size = os.path.getsize(restarts.file)
        with open(restarts.file, "r+b") as f:
            f.seek(size // 2)
            f.write(b"\xff" * (size // 4))
        restarts.start().settle(1)
        assert restarts.seen() == everything
        assert "state cannot be used: everything is reconciled" in plane.log() and "damaged" in plane.log()
        assert os.path.exists(restarts.file + ".damaged")
        restarts.stop()
        with sqlite3.connect(restarts.file) as db:
            db.execute("PRAGMA user_version = 1000")
        restarts.start().settle(1)
        assert restarts.seen() == everything and "schema 1000" in plane.log()
        restarts.stop()
        # A place that cannot be written is no reason not to work.
        restarts.file = os.path.join(run_dir, "missing", "state.db")
        restarts.start()
        eventually(lambda: restarts.seen() == everything, what="the keys")
        assert "state is not kept" in plane.log() and plane.metric("gulfstream_state_available") == 0
    finally:
        delegate.stop()
