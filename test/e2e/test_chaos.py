"""Whoever is killed in the middle of work, everything converges, and the other clusters go on meanwhile."""
import base64
import json
import os
import sys
import threading
import time

import pytest

from harness.cluster import EMBEDDED
from harness.process import Process, eventually, free_port

LABEL = "chaos"
# Of an API server. The embedded one needs no minute to come back.
OUTAGE = 20.0 if EMBEDDED else 60.0


class CopyingDelegate:
    def __init__(self, directory):
        self.dir, self.port, self.lives = directory, free_port(), 0
        self.journal_path = os.path.join(directory, "journal")
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.lives += 1
        here = os.path.dirname(os.path.abspath(__file__))
        self.process = Process([sys.executable, "-m", "harness.copying_delegate", self.port, self.journal_path],
                               os.path.join(self.dir, f"delegate-{self.lives}.log"), env={**os.environ, "PYTHONPATH": here})

    def journal(self):
        with open(self.journal_path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]


def primary(name, value):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", "labels": {"test": LABEL}},
            "data": {"value": value}}


class Writer(threading.Thread):
    """Writes a primary every `period` into one cluster and waits for its child: how long each took."""

    def __init__(self, cluster, period=0.25):
        super().__init__(daemon=True)
        self.cluster, self.period = cluster, period
        self.latency = []  # (when it was written, seconds to the child); infinite where another fault came between
        self.halted = threading.Event()

    def run(self):
        number = 0
        while not self.halted.wait(self.period):
            name, value = f"{LABEL}-{number % 40}", str(number)
            number += 1
            try:
                self.write(name, value)
            except OSError:
                continue  # its server is the one that was killed
            self.observe(name, value)

    def write(self, name, value):
        path = f"/api/v1/namespaces/default/configmaps/{name}"
        self.cluster.request("PATCH", path + "?fieldManager=test&force=true", primary(name, value), content_type="application/apply-patch+yaml")

    def observe(self, name, value):
        begin = time.monotonic()
        while not self.halted.is_set() and time.monotonic() - begin < 20:
            try:
                if self.child(name) == value:
                    self.latency.append((begin, time.monotonic() - begin))
                    return
            except OSError:
                pass
            time.sleep(0.02)
        self.latency.append((begin, float("inf")))

    def child(self, name):
        secret = self.cluster.get(f"/api/v1/namespaces/default/secrets/child-{name}")
        return base64.b64decode(secret["data"]["value"]).decode() if secret else None

    def converged(self):
        """Every child is as its primary says (a write that failed may or may not have happened)."""
        primaries = self.cluster.request("GET", f"/api/v1/namespaces/default/configmaps?labelSelector=test%3D{LABEL}")["items"]
        return primaries and all(self.child(p["metadata"]["name"]) == p["data"]["value"] for p in primaries)

    def slowest(self, since, until):
        seen = [took for at, took in self.latency if since <= at and at + 1 < until]
        assert seen, "nothing was written in that time"
        return max(seen)


def owned_exclusively(journal):
    """No write was answered after a later reconcile of its key had begun."""
    newest, violations = {}, []
    for entry in sorted(journal, key=lambda e: e["at"]):
        key, owner = (entry["cluster"], entry["key"]), (entry["session"], entry["id"])
        if entry["what"] == "begin":
            newest[key] = owner
        elif entry["what"] == "wrote" and entry["status"] < 300 and newest[key] != owner:
            violations.append(entry)
    return violations


# So that the lease of a plane that was killed is soon to be had.
BRIEF_LEASE = ["--leader-elect-lease-duration", "4s", "--leader-elect-renew-deadline", "3s", "--leader-elect-retry-period", "500ms"]


@pytest.fixture
def plane(hub, run_dir):
    made = hub.plane(run_dir, *BRIEF_LEASE)
    yield made
    hub.kubectl("delete", "controller.gulfstream.dev", "chaos", "--ignore-not-found")
    hub.kubectl("delete", "clusters.gulfstream.dev,secrets", "--all", "-n", LABEL)
    made.kill()


@pytest.fixture
def delegate(run_dir):
    made = CopyingDelegate(run_dir)
    made.start()
    yield made
    made.process.kill()


def test_whoever_dies_in_the_middle_of_work_everything_converges(hub, clusters, plane, delegate):
    hurt, starved, well = clusters
    hub.apply({
        "apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": "chaos"},
        "spec": {"primary": {"version": "v1", "resource": "configmaps", "match": [{"fieldPath": "metadata.labels.test", "value": LABEL}]},
                 "secondary": [{"version": "v1", "resource": "secrets"}], "clusterSelector": {"namespaces": [LABEL]},
                 "delegate": delegate.url}})
    hub.add_tenant(LABEL)
    for cluster in clusters:
        hub.add_cluster(LABEL, cluster)
    plane.start().wait_ready()
    writers = [Writer(cluster) for cluster in clusters]
    for writer in writers:
        writer.start()
    eventually(lambda: all(len(w.latency) >= 3 for w in writers), what="work in all clusters")

    # The delegate and the plane, in the middle of work, several times.
    for _ in range(3):
        time.sleep(1.5)
        delegate.process.kill()
        delegate.start()
        time.sleep(1.5)
        plane.kill()
        plane.start()
    plane.wait_ready()
    time.sleep(3)

    # An API server for a minute, and meanwhile etcd under another for a part of it.
    begin = time.monotonic()
    hurt.apiserver.kill()
    time.sleep(OUTAGE / 4)
    starved.etcd.kill()
    time.sleep(OUTAGE / 4)
    starved.start_etcd()
    time.sleep(OUTAGE / 2)
    hurt.start_apiserver()
    hurt.wait_ready()
    end = time.monotonic()
    assert writers[2].slowest(begin, end) < 5, "the cluster that nobody touched waited for the others"

    eventually(lambda: all(w.latency and w.latency[-1][1] < 5 for w in writers), timeout=60, what="work in all clusters again")
    for writer in writers:
        writer.halted.set()
        writer.join()
    for writer in writers:
        eventually(writer.converged, timeout=60, what=f"every child in {writer.cluster.name}")
    assert owned_exclusively(delegate.journal()) == []
    assert plane.metric("gulfstream_reconciles_in_flight") == 0
