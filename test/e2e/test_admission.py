"""Admission webhooks as any API server calls them: the same on kube-apiserver and on the embedded server.

No plane is involved: the webhooks are HTTPS servers of the test's own.
"""
import base64
import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.authority import Authority
from harness.cluster import ADMIN_TOKEN
from harness.hooks import CONFIGURATIONS, config_map, configuration, patch_of
from harness.process import eventually

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"


class Webhook:
    """An admission webhook over TLS on loopback. decide(request) gives the response's members, or bytes to answer with."""

    def __init__(self, directory, decide):
        self.authority = Authority(os.path.join(directory, "pki"), "webhook-authority")
        certificate, key = os.path.join(directory, "hook.pem"), os.path.join(directory, "hook.key")
        self.authority.issue(certificate, key, "/CN=hook", san="IP:127.0.0.1")
        self.decide, self.seen = decide, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.seen.append((self.path, review))
                answer = outer.decide(review["request"])
                if not isinstance(answer, bytes):
                    answer = json.dumps({"kind": "AdmissionReview", "apiVersion": review["apiVersion"], "response": {"uid": review["request"]["uid"], **answer}}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def client_config(self, path="/admit"):
        return {"url": f"https://127.0.0.1:{self.server.server_port}{path}", "caBundle": base64.b64encode(self.authority.text().encode()).decode()}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Asked:
    """One cluster with one configuration; what requests are answered with."""

    def __init__(self, cluster, hook, name):
        self.cluster, self.hook, self.name = cluster, hook, name
        self.kinds = []

    def configure(self, kind="Validating", client_config=None, **entry):
        self.cluster.apply(configuration(self.name, kind=kind, client_config=client_config or self.hook.client_config(), **entry))
        self.kinds.append(kind)
        # kube-apiserver takes a moment to see it.
        if not client_config:
            eventually(lambda: self.hook.seen or (self.create("probe", dry_run=True) and False) or self.hook.seen, timeout=15, what="the API server asks")
            self.hook.seen.clear()

    def send(self, method, path, body=None, content_type="application/json"):
        """(status, body, Warning headers)"""
        context = ssl.create_default_context(cadata=self.cluster.ca().decode())
        request = urllib.request.Request(self.cluster.server + path, method=method, data=json.dumps(body).encode() if body is not None else None)
        request.add_header("Authorization", "Bearer " + ADMIN_TOKEN)
        request.add_header("Content-Type", content_type)
        try:
            answer = urllib.request.urlopen(request, context=context, timeout=40)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, json.loads(answer.read()), answer.headers.get_all("warning") or []

    def create(self, name, dry_run=False, **data):
        return self.send("POST", MAPS + ("?dryRun=All" if dry_run else ""), config_map(f"{self.name}-{name}", self.name, **data))

    def remove(self):
        for kind in set(self.kinds):
            self.cluster.request("DELETE", f"{CONFIGURATIONS}/{kind.lower()}webhookconfigurations/{self.name}")
        self.cluster.request("DELETE", f"{MAPS}?labelSelector=hook%3D{self.name}")


@pytest.fixture
def decisions():
    return {"allowed": True}


@pytest.fixture
def asked(clusters, run_dir, request, decisions):
    hook = Webhook(run_dir, lambda asked: decisions["decide"](asked) if "decide" in decisions else dict(decisions))
    made = Asked(clusters[0], hook, "admission-" + request.node.name.replace("test_", "").replace("_", "-")[:30].strip("-"))
    yield made
    made.remove()
    hook.stop()


def test_a_denial_has_the_webhooks_words_code_and_reason(asked, decisions):
    asked.configure()
    decisions.update(allowed=False, status={"code": 418, "reason": "Tea", "message": "no pot", "details": {"causes": [{"message": "lid"}]}})
    code, body, _ = asked.create("a")
    assert (code, body["code"], body["reason"], body["status"]) == (418, 418, "Tea", "Failure")
    assert body["message"] == f'admission webhook "{asked.name}.example.com" denied the request: no pot'
    assert body["details"]["causes"] == [{"message": "lid"}]
    decisions.pop("status")
    code, body, _ = asked.create("a")
    assert code == 400 and body["message"] == f'admission webhook "{asked.name}.example.com" denied the request without explanation' and "reason" not in body


def test_a_review_says_who_does_what(asked, decisions):
    decisions.update(warnings=["careful"])
    asked.configure(rules=[{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"], "scope": "*"}])
    code, made, warnings = asked.send("POST", MAPS + "?fieldManager=me", config_map(f"{asked.name}-a", asked.name, k="v"))
    assert code == 201 and warnings == ['299 - "careful"']
    path, review = asked.hook.seen[-1]
    request = review["request"]
    assert path == "/admit?timeout=5s" and review["apiVersion"] == "admission.k8s.io/v1"
    assert request["kind"] == request["requestKind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert request["resource"] == request["requestResource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (request["operation"], request["name"], request["namespace"], request["dryRun"]) == ("CREATE", f"{asked.name}-a", "default", False)
    assert request["userInfo"]["username"] == "admin" and "system:masters" in request["userInfo"]["groups"]
    assert request["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"}
    assert request["object"]["metadata"]["uid"] == made["metadata"]["uid"] and request["oldObject"] is None
    asked.send("PATCH", f"{MAPS}/{asked.name}-a?dryRun=All", {"data": {"k": "w"}}, MERGE)
    request = asked.hook.seen[-1][1]["request"]
    assert (request["operation"], request["dryRun"], request["options"]["kind"], request["options"]["dryRun"]) == ("UPDATE", True, "UpdateOptions", ["All"])
    assert (request["object"]["data"]["k"], request["oldObject"]["data"]["k"]) == ("w", "v")
    asked.send("DELETE", f"{MAPS}/{asked.name}-a", {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"})
    request = asked.hook.seen[-1][1]["request"]
    assert request["operation"] == "DELETE" and request["object"] is None and request["oldObject"]["metadata"]["name"] == f"{asked.name}-a"
    assert request["options"] == {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "propagationPolicy": "Background"}


def test_a_mutating_webhook_sees_no_system_fields_and_its_patch_is_read_as_a_body(asked, decisions):
    decisions.update(decide=lambda request: patch_of({"op": "add", "path": "/data/added", "value": "yes"}, {"op": "add", "path": "/nonsense", "value": 1})
                     if request["object"].get("data") else {"allowed": True})
    asked.configure(kind="Mutating")
    code, made, _ = asked.send("POST", MAPS, {**config_map("", asked.name, k="v"), "metadata": {"generateName": f"{asked.name}-", "labels": {"hook": asked.name}}})
    assert code == 201 and made["data"] == {"k": "v", "added": "yes"} and "nonsense" not in made
    request = asked.hook.seen[-1][1]["request"]
    assert "name" not in request or not request["name"]
    assert "uid" not in request["object"]["metadata"] and "name" not in request["object"]["metadata"]
    decisions.update(decide=lambda request: patch_of({"op": "add", "path": "/data/bad key", "value": "x"}))
    code, body, _ = asked.create("bad", k="v")
    assert code == 422 and "data[bad key]: Invalid value" in body["message"]


def test_what_is_no_answer_fails_in_words(asked, decisions):
    asked.configure()
    start = f'Internal error occurred: failed calling webhook "{asked.name}.example.com": '
    cases = {
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}': "received invalid webhook response: webhook response was absent",
        b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"x","allowed":true}}': "received invalid webhook response: expected response.uid=",
    }
    for body, words in cases.items():
        decisions.update(decide=lambda request, body=body: body)
        code, answer, _ = asked.create("a")
        assert code == 500 and answer["reason"] == "InternalError" and answer["message"].startswith(start + words), answer
        assert answer["details"]["causes"][0]["message"] == answer["message"].removeprefix("Internal error occurred: ")
    decisions.update(decide=lambda request: {"allowed": True, "patchType": "JSONPatch"})
    assert asked.create("a")[1]["message"] == start + "received invalid webhook response: validating webhook may not return response.patchType"


def test_failure_policies_answer_for_a_webhook_that_is_away(asked):
    asked.configure(client_config={"url": "https://127.0.0.1:1/x"})
    words = f'failed calling webhook "{asked.name}.example.com": failed to call webhook: Post "https://127.0.0.1:1/x?timeout=5s": '
    code, body, _ = eventually(lambda: (r := asked.create("a", dry_run=True))[0] == 500 and r, timeout=15, what="it is asked")
    assert words in body["message"] and "connection refused" in body["message"], body
    asked.configure(client_config={"url": "https://127.0.0.1:1/x"}, failurePolicy="Ignore")
    eventually(lambda: asked.create("a", dry_run=True)[0] == 201, timeout=15, what="it is ignored")


def test_equivalent_versions_and_subresources(asked):
    scalers = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
    asked.configure(rules=[{"apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["horizontalpodautoscalers", "horizontalpodautoscalers/status"], "scope": "*"},
                           {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"], "scope": "*"}])
    scaler = {"metadata": {"name": asked.name, "labels": {"hook": asked.name}}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}
    assert asked.send("POST", scalers, scaler)[0] == 201
    request = asked.hook.seen[-1][1]["request"]
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "HorizontalPodAutoscaler"} and request["object"]["apiVersion"] == "autoscaling/v1"
    assert request["requestKind"]["version"] == "v2" and request["requestResource"]["version"] == "v2" and request["resource"]["version"] == "v1"
    asked.send("PATCH", f"{scalers}/{asked.name}/status", {"status": {"desiredReplicas": 2}}, MERGE)
    assert asked.hook.seen[-1][1]["request"]["subResource"] == "status"
    asked.send("DELETE", f"{scalers}/{asked.name}")
    assert asked.hook.seen[-1][1]["request"]["operation"] == "DELETE"


def test_a_deletion_of_many_asks_about_each(asked, decisions):
    for i in range(3):
        asked.create(f"m{i}")
    decisions.update(decide=lambda request: {"allowed": request["operation"] != "DELETE" or not request["oldObject"]["metadata"]["name"].endswith("m1"), "status": {"message": "not m1"}})
    asked.configure(rules=[{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE", "CREATE"], "resources": ["configmaps"], "scope": "*"}])
    code, body, _ = asked.send("DELETE", f"{MAPS}?labelSelector=hook%3D{asked.name}")
    assert code == 400 and body["message"].endswith("denied the request: not m1"), body
    left = [m["metadata"]["name"] for m in asked.cluster.get(f"{MAPS}?labelSelector=hook%3D{asked.name}")["items"]]
    assert f"{asked.name}-m1" in left and f"{asked.name}-m0" not in left
    asked.hook.seen.clear()
    decisions.update(decide=lambda request: {"allowed": True})
    code, body, _ = asked.send("DELETE", f"{MAPS}?labelSelector=hook%3D{asked.name}")
    assert code == 200 and len(body["items"]) == len(left)
    assert len(asked.hook.seen) == len(left)
