"""Webhooks of a test: the configurations in clusters, a webhook server like any other, and what is written to a hub."""
import base64
import json
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .cluster import ASSETS
from .process import free_port

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"


def own_address():
    """An address of this machine that is not loopback; nothing that is sent there leaves the machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 9))  # sends nothing
        return s.getsockname()[0]


class ReviewServer:
    """A webhook server (plain HTTP, on loopback). decide(review, headers) gives the response's members."""

    def __init__(self, decide, port=None):
        self.decide, self.seen, self.port = decide, [], port or free_port()
        self.server = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        outer = self
        self.connections = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                outer.connections.add(self.connection)

            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.seen.append((review, self.headers, self.path))
                review["response"] = {"uid": review["request"]["uid"], **outer.decide(review, self.headers)}  # of either kind
                del review["request"]
                body = json.dumps(review).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        """As a process that dies: connections that are kept end too."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def patch_of(*operations):
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(list(operations)).encode()).decode()}


def configuration(name, kind="Validating", client_config=None, label=None, **entry):
    """Of ConfigMaps with the label hook=<label or name>, so that no other test meets it."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration", "metadata": {"name": name, "labels": {"hook": label or name}},
        "webhooks": [{
            "name": f"{name}.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 5,
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"], "scope": "Namespaced"}],
            "objectSelector": {"matchLabels": {"hook": label or name}},
            "clientConfig": client_config or {"url": "https://former.invalid/x"}, **entry}]}


def webhook(name, delegate, kind="ValidatingWebhookConfiguration", namespaces=None, ref=None, **spec):
    api = "apiextensions.k8s.io/v1" if kind == "CustomResourceDefinition" else "admissionregistration.k8s.io/v1"
    manifest = {"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Webhook", "metadata": {"name": name},
                "spec": {"ref": {"apiVersion": api, "kind": kind, **(ref or {"name": name})}, "delegate": delegate, **spec}}
    if namespaces is not None:
        manifest["spec"]["clusterSelector"] = {"namespaces": namespaces}
    return manifest


def config_map(name, hook, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", "labels": {"hook": hook}}, "data": data}


def create(cluster, manifest):
    """kubectl create as anybody would: (exit code, what it said)."""
    done = subprocess.run([f"{ASSETS}/kubectl", "--kubeconfig", cluster.kubeconfig(), "create", "-f", "-"], input=json.dumps(manifest),
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def client_config(cluster, name, plural="validatingwebhookconfigurations"):
    return cluster.get(f"{CONFIGURATIONS}/{plural}/{name}")["webhooks"][0]["clientConfig"]


def status(hub, name):
    found = hub._status(f"/apis/gulfstream.dev/v1alpha1/webhooks/{name}")
    ready = found["conditions"].get("Ready", {})
    return ready.get("status"), ready.get("reason"), ready.get("message", "")
