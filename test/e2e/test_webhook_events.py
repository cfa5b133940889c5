"""Decisions of webhooks, told to a sink as CloudEvents; and a sink that is slow or refuses keeps nobody waiting."""
import base64
import hashlib
import json
import os
import ssl
import threading
import time
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.authority import Authority, write
from harness.hooks import CONFIGURATIONS, ReviewServer, config_map, configuration, own_address, status, webhook
from harness.hub import DEPLOY
from harness.plane import Plane
from harness.process import eventually, free_port

EVENTS = 'gulfstream_webhook_events_total{outcome="%s"}'
TOKEN = "the-token-of-the-sink"


class Sink:
    """Receives events over HTTPS; answers with `code`, or not at all while it hangs."""

    def __init__(self, directory):
        self.authority = Authority(os.path.join(directory, "pki"), "sink-authority")
        certificate, key = os.path.join(directory, "sink.pem"), os.path.join(directory, "sink.key")
        self.authority.issue(certificate, key, "/CN=sink", san="IP:127.0.0.1")
        self.seen, self.code, self.going = [], 204, threading.Event()
        self.going.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.seen.append((self.path, dict(self.headers), body))
                outer.going.wait(timeout=60)
                self.send_response(outer.code)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                pass  # the plane hung up on a sink that hangs

        self.server = Server(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.server.server_port}/decisions"

    def of(self, name):
        """The newest event about the object of that name: headers and body."""
        found = [(headers, body) for _, headers, body in self.seen if json.loads(body)["body"]["request"]["name"] == name]
        return found[-1] if found else None

    def stop(self):
        self.going.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def sink(run_dir):
    made = Sink(run_dir)
    yield made
    made.stop()


@pytest.fixture
def at_work(hub, clusters, run_dir, sink):
    """A Webhook in one cluster of a hub, decided by a webhook server, and a plane with a sink: (plane, server, Cluster's uid)."""
    name, tenant, cluster = "events", "tenant-events", clusters[0]

    def decide(review, headers):
        refused = review["request"]["object"].get("data", {}).get("verdict") == "no"
        return {"allowed": False, "status": {"code": 403, "message": "the delegate says no"}} if refused else {"allowed": True}

    server = ReviewServer(decide)
    hub.add_tenant(tenant)
    hub.add_cluster(tenant, cluster)
    cluster.apply(configuration(name))
    hub.apply(webhook(name, server.url, namespaces=[tenant], protocol="Review"))
    address = f"{own_address()}:{free_port()}"
    plane = hub.plane(run_dir, "--listen", address, "--webhook-url", f"https://{address}", "--events-sink", sink.url,
                      "--events-ca-file", sink.authority.pem, "--events-token-file", write(os.path.join(run_dir, "sink.token"), TOKEN + "\n"))
    plane.start()
    eventually(lambda: status(hub, name)[0] == "True", timeout=30, what="the Webhook is ready")
    eventually(lambda: "the delegate says no" in dry_run(cluster, "probe", "no"), timeout=30, what="the API server asks")
    yield plane, cluster, hub.get(f"/apis/gulfstream.dev/v1alpha1/namespaces/{tenant}/clusters/{cluster.name}")["metadata"]["uid"]
    plane.stop()
    server.stop()
    cluster.request("DELETE", f"{CONFIGURATIONS}/validatingwebhookconfigurations/{name}")
    path = f"/apis/gulfstream.dev/v1alpha1/webhooks/{name}"
    hub.request("PATCH", path, {"metadata": {"finalizers": None}}, content_type="application/merge-patch+json")
    hub.request("DELETE", path)
    hub.kubectl("delete", "gscl,secrets", "--all", "-n", tenant, "--wait=false")


def dry_run(cluster, name, verdict="yes", **data):
    """Creates a ConfigMap that is not stored; what the API server said against it."""
    try:
        cluster.request("POST", "/api/v1/namespaces/default/configmaps?dryRun=All", config_map(name, "events", verdict=verdict, **data))
        return ""
    except urllib.error.HTTPError as error:
        return json.loads(error.read())["message"]


