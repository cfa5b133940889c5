"""Delegates that are away, wrong, too slow, too much, or killed: each is told by a condition, a log line and a metric,
and costs itself only. All of them are Controllers of one plane, beside one whose delegate is good and must keep its pace."""
import json
import os
import queue
import signal
import sys
import threading
import time

import grpc
import pytest
import yaml

from harness.authority import Authority, write
from harness.delegate import Delegate, pb
from harness.plane import Plane
from harness.process import Process, eventually, free_port
from harness.raw_delegate import NoDelegate, RawDelegate, heard, hello, said
from harness.samples import go_build

pytestmark = pytest.mark.once

LABEL = "delegates.example.dev/test"
NS = "/api/v1/namespaces/default"
LONGEST_GAP = 3  # seconds between reconciles of a key that asks for one each 50 ms, on a busy machine


def controller(name, url):
    return {"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": name}, "spec": {
        "primary": {"version": "v1", "resource": "configmaps", "match": [{"fieldPath": "metadata.labels.delegates.example.dev/test", "value": name}]},
        "secondary": [{"version": "v1", "resource": "secrets"}], "delegate": url}}


def primary(name, test, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{test}-{name}", "namespace": "default", "labels": {LABEL: test}}, "data": data}


class Steady:
    """A good delegate with three keys that come again every 50 ms."""

    def __init__(self, plane, cluster):
        self.last, self.gap, self.lock = {}, 0, threading.Lock()
        self.delegate = Delegate(self.reconcile)
        plane.write("steady.yaml", controller("steady", self.delegate.url))
        cluster.apply(*(primary(str(i), "steady") for i in range(3)))

    def reconcile(self, r):
        with self.lock:
            self.gap = max(self.gap, r.at - self.last.get(r.name, r.at))
            self.last[r.name] = r.at
        return {"requeue_after": pb.RequeueAfter(milliseconds=50)}

    def longest_gap(self):
        """Since the last question."""
        now = time.monotonic()
        with self.lock:
            gap, self.gap = max([self.gap, *(now - at for at in self.last.values())]), 0
            return gap


class Stage:
    def __init__(self, plane, cluster):
        self.plane, self.cluster, self.delegates = plane, cluster, []
        self.steady = Steady(plane, cluster)

    def add(self, name, delegate, *keys):
        """A Controller with this delegate and primaries of these names."""
        if delegate is not None:
            self.delegates.append(delegate)
        url = delegate if isinstance(delegate, str) else delegate.url
        self.cluster.apply(*(primary(key, name) for key in keys or ("key",)))
        self.plane.write(f"{name}.yaml", controller(name, url))
        return delegate

    def says(self, name, reason, words, timeout=40):
        def told():
            status = self.plane.status(name)["DelegateReachable"]
            assert status[:2] == ("False", reason) and words in status[2], status
            return True
        eventually(told, timeout=timeout, what=f"Controller {name} says {reason}: {words}")

    def reachable(self, name, timeout=40):
        eventually(lambda: self.plane.status(name)["DelegateReachable"][0] == "True", timeout=timeout, what=f"{name} is reachable")

    def failing(self, name):
        return int(self.plane.status(name)["counts"]["failing"])


def slow_reader(requests, context):
    """Answers its first reconcile, then asks for ever and reads no answer."""
    yield hello()
    for message in heard(requests):
        if message.HasField("reconcile"):
            yield said(result=pb.Result(id=message.reconcile.id, ok=pb.Ok()))
            break
    for call in range(1, 1_000_000):
        yield said(call=pb.Call(id=call, reconcile=10 ** 9, method="GET", path=f"{NS}/configmaps/x"))


@pytest.fixture(scope="module")
def everybody(clusters, tmp_path_factory):
    plane = Plane(str(tmp_path_factory.mktemp("delegates")))
    stage = Stage(plane, clusters[0])
    try:
        plane.add_cluster(clusters[0])
        stage.add("slow-reader", RawDelegate(slow_reader))  # needs 30 s to be known as one
        plane.start("--reconcile-timeout", "2s")
        eventually(lambda: len(stage.steady.last) == 3, what="the good delegate is at work")
        yield stage
    finally:
        plane.stop()
        for delegate in [stage.steady.delegate, *stage.delegates]:
            if not isinstance(delegate, str):
                delegate.stop()
        clusters[0].kubectl("delete", "configmaps", "-n", "default", "-l", LABEL, "--wait=false")


@pytest.fixture
def stage(everybody):
    everybody.steady.longest_gap()
    yield everybody
    gap = everybody.steady.longest_gap()
    assert gap < LONGEST_GAP, f"the good delegate had nothing to do for {gap:.1f} s"
    assert everybody.failing("steady") == 0


def refuses(code, text):
    def serve(requests, context):
        context.abort(code, text)
        yield b""
    return serve


def says(*messages, waits=False):
    def serve(requests, context):
        next(requests)
        yield from messages
        if waits:
            for _ in requests:
                pass
    return serve


def crashes(requests, context):
    raise RuntimeError("defect")
    yield b""


STRANGE = [  # name, the delegate, the condition's reason and words
    ("closed", lambda: f"http://127.0.0.1:{free_port()}", "Unreachable", "refused"),
    ("hangs-up", lambda: NoDelegate(), "Unreachable", ""),
    ("old-web", lambda: NoDelegate(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", hangs_up=False), "Unreachable", "does not support HTTP/2"),
    ("swallows", lambda: NoDelegate(hangs_up=False), "Unreachable", "no Hello within 10s"),
    ("no-service", lambda: RawDelegate(), "Unsupported", "gRPC status 12"),
    ("unauthorized", lambda: RawDelegate(refuses(grpc.StatusCode.UNAUTHENTICATED, "who are you?")), "Unauthorized", "who are you?"),
    ("forbidden", lambda: RawDelegate(refuses(grpc.StatusCode.PERMISSION_DENIED, "not you")), "Forbidden", "not you"),
    ("crashes", lambda: RawDelegate(crashes), "Unreachable", "gRPC status 2"),
    ("silent", lambda: RawDelegate(says(waits=True)), "Unreachable", "no Hello within 10s"),
    ("leaves", lambda: RawDelegate(says()), "Unreachable", "ended the stream without a Hello"),
    ("garbage", lambda: RawDelegate(says(b"\xff\xff\xff", waits=True)), "Unreachable", "Hello is not a message of this protocol"),
    ("rude", lambda: RawDelegate(says(said(result=pb.Result(id=1)), waits=True)), "Unreachable", "first message is not Hello"),
    ("newer", lambda: RawDelegate(says(hello(protocol_version=7), waits=True)), "Unsupported", "protocol version 7, not 1"),
    ("boasts", lambda: RawDelegate(says(hello(identity="x" * 5_000_000), waits=True)), "Unreachable", "5000"),
    ("garbage-later", lambda: RawDelegate(says(hello(), b"\xff\xff\xff", waits=True)), "Unreachable", "not a message of this protocol"),
    ("hello-twice", lambda: RawDelegate(says(hello(), hello(), waits=True)), "Unreachable", "second Hello"),
]


def test_whoever_is_no_delegate_is_told_by_a_condition_and_dialled_less_and_less(stage):
    made = {name: stage.add(name, make()) for name, make, _, _ in STRANGE}
    for name, _, reason, words in STRANGE:
        stage.says(name, reason, words)
    for name in made:
        assert stage.failing(name) == 0, f"{name}: nothing is counted against a key"
        assert stage.plane.status(name)["Ready"][0] == "False"
    assert max(getattr(delegate, "streams", 0) for delegate in made.values()) < 30
    assert stage.plane.log().count("delegate cannot be reached") >= len(STRANGE)
    assert stage.plane.metric("gulfstream_delegate_failures_total") >= len(STRANGE)
    # One of them becomes a delegate.
    late = Delegate(lambda r: None, port=int(made["closed"].rsplit(":", 1)[1]))
    stage.delegates.append(late)
    stage.reachable("closed")
    eventually(lambda: late.count(name="closed-key") >= 1, what="what waited for it")
    assert late.seen[0].message.attempt == 1
    for name in made:
        stage.plane.remove(f"{name}.yaml")


def test_a_reconcile_that_never_ends_fails_alone_and_its_key_waits_for_its_streams_end(stage):
    times = []

    def reconcile(r):
        if r.name.endswith("stuck"):
            times.append(r.at)
            return "never" if len(times) == 1 else None
        return {"requeue_after": pb.RequeueAfter(milliseconds=100)}

    delegate = stage.add("never", Delegate(reconcile), "stuck", "fine")
    eventually(lambda: delegate.cancelled, what="the Cancel")
    assert time.monotonic() - times[0] > 1.9
    eventually(lambda: len(times) == 2, what="the second attempt")
    assert times[1] - times[0] > 11.9, "not before the Cancel's grace is over and the stream has ended"
    assert len(delegate.sessions) >= 2
    assert stage.plane.metric("gulfstream_delegate_timeouts_total") >= 1
    log = stage.plane.log()
    assert "a delegate gives no Result for what was cancelled; its stream is given up" in log and "DeadlineExceeded" in log
    fine = [r.at for r in delegate.seen if r.name.endswith("fine")]
    assert max(b - a for a, b in zip(fine, fine[1:])) < LONGEST_GAP, "the delegate's other keys go on"
    assert all(r.message.attempt == 1 for r in delegate.seen if r.name.endswith("fine"))
    assert [r.message.attempt for r in delegate.seen if r.name.endswith("stuck")] == [1, 2]
    eventually(lambda: stage.failing("never") == 0, what="the key has healed")


def test_results_of_what_nobody_asked_for_are_counted_and_change_nothing(stage):
    done = threading.Event()

    def serve(requests, context):
        yield hello()
        for message in heard(requests):
            if message.HasField("reconcile"):
                for wrong in (0, message.reconcile.id + 1, 10 ** 12):
                    yield said(result=pb.Result(id=wrong, permanent=pb.Failure(reason="Wrong")))
                yield said(window=pb.Window(id=77, bytes=1))
                yield said(cancel_call=pb.CancelCall(id=77))
                yield said(result=pb.Result(id=message.reconcile.id, ok=pb.Ok()))
                done.set()

    before = stage.plane.metric("gulfstream_delegate_protocol_errors_total")
    stage.add("wrong-ids", RawDelegate(serve))
    assert done.wait(20)
    eventually(lambda: stage.plane.metric("gulfstream_delegate_protocol_errors_total") == before + 3)
    assert "a result of no reconcile in flight" in stage.plane.log()
    stage.reachable("wrong-ids")
    assert stage.failing("wrong-ids") == 0


def test_floods_of_enqueues_and_calls_are_bounded(stage):
    answers = []

    def reconcile(r):
        if r.name != "flood-key" or answers:
            return None
        with r.session.lock:
            ids = range(r.session.next_call + 1, r.session.next_call + 201)
            r.session.next_call += len(ids)
        waiting = []
        for call in ids:
            waiting.append(r.session.answers.setdefault(call, queue.Queue()))
        stage.cluster.apiserver.signal(signal.SIGSTOP)  # so that all are under way at once
        try:
            for call in ids:
                r.session.send(call=pb.Call(id=call, reconcile=r.message.id, method="GET", path=f"{NS}/configmaps/flood-key"))
            last = waiting.pop().get(timeout=20)
        finally:
            stage.cluster.apiserver.signal(signal.SIGCONT)
        answers.extend([last, *(one.get(timeout=20) for one in waiting)])
        for i in range(12_000):
            r.session.send(enqueue=pb.Enqueue(pair=r.message.pair, namespace="default", name=f"flood-{i}", delay_ms=3_600_000))
        return None

    delegate = stage.add("flood", Delegate(reconcile))
    refused = 'gulfstream_delegate_refused_enqueues_total'
    eventually(lambda: stage.plane.metric(refused) == 2_000, timeout=20, what="what is beyond 10,000 keys is refused")
    assert stage.plane.metric("gulfstream_workqueue_delayed") >= 10_000
    assert "a delegate enqueues too many keys that have no object" in stage.plane.log()
    assert {a.status for a in answers} == {200, 429}
    assert sum(a.status == 200 for a in answers) == 64
    stage.cluster.apply(primary("after", "flood"))
    eventually(lambda: delegate.count(name="flood-after") == 1, what="work goes on")
    assert stage.failing("flood") == 0
    stage.plane.remove("flood.yaml")
    eventually(lambda: stage.plane.metric("gulfstream_workqueue_delayed") < 100, what="its keys go with it")


def test_a_message_beyond_the_limit_ends_its_stream(stage):
    def serve(requests, context):
        yield hello()
        for message in heard(requests):
            if message.HasField("reconcile"):
                yield said(call=pb.Call(id=1, reconcile=message.reconcile.id, method="PUT", path=f"{NS}/secrets/x", body=b"x" * 5_000_000))

    stage.add("huge", RawDelegate(serve))
    stage.says("huge", "Unreachable", "5000")
    assert stage.failing("huge") == 0
    stage.plane.remove("huge.yaml")


def test_a_delegate_that_is_killed_in_the_middle_goes_on_where_it_was(stage, run_dir):
    port, journal = free_port(), os.path.join(run_dir, "journal")
    log = os.path.join(run_dir, "delegate.log")
    here = os.path.dirname(os.path.abspath(__file__))

    def start():
        return Process([sys.executable, "-m", "harness.copying_delegate", port, journal], log, env={**os.environ, "PYTHONPATH": here})

    names = [str(i) for i in range(60)]
    process = start()
    try:
        stage.add("killed", f"http://127.0.0.1:{port}", *names)
        eventually(lambda: os.path.exists(journal) and open(journal).read().count('"begin"') > 20, interval=0.01, what="it is in the middle of work")
        process.kill()
        assert open(journal).read().count('"end"') < len(names)
        stage.says("killed", "Unreachable", "")
        process = start()
        stage.reachable("killed")
        for name in names:
            eventually(lambda: stage.cluster.get(f"{NS}/secrets/child-killed-{name}"), what=f"the child of {name}")
        assert stage.failing("killed") == 0
        lines = [yaml.safe_load(line) for line in open(journal)]
        assert {line["attempt"] for line in lines} == {1}, "a lost stream is no failed attempt"
    finally:
        process.kill()
        stage.cluster.kubectl("delete", "secrets", "-n", "default", *(f"child-killed-{name}" for name in names), "--ignore-not-found", "--wait=false")


def test_a_delegate_that_does_not_read_loses_its_stream(stage):
    """After 30 s, most of which the tests before this one took. Without work the next stream is a good one: it heals."""
    eventually(lambda: "the delegate does not read: " in stage.plane.log(), timeout=45, what="it is told")
    stage.reachable("slow-reader")
    assert stage.failing("slow-reader") == 0


def serving(directory, authority, name, san="IP:127.0.0.1", clients=None):
    certificate, key = os.path.join(directory, name + ".crt"), os.path.join(directory, name + ".key")
    authority.issue(certificate, key, f"/CN={name}", san=san)
    with open(certificate, "rb") as c, open(key, "rb") as k:
        pair = [(k.read(), c.read())]
    return grpc.ssl_server_credentials(pair, root_certificates=clients and clients.text().encode(), require_client_auth=clients is not None)


def test_credentials_are_shown_over_tls_to_their_own_origin_only(clusters, plane, run_dir):
    ours, others = Authority(run_dir, "ours"), Authority(run_dir, "others")
    nothing = lambda r: None  # noqa: E731
    made = {
        "token": Delegate(nothing, credentials=serving(run_dir, ours, "token"), admits=lambda m: m.get("authorization") == "Bearer right-secret"),
        "mutual": Delegate(nothing, credentials=serving(run_dir, ours, "mutual", clients=ours)),
        "no-entry": Delegate(nothing, credentials=serving(run_dir, ours, "no-entry")),
        "plain": Delegate(nothing),
        "stranger": Delegate(nothing, credentials=serving(run_dir, others, "stranger")),
        "misnamed": Delegate(nothing, credentials=serving(run_dir, ours, "misnamed", san="DNS:elsewhere.example")),
        "broken": Delegate(nothing, credentials=serving(run_dir, ours, "broken")),
    }
    try:
        ours.issue(os.path.join(run_dir, "plane.crt"), os.path.join(run_dir, "plane.key"), "/CN=plane")
        write(os.path.join(run_dir, "token"), "wrong-secret\n")
        write(os.path.join(run_dir, "credentials.yaml"), yaml.safe_dump({
            "apiVersion": "gulfstream.dev/v1alpha1", "kind": "DelegateCredentials", "delegates": [
                {"origin": made["token"].url, "tokenFile": "token"},
                {"origin": made["stranger"].url, "tokenFile": "token"},
                {"origin": made["misnamed"].url, "tokenFile": "token"},
                {"origin": made["mutual"].url, "clientCertificateFile": "plane.crt", "clientKeyFile": "plane.key"},
                {"origin": made["broken"].url, "tokenFile": "missing"}]}))
        for name, delegate in made.items():
            plane.write(f"{name}.yaml", controller(name, delegate.url))
            clusters[0].apply(primary("key", name))
        plane.add_cluster(clusters[0])
        plane.start("--delegate-ca-file", ours.pem, "--delegate-credentials", os.path.join(run_dir, "credentials.yaml"))

        def reachable(name):
            return plane.status(name)["DelegateReachable"]
        for name in ("mutual", "no-entry", "plain"):
            eventually(lambda: made[name].count(name=f"{name}-key") == 1, what=f"{name} is reconciled")
            assert reachable(name)[0] == "True"
        for name, reason, words in (("token", "Unauthorized", "not admitted"), ("broken", "Unauthorized", "missing"),
                                    ("stranger", "Unauthorized", "certificate signed by unknown authority"),
                                    ("misnamed", "Unauthorized", "not 127.0.0.1")):
            eventually(lambda: reachable(name)[:2] == ("False", reason) and words in reachable(name)[2], what=f"{name}: {reason}, not {reachable(name)}")
        write(os.path.join(run_dir, "token"), "right-secret\n")
        eventually(lambda: made["token"].count(name="token-key") == 1, timeout=40, what="the new token is read and shown")
        eventually(lambda: reachable("token")[0] == "True", what="the condition heals")
        assert made["token"].metadata[0]["authorization"] == "Bearer wrong-secret"
        for name in ("mutual", "no-entry", "plain", "stranger", "misnamed", "broken"):
            assert all("authorization" not in m for m in made[name].metadata), name
        assert not made["stranger"].metadata and not made["misnamed"].metadata and not made["broken"].metadata, "no stream was opened at all"
        assert "right-secret" not in plane.log() and "wrong-secret" not in plane.log()
        assert all(plane.status(name)["counts"]["failing"] == "0" for name in made)
    finally:
        for delegate in made.values():
            delegate.stop()
        clusters[0].kubectl("delete", "configmaps", "-n", "default", "-l", LABEL, "--wait=false")


class Interop:
    """test/interop: a delegate on stock grpc-go."""

    def __init__(self, directory):
        self.binary = go_build("interop")
        self.dir, self.port, self.lives, self.process = directory, free_port(), 0, None

    def start(self, *flags):
        self.lives += 1
        self.process = Process([self.binary, "-address", f"127.0.0.1:{self.port}", *flags], os.path.join(self.dir, f"interop-{self.lives}.log"))

    def lines(self):
        return [json.loads(line) for line in self.process.output().splitlines() if line.startswith("{") and line.endswith("}")]

    def reconciles(self):
        return [line for line in self.lines() if "key" in line]


MODES = [  # what, its server's flags, streams there must be at least, statuses of calls
    ("a keepalive that is enforced, and compressed messages", ["-min-time=5m", "-gzip"], 1, {200}),
    ("messages no larger than the protocol's", ["-max-recv=1114112"], 1, {200}),
    ("connections that are old after 1 s", ["-max-age=1s", "-max-age-grace=30s", "-work=100ms"], 2, {200}),
    ("connections that are cut in the middle", ["-max-age=1s", "-max-age-grace=1ms", "-work=400ms"], 2, {0, 200}),
    ("a server that is starting", ["-refuse=2"], 1, {200}),
]


def test_stock_grpc_go_with_all_its_habits_loses_no_key_and_fails_none(clusters, plane, run_dir):
    cluster, interop, names = clusters[0], Interop(run_dir), [f"interop-{i}" for i in range(24)]
    path = f"{NS}/configmaps"
    try:
        for name in names:
            size = 900_000 if name == "interop-0" else 20_000
            cluster.request("POST", path, {**primary(name, "interop", text="x" * size), "metadata": {"name": name, "labels": {LABEL: "interop"}}})
        plane.write("interop.yaml", controller("interop", f"http://127.0.0.1:{interop.port}"))
        plane.add_cluster(cluster)
        interop.start("-unimplemented")
        plane.start()
        eventually(lambda: plane.status("interop")["DelegateReachable"][:2] == ("False", "Unsupported"), what="UNIMPLEMENTED is told")
        for what, flags, streams, statuses in MODES:
            assert interop.process.stop(timeout=10) == 0, f"before {what}: GracefulStop ends, so the plane ended its streams"
            interop.start(*flags)
            eventually(lambda: plane.status("interop")["DelegateReachable"][0] == "True", what=what)
            latest, until = {}, time.monotonic() + (3 if streams > 1 else 0)
            while not latest or time.monotonic() < until:
                for name in names:
                    changed = cluster.request("PATCH", f"{path}/{name}", {"data": {"at": str(time.monotonic())}}, content_type="application/merge-patch+json")
                    latest[name] = changed["metadata"]["resourceVersion"]
            eventually(lambda: set(latest.items()) <= {(r["key"], r["version"]) for r in interop.reconciles()}, what=f"{what}: the last version of each key")
            seen = interop.reconciles()
            assert {r["attempt"] for r in seen} == {1}, f"{what}: nothing has failed"
            assert {r["status"] for r in seen} <= statuses, what
            # Where nothing is cut, each answer is whole.
            assert 0 in statuses or all(r["listed"] > 1_000_000 for r in seen), what
            assert sum("stream" in line for line in interop.lines()) >= streams, what
            assert plane.status("interop")["counts"]["failing"] == "0", what
        assert interop.process.stop(timeout=10) == 0
        assert "too_many_pings" not in plane.log()
    finally:
        if interop.process is not None:
            interop.process.kill()
        cluster.kubectl("delete", "configmaps", "-n", "default", "-l", LABEL, "--wait=false")
