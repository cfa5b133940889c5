"""Webhooks where something is wrong, on real API servers: many callers at once, a dead conversion delegate, and bad input."""
import base64
import collections
import http.client
import json
import queue
import re
import signal
import socket
import ssl
import threading
import time
import urllib.error

import pytest

from harness.cluster import ADMIN_TOKEN, EMBEDDED
from harness.delegate import Delegate, pb
from harness.hooks import config_map, configuration, webhook
from harness.process import eventually
from test_webhooks import Creating, clean, client_config, name, planes, ready, status, tenant  # noqa: F401 - fixtures too

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def admit(request):
    """Each object is told its own name: an answer that went to another caller is seen."""
    made = request["object"]["metadata"]["name"]
    if request["object"]["data"]["verdict"] == "no":
        return {"refused": pb.Refused(code=403, reason="Forbidden", message=f"the delegate says no to {made}.")}
    return {"allowed": pb.Allowed(), "warnings": [f"the delegate saw {made}."]}


class Callers:
    """Threads that create ConfigMaps (dry run), each on a connection of its own, all at once; what was answered by name."""

    def __init__(self, cluster, hook, callers, count):
        self.cluster, self.hook = cluster, hook
        self.context = ssl.create_default_context(cadata=cluster.ca().decode())
        self.work, self.answers, self.errors, self.statuses = queue.Queue(), {}, [], collections.Counter()
        for i in range(count):
            self.work.put((f"{hook}-{callers}-{i}", "no" if i % 3 == 2 else "yes"))
        self.barrier = threading.Barrier(callers)
        threads = [threading.Thread(target=self.run, daemon=True) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)

    def run(self):
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", self.cluster.port, context=self.context, timeout=60)
            connection.connect()
            self.barrier.wait(timeout=60)
            while True:
                self.create(connection, *self.work.get_nowait())
        except queue.Empty:
            connection.close()
        except Exception as error:  # noqa: BLE001 - a caller that is lost is what the test looks for
            self.errors.append(repr(error))

    def create(self, connection, made, verdict):
        body = json.dumps(config_map(made, self.hook, verdict=verdict))
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}", "content-type": "application/json"}
        for _ in range(100):
            connection.request("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", body, headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
            self.statuses[answer.status] += 1
            if answer.status != 429:  # of the API server itself, or the Webhook's choice where too many ask
                self.answers[made] = (verdict, answer.status, answer.getheader("warning") or "", content)
                return
            time.sleep(min(float(answer.getheader("retry-after") or 1), 1))
        raise AssertionError(f"{made}: 429 for ever")

    def wrong(self):
        out = list(self.errors)
        for made, (verdict, code, warning, content) in self.answers.items():
            allowed = code == 201 and content["metadata"]["name"] == made and f"saw {made}." in warning
            refused = code == 403 and content["message"].endswith(f"denied the request: the delegate says no to {made}.")
            if not (refused if verdict == "no" else allowed):
                out.append(f"{made} {verdict}: {code} {warning} {content}")
        return out


def test_many_callers_get_each_its_own_answer(hub, clusters, tenant, planes, name):  # noqa: F811
    seen, cluster = collections.Counter(), clusters[0]

    def note(request):
        seen[request["object"]["metadata"]["name"]] += 1
        return admit(request)

    delegate = Delegate(None, admit=note)
    try:
        hub.add_cluster(tenant, cluster)
        cluster.apply(configuration(name, timeoutSeconds=30))
        manifest = webhook(name, delegate.url, namespaces=[tenant], maxConcurrent=1000)
        hub.apply(manifest)
        plane = planes.start()
        ready(hub, name, clusters[:1])
        for callers, count in ((50, 500), (200, 1000), (500, 1500)):
            called = Callers(cluster, name, callers, count)
            assert called.wrong() == [] and len(called.answers) == count, called.wrong()[:3]
            assert all(seen[made] >= 1 for made in called.answers), "what was answered was decided"
        assert "gulfstream_webhook_failures_total{" not in plane.http("/metrics")
        # A bound that is too low for them: what is over it is told to come again, and is answered in the end.
        manifest["spec"]["maxConcurrent"] = 2
        hub.apply(manifest)
        eventually(lambda: hub.get(f"/apis/gulfstream.dev/v1alpha1/webhooks/{name}")["status"]["observedGeneration"] == 2, what="the new bound")
        ready(hub, name)
        called = Callers(cluster, name, 200, 400)
        assert called.wrong() == [] and len(called.answers) == 400, called.wrong()[:3]
        shed = plane.metric(f'gulfstream_webhook_failures_total{{answer="refused",reason="overloaded",webhook="{name}"}}')
        assert 0 < shed <= called.statuses[429], called.statuses
    finally:
        delegate.stop()


def convert(thing, wanted):
    old, new = ("count", "size") if wanted.endswith("/v2") else ("size", "count")
    return {**thing, "apiVersion": wanted, "spec": {new: thing["spec"][old]} if old in thing["spec"] else thing["spec"]}


class Things:
    """A CRD of a test's own: stored as v1 {count}, preferred as v2 {size}, which is what Kubernetes' own controllers ask for."""

    def __init__(self, cluster, group):
        self.cluster, self.group, self.crd = cluster, group, f"things.{group}"
        cluster.request("POST", CRDS, {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": self.crd},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                     "versions": [self.version("v1", "count", True), self.version("v2", "size", False)],
                     "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://former.invalid/convert"}}}}})

    @staticmethod
    def version(of, field, storage):
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {field: {"type": "integer"}}}}}
        return {"name": of, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}}

    def path(self, version, namespace, made=""):
        return f"/apis/{self.group}/{version}/namespaces/{namespace}/things/{made}".rstrip("/")

    def create(self, namespace, made, count, **metadata):
        thing = {"apiVersion": f"{self.group}/v1", "kind": "Thing", "metadata": {"name": made, **metadata}, "spec": {"count": count}}
        return eventually(lambda: self.cluster.request("POST", self.path("v1", namespace), thing), what=f"{made} is created")

    def spec(self, version, namespace, made):
        return self.cluster.get(self.path(version, namespace, made))["spec"]

    def refusal(self, version, namespace, made):
        """What somebody who reads is told, or None where it can be read."""
        try:
            self.cluster.request("GET", self.path(version, namespace, made))
        except urllib.error.HTTPError as error:
            return json.loads(error.read())["message"]
        return None

    def remove(self):
        self.cluster.request("DELETE", f"{CRDS}/{self.crd}")