def test_a_sink_is_told_each_decision_and_keeps_nobody_waiting(at_work, sink):
    plane, cluster, uid = at_work
    assert dry_run(cluster, "good") == ""
    assert "the delegate says no" in dry_run(cluster, "bad", "no")
    told_in_binary_mode(sink, uid)
    assert plane.metric(EVENTS % "dropped") == plane.metric(EVENTS % "failed") == 0

    # It answers 500: tried three times, then counted.
    sink.code, before = 500, len(sink.seen)
    assert quick(cluster, "unlucky") == ""
    eventually(lambda: plane.metric(EVENTS % "failed") == 1, timeout=20, what="the event has failed")
    assert [json.loads(body)["body"]["request"]["name"] for _, _, body in sink.seen[before:]] == ["unlucky"] * 3
    assert "events of decisions do not reach their sink" in plane.log() and "it answered 500" in plane.log()

    # It hangs: answers come as before, and what the queue (16 MiB) has no room for is dropped and counted.
    sink.code = 204
    sink.going.clear()
    for i in range(25):
        assert quick(cluster, f"big-{i}", filler="x" * 900_000) == ""
        assert "the delegate says no" in quick(cluster, f"small-{i}", "no")
    dropped = plane.metric(EVENTS % "dropped")
    assert 5 <= dropped <= 15, dropped
    sink.going.set()
    eventually(lambda: sink.of("big-1"), timeout=30, what="what was queued arrives")
    assert TOKEN not in plane.log()


def test_what_is_queued_at_the_end_is_told_but_a_sink_that_hangs_does_not_hold_it_up(at_work, sink):
    plane, cluster, _ = at_work
    sink.going.clear()
    assert dry_run(cluster, "last") == ""
    began = time.monotonic()
    plane.stop()
    assert 2.5 < time.monotonic() - began < 15
    assert "events of decisions were not told" in plane.log()


def told_in_binary_mode(sink, uid):
    for name, allowed in (("good", True), ("bad", False)):
        headers, body = eventually(lambda name=name: sink.of(name), timeout=10, what=f"the event of {name}")
        headers = {key.lower(): value for key, value in headers.items()}
        told = json.loads(body)
        review = told["body"]
        assert headers["ce-specversion"] == "1.0" and headers["ce-type"] == "dev.gulfstream.admission.v1"
        assert headers["ce-source"] == f"k8s://{uid}" and headers["ce-subject"] == "events"
        assert headers["ce-id"] == review["request"]["uid"] == review["response"]["uid"]
        assert abs(time.time() - time.mktime(time.strptime(headers["ce-time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 60
        assert headers["content-type"] == "application/json" and headers["authorization"] == f"Bearer {TOKEN}"
        assert headers["content-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        assert review["kind"] == "AdmissionReview" and review["apiVersion"] == "admission.k8s.io/v1"
        assert review["request"]["object"]["metadata"]["name"] == name and review["response"]["allowed"] is allowed
        assert told["actor"]["subject"] == review["request"]["userInfo"]["username"] != ""
    assert review["response"]["status"]["message"].endswith("the delegate says no"), review["response"]
    assert {path for path, _, _ in sink.seen} == {"/decisions"}


def quick(cluster, *args, **data):
    """A decision that waits for no sink."""
    began = time.monotonic()
    said = dry_run(cluster, *args, **data)
    assert time.monotonic() - began < 3
    return said


def test_an_agent_does_not_ask_a_delegate_about_the_delegates_own_namespace(clusters, run_dir):
    """Its Service has no endpoints, as while it starts: elsewhere that refuses, there it would be for good."""
    cluster, name = clusters[2], "own-namespace"
    cluster.kubectl("apply", "--server-side", "-f", f"{DEPLOY}/crds")
    cluster.kubectl("wait", "--for=condition=Established", "crd/webhooks.gulfstream.dev", "--timeout=30s")
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "policy-system"}}, configuration(name),
                  webhook(name, "https://policy.policy-system.svc:8443", protocol="Review"))
    address = f"{own_address()}:{free_port()}"
    plane = Plane(run_dir, ["--kubeconfig", cluster.kubeconfig()])

    def create_in(namespace):
        manifest = config_map("one", name)
        manifest["metadata"]["namespace"] = namespace
        try:
            cluster.request("POST", f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All", manifest)
            return ""
        except urllib.error.HTTPError as error:
            return json.loads(error.read())["message"]

    try:
        plane.start("--listen", address, "--webhook-url", f"https://{address}", "--webhook-cert-dir", f"{run_dir}/certs")
        eventually(lambda: "policy.policy-system.svc" in create_in("default"), timeout=30, what="the API server asks, and the delegate is away")
        began = time.monotonic()
        assert create_in("policy-system") == ""
        assert time.monotonic() - began < 2
        assert plane.metric(f'gulfstream_webhook_reviews_total{{kind="admission",outcome="exempt",webhook="{name}"}}') == 1
    finally:
        plane.stop()
        cluster.request("DELETE", f"{CONFIGURATIONS}/validatingwebhookconfigurations/{name}")
        cluster.request("PATCH", f"/apis/gulfstream.dev/v1alpha1/webhooks/{name}", {"metadata": {"finalizers": None}}, content_type="application/merge-patch+json")
        cluster.kubectl("delete", "-f", f"{DEPLOY}/crds")
