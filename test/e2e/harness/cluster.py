"""A real Kubernetes API server with its etcd, on loopback; or the embedded one (harness/embedded.py)."""
import base64
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request

import yaml

from .embedded import EmbeddedServer
from .process import Process, eventually, free_port

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
ASSETS = os.environ.get("GULFSTREAM_KUBE_ASSETS", os.path.join(ROOT, "build", "kube", "bin"))
ADMIN_TOKEN = "admin-token"
EMBEDDED = os.environ.get("GULFSTREAM_E2E_API") == "embedded"


class RealCluster:
    def __init__(self, name, directory):
        self.name = name
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.port = free_port()
        self.etcd_port, self.etcd_peer_port = free_port(), free_port()
        self.etcd = self.apiserver = self.controller_manager = None
        self.apiserver_flags = []
        self._write_inputs()

    def _write_inputs(self):
        key = self._path("sa.key")
        if not os.path.exists(key):
            subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        with open(self._path("tokens.csv"), "w") as f:
            f.write(f"{ADMIN_TOKEN},admin,admin-uid,system:masters\n")
            f.write("limited-token,limited,limited-uid\n")

    def _path(self, name):
        return os.path.join(self.dir, name)

    @property
    def server(self):
        return f"https://127.0.0.1:{self.port}"

    def start(self, wait=True):
        self.start_etcd()
        self.start_apiserver()
        if wait:
            self.wait_ready()
        return self

    def start_etcd(self):
        client, peer = (f"http://127.0.0.1:{p}" for p in (self.etcd_port, self.etcd_peer_port))
        self.etcd = Process(
            [f"{ASSETS}/etcd", "--data-dir", self._path("etcd"), "--listen-client-urls", client,
             "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
             "--initial-cluster", f"default={peer}", "--unsafe-no-fsync", "--log-level", "warn"],
            self._path("etcd.log"))

    def start_apiserver(self):
        self.apiserver = Process(
            [f"{ASSETS}/kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{self.etcd_port}",
             "--cert-dir", self._path("certs"), "--secure-port", self.port, "--bind-address", "127.0.0.1",
             "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", self._path("sa.key"),
             "--service-account-signing-key-file", self._path("sa.key"), "--service-cluster-ip-range", "10.0.0.0/24",
             "--token-auth-file", self._path("tokens.csv"), "--authorization-mode", "RBAC",
             "--disable-admission-plugins", "ServiceAccount", *self.apiserver_flags],
            self._path("apiserver.log"))

    def start_controller_manager(self, controllers="namespace-controller,garbage-collector-controller"):
        self.controller_manager = Process(
            [f"{ASSETS}/kube-controller-manager", "--kubeconfig", self.kubeconfig(), "--controllers", controllers,
             "--leader-elect=false", "--bind-address", "127.0.0.1", "--secure-port", free_port(),
             # Its own limits are made for big clusters' sake, not for a test's.
             "--kube-api-qps", 1000, "--kube-api-burst", 2000],
            self._path("controller-manager.log"))

    def wait_ready(self):
        eventually(lambda: self.request("GET", "/readyz", raw=True) == b"ok", timeout=60, what=f"{self.name}: /readyz")
        # The default namespace is made by the server itself, a moment after it is ready.
        eventually(lambda: self.request("GET", "/api/v1/namespaces/default"), timeout=30, what=f"{self.name}: namespace default")

    def stop(self):
        for process in (self.controller_manager, self.apiserver, self.etcd):
            if process is not None and process.alive:
                process.kill()

    def ca(self):
        """The server's own self-signed authority."""
        with open(os.path.join(self.dir, "certs", "apiserver.crt"), "rb") as f:
            return f.read()

    def request(self, method, path, body=None, token=ADMIN_TOKEN, content_type="application/json", raw=False, timeout=10):
        context = ssl.create_default_context(cadata=self.ca().decode())
        request = urllib.request.Request(self.server + path, method=method,
                                         data=json.dumps(body).encode() if body is not None else None)
        request.add_header("Authorization", "Bearer " + token)
        if body is not None:
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, context=context, timeout=timeout) as answer:
            content = answer.read()
            return content if raw else json.loads(content)

    def manager_of(self, path):
        """Who applied the object; the embedded server keeps that and does not show it."""
        return None if EMBEDDED else self.get(path)["metadata"]["managedFields"][0]["manager"]

    def get(self, path):
        """The object at a path, or None where there is none."""
        try:
            return self.request("GET", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def kubeconfig(self, name="kubeconfig", user=None):
        path = self._path(name)
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": self.name,
            "clusters": [{"name": self.name, "cluster": {
                "server": self.server, "certificate-authority-data": base64.b64encode(self.ca()).decode()}}],
            "users": [{"name": "admin", "user": user or {"token": ADMIN_TOKEN}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": "admin"}}],
        }
        with open(path, "w") as f:
            yaml.safe_dump(config, f)
        return path

    def kubectl(self, *args, stdin=None):
        result = subprocess.run([f"{ASSETS}/kubectl", "--kubeconfig", self.kubeconfig(), *args], input=stdin,
                                capture_output=True, text=True, timeout=120)
        if result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: {result.stderr}")
        return result.stdout

    def apply(self, *manifests):
        return self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))


class EmbeddedCluster(EmbeddedServer, RealCluster):
    pass


Cluster = EmbeddedCluster if EMBEDDED else RealCluster