@pytest.fixture
def things(clusters, name):  # noqa: F811
    cluster = clusters[0]
    made = Things(cluster, f"{name[:20].strip('-')}.example.com")
    for namespace in (f"{name}-goes", f"{name}-stays"):
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    yield made
    made.remove()  # first: without a delegate its objects could not go
    for namespace in (f"{name}-goes", f"{name}-stays"):
        if cluster.get(f"/api/v1/namespaces/{namespace}"):
            cluster.request("DELETE", f"/api/v1/namespaces/{namespace}")
    if cluster.controller_manager is not None and cluster.controller_manager.alive:
        cluster.controller_manager.kill()


def owned_by(owner):
    return [{"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]


def collect(cluster, things, namespace):
    """Removes an owner, and waits for the end of the ConfigMap and the Thing that it owned."""
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    config = lambda made, **metadata: {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made, **metadata}}  # noqa: E731
    owner = cluster.request("POST", maps, config("owner"))
    cluster.request("POST", maps, config("owned", ownerReferences=owned_by(owner)))
    things.create(namespace, "owned", 1, ownerReferences=owned_by(owner))
    cluster.request("DELETE", f"{maps}/owner", {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
    eventually(lambda: cluster.get(f"{maps}/owned") is None, timeout=60, what="the owned ConfigMap is collected")
    eventually(lambda: cluster.get(things.path("v1", namespace, "owned")) is None, timeout=60, what="the owned Thing is collected")


def namespace_goes(cluster, namespace):
    cluster.request("DELETE", f"/api/v1/namespaces/{namespace}")
    eventually(lambda: cluster.get(f"/api/v1/namespaces/{namespace}") is None, timeout=60, what=f"the end of Namespace {namespace}")


def test_with_a_fallback_a_dead_conversion_delegate_stops_nothing(hub, clusters, tenant, planes, things, name):  # noqa: F811
    cluster, delegate = clusters[0], Delegate(None, convert=convert)
    hub.add_cluster(tenant, cluster)
    rule = {"from": "v1", "to": "v2", "moves": [{"from": "spec.count", "to": "spec.size"}]}
    hub.apply(webhook(name, delegate.url, kind="CustomResourceDefinition", ref={"name": things.crd}, namespaces=[tenant], conversion=[rule]))
    plane = planes.start()
    ready(hub, name)
    things.create(f"{name}-stays", "one", 1)
    assert eventually(lambda: things.spec("v2", f"{name}-stays", "one"), what="the delegate converts") == {"size": 1}
    delegate.stop()
    eventually(lambda: status(hub, name)[1] == "Unreachable", what="the status says so")
    # The controllers of the cluster start when nobody is there to ask: they have seen nothing before.
    cluster.start_controller_manager()
    for i in range(20):
        things.create(f"{name}-goes", f"t{i}", i)
    things.create(f"{name}-stays", "two", 2)
    assert things.spec("v2", f"{name}-stays", "two") == {"size": 2} and things.spec("v1", f"{name}-stays", "two") == {"count": 2}
    collect(cluster, things, f"{name}-stays")
    namespace_goes(cluster, f"{name}-goes")
    assert things.spec("v1", f"{name}-stays", "one") == {"count": 1}
    assert plane.metric(f'gulfstream_webhook_failures_total{{answer="by_rule",reason="unavailable",webhook="{name}"}}') > 0
    assert plane.metric(f'gulfstream_webhook_reviews_total{{kind="conversion",outcome="by_rule",webhook="{name}"}}') > 0
    assert f'outcome="failed",webhook="{name}"' not in plane.http("/metrics")


def test_without_a_fallback_the_cache_answers_the_status_is_loud_and_all_heals(hub, clusters, tenant, planes, things, name):  # noqa: F811
    cluster, delegate = clusters[0], Delegate(None, convert=convert)
    hub.add_cluster(tenant, cluster)
    hub.apply(webhook(name, delegate.url, kind="CustomResourceDefinition", ref={"name": things.crd}, namespaces=[tenant]))
    plane = planes.start()
    ready(hub, name)
    gone, stays = f"{name}-goes", f"{name}-stays"
    things.create(stays, "known", 1)
    assert eventually(lambda: things.spec("v2", stays, "known"), what="the delegate converts") == {"size": 1}
    delegate.stop()
    assert things.spec("v2", stays, "known") == {"size": 1}, "from the cache"
    things.create(gone, "fresh", 2)
    things.create(stays, "later", 3)
    said = things.refusal("v2", gone, "fresh")
    assert f'Webhook "{name}": its delegate {delegate.url} cannot be reached' in said, said
    assert things.spec("v1", gone, "fresh") == {"count": 2}, "as it is stored"
    loud = eventually(lambda: (s := status(hub, name))[0] == "False" and s, what="the status says so")
    conditions = hub._status(f"/apis/gulfstream.dev/v1alpha1/webhooks/{name}")["conditions"]
    assert conditions["DelegateReachable"]["status"] == "False" and loud[1] == conditions["DelegateReachable"]["reason"] == "Unreachable", conditions
    assert plane.metric(f'gulfstream_webhook_failures_total{{answer="failed",reason="unavailable",webhook="{name}"}}') > 0
    # A namespace with what nobody can convert stays, and Kubernetes says why, in the Webhook's words.
    cluster.start_controller_manager()
    cluster.request("DELETE", f"/api/v1/namespaces/{gone}")
    stuck = lambda: [c for c in cluster.get(f"/api/v1/namespaces/{gone}")["status"].get("conditions", []) if "cannot be reached" in c["message"]]  # noqa: E731
    if not EMBEDDED:  # which empties namespaces itself, in the stored version
        eventually(stuck, what="the Namespace waits")
    delegate.start()
    eventually(lambda: things.refusal("v2", stays, "later") is None, timeout=60, what="conversions work again")
    eventually(lambda: cluster.get(f"/api/v1/namespaces/{gone}") is None, timeout=60, what="the Namespace goes")
    ready(hub, name)
    collect(cluster, things, stays)
    delegate.stop()


def test_a_hub_that_is_away_leaves_a_standby_that_serves(hub, clusters, tenant, planes, name):  # noqa: F811
    delegate = Delegate(None, admit=admit)
    hub.add_cluster(tenant, clusters[0])
    clusters[0].apply(configuration(name))
    hub.apply(webhook(name, delegate.url, namespaces=[tenant]))
    leader = planes.start("--loops", "2")  # ports of two loops are shared, also with another process
    ready(hub, name, clusters[:1])
    standby = planes.start("--loops", "2")
    standby.wait_ready()
    hub.apiserver.signal(signal.SIGSTOP)
    try:
        assert leader.process.popen.wait(15) == 1, "the lease was not renewed in time"
        good = Creating(clusters[0], name)
        eventually(lambda: good.made > 20, what="objects are created")
        assert good.stop().failed == [], good.failed[:3]
        assert standby.metric('leader_election_master_status{name="gulfstream-mcp"}') == 0
        assert standby.metric(f'gulfstream_webhook_reviews_total{{kind="admission",outcome="refused",webhook="{name}"}}') > 0
    finally:
        hub.apiserver.signal(signal.SIGCONT)
        delegate.stop()


class Wire:
    """Bytes to the plane's own port."""

    def __init__(self, planes, client):  # noqa: F811
        self.address, self.path = (planes.address, planes.port), re.sub("https://[^/]*", "", client["url"])
        self.context = ssl.create_default_context(cadata=base64.b64decode(client["caBundle"]).decode())

    def connect(self):
        return self.context.wrap_socket(socket.create_connection(self.address, timeout=20), server_hostname=self.address[0])

    def say(self, *parts, pause=0.0):
        """All that is answered to these bytes until the plane closes or 1 s is quiet after an answer."""
        with self.connect() as tls:
            out = b""
            try:
                for part in parts:
                    tls.sendall(part)
                    time.sleep(pause)
                while part := tls.recv(65536):
                    out += part
                    tls.settimeout(1)
            except TimeoutError:
                pass
            except OSError as error:  # closed while we were sending
                out += f" {error}".encode() if not out else b""
            return out

    def post(self, body, path=None, method="POST", content_type="application/json"):
        head = (f"{method} {path or self.path}?timeout=5s HTTP/1.1\r\nhost: plane\r\nconnection: close\r\n"
                f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n")
        return self.say(head.encode() + body)

    def raw(self, framing, *bodies, pause=0.0):
        head = f"POST {self.path}?timeout=5s HTTP/1.1\r\nhost: plane\r\ncontent-type: application/json\r\n{framing}\r\n"
        return self.say(head.encode(), *bodies, pause=pause)


def codes(answer):
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def review(verdict="yes", **changes):
    request = {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "name": "raw", "namespace": "default",
               "kind": {"group": "", "version": "v1", "kind": "ConfigMap"}, "resource": {"group": "", "version": "v1", "resource": "configmaps"},
               "object": {"metadata": {"name": "raw"}, "data": {"verdict": verdict}}}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request, **changes}).encode()


@pytest.fixture
def attacked(hub, clusters, tenant, planes, name):  # noqa: F811
    """A plane with a Webhook, while a good caller creates objects all the time."""
    made = Delegate(None, admit=admit)
    hub.add_cluster(tenant, clusters[0])
    clusters[0].apply(configuration(name))
    hub.apply(webhook(name, made.url, namespaces=[tenant]))
    plane = planes.start()
    ready(hub, name, clusters[:1])
    good = Creating(clusters[0], name)
    yield Wire(planes, client_config(clusters[0], name))
    before = good.made
    eventually(lambda: good.made > before + 5, what="the good caller goes on")
    good.stop()
    assert good.failed == [], good.failed[:3]
    assert plane.process.alive and plane.http("/livez") == "ok\n"
    made.stop()


def test_bad_requests_get_a_clear_answer(attacked, name):  # noqa: F811
    wire = attacked
    assert codes(wire.post(review())) == [200] and b'"allowed":true' in wire.post(review())
    huge = b"x" * (7 * 1024 * 1024 + 1)
    cases = {
        "malformed JSON": (wire.post(b'{"apiVersion": "admission.k8s.io/v1", "kind"'), 400, b"not a review that can be answered"),
        "no JSON": (wire.post(b"\x00\xff" * 100), 400, b"not a review"),
        "no body": (wire.post(b""), 400, b"not a review"),
        "deep JSON": (wire.post(b"[" * 1_000_000), 400, b"not a review"),
        "wrong apiVersion": (wire.post(review(apiVersion="admission.k8s.io/v2")), 400, b"admission.k8s.io/v2"),
        "wrong kind": (wire.post(review(kind="ConversionReview")), 400, b"ConversionReview"),
        "no request": (wire.post(review(request=None)), 400, b"request"),
        "no uid": (wire.post(review(request={"operation": "CREATE"})), 400, b"request.uid"),
        "huge": (wire.post(huge), 413, b"7340032"),
        "huge by announcement": (wire.raw("content-length: 99999999999\r\n"), 413, b"too large"),
        "huge in chunks": (wire.raw("transfer-encoding: chunked\r\n", b"800000\r\n" + huge + b"\r\n"), 413, b"7340032"),
        "wrong content type": (wire.post(review(), content_type="text/yaml"), 415, b"application/json"),
        "wrong method": (wire.post(b"", method="GET"), 405, b"POST"),
        "strange method": (wire.post(review(), method="BREW"), 405, b"POST"),
        "long head": (wire.raw(f"x: {'x' * 70_000}\r\n"), 431, b""),
    }
    wrong = {case: got[:200] for case, (got, code, text) in cases.items() if codes(got) != [code] or text not in got}
    assert not wrong, wrong


def test_what_is_not_there_gets_one_answer_and_not_often(attacked, name):  # noqa: F811
    wire = attacked
    _, prefix, kind, _ = wire.path.split("/")
    other = ("b" if prefix[0] == "a" else "a") + prefix[1:]
    paths = {"unknown path": "/healthz", "unknown Webhook": f"/{prefix}/{kind}/other", "wrong prefix": f"/{other}/{kind}/{name}",
             "no prefix": f"/{kind}/{name}", "other kind": f"/{prefix}/conversionwebhooks/{name}", "more path": f"{wire.path}/x", "upper case": wire.path.upper()}
    answers = {case: wire.post(review(), path=path) for case, path in paths.items()}
    assert codes(answers["wrong prefix"]) == [404] and set(answers.values()) == {answers["wrong prefix"]}, answers
    guesses = collections.Counter(codes(wire.post(review(), path=f"/{i:040x}/{kind}/{name}"))[0] for i in range(60))
    assert set(guesses) == {404, 429} and guesses[429] > 10, guesses
    assert codes(wire.post(review())) == [200], "the right path is not limited"


SMUGGLED = b"POST /x HTTP/1.1\r\nhost: plane\r\ncontent-length: 0\r\n\r\n"


def test_ambiguous_framing_is_refused_and_slow_callers_are_let_go(attacked):
    wire, body = attacked, review()
    slow = {"slow body": lambda: wire.raw(f"content-length: {len(body)}\r\n", *(body[i:i + 1] for i in range(12)), pause=0.6),
            "slow head": lambda: wire.say(b"POST / HTTP/1.1\r\nhost: ", *[b"x"] * 8, pause=1),
            "no head": lambda: wire.say(b"", pause=1)}
    slow_answers = {}
    threads = [threading.Thread(target=lambda case=case, talk=talk: slow_answers.update({case: talk()})) for case, talk in slow.items()]
    for thread in threads:
        thread.start()
    length, chunked = f"content-length: {len(body)}\r\n", "transfer-encoding: chunked\r\n"
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    refused = {
        "two lengths": wire.raw(length + "content-length: 0\r\n", body, SMUGGLED),
        "a list of lengths": wire.raw(f"content-length: {len(body)}, 0\r\n", body, SMUGGLED),
        "a signed length": wire.raw(f"content-length: +{len(body)}\r\n", body, SMUGGLED),
        "length and chunks": wire.raw(length + chunked, b"0\r\n\r\n", SMUGGLED),
        "chunks and length": wire.raw(chunked + length, b"0\r\n\r\n", SMUGGLED),
        "chunks twice": wire.raw(chunked + chunked, b"0\r\n\r\n", SMUGGLED),
        "another encoding": wire.raw("transfer-encoding: gzip, chunked\r\n", b"0\r\n\r\n", SMUGGLED),
        "a hidden encoding": wire.raw("transfer-encoding: \x0bchunked\r\n", b"0\r\n\r\n", SMUGGLED),
        "a space before the colon": wire.raw("transfer-encoding : chunked\r\n" + length, body, SMUGGLED),
        "a folded line": wire.raw("x: y\r\n transfer-encoding: chunked\r\n" + "content-length: zz\r\n", body, SMUGGLED),
        "a size that is none": wire.raw(chunked, b"zz\r\n" + body, SMUGGLED, pause=0.1),
        "a negative size": wire.raw(chunked, b"-5\r\n" + body, SMUGGLED, pause=0.1),
        "a size beyond counting": wire.raw(chunked, b"fffffffffffffffff\r\n" + body, SMUGGLED, pause=0.1),
        "a bad size after a good one": wire.raw(chunked, chunk, b"0x0\r\n\r\n" + SMUGGLED, pause=0.1),
        "a chunk that is longer than it says": wire.raw(chunked, b"1\r\n" + body + b"\r\n0\r\n\r\n", SMUGGLED, pause=0.1),
        "an endless extension": wire.raw(chunked, b"5;" + b"x" * 200_000, SMUGGLED, pause=0.1),
    }
    wrong = {case: got[:300] for case, got in refused.items() if len(codes(got)) != 1 or not 400 <= codes(got)[0] < 500}
    assert not wrong, wrong
    # What is odd and clear is understood, and the next request on the connection is the next request.
    extended = f"{len(body):x};name=value\r\n".encode() + body + b"\r\n0\r\ntrailer: x\r\n\r\n"
    assert codes(wire.raw(chunked, extended, SMUGGLED)) == [200, 404]
    for thread in threads:
        thread.join(timeout=40)
    assert codes(slow_answers["slow body"]) == [408] and codes(slow_answers["slow head"]) == codes(slow_answers["no head"]) == [], slow_answers
