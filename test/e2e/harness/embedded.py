"""The embedded API server in the place of kube-apiserver and etcd: the same tests (GULFSTREAM_E2E_API=embedded)."""
import os
import signal

from .process import Process, eventually

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BINARY = os.environ.get("GULFSTREAM_BINARY", os.path.join(ROOT, "build", "release", "gulfstream"))
# What a test gives kube-apiserver and the embedded server knows too.
KNOWN_FLAGS = {"--client-ca-file", "--tls-cert-file", "--tls-private-key-file"}
# What the embedded server does without being told: webhooks' Services are resolved by their endpoints.
ALWAYS = {"--enable-aggregator-routing=true"}


class Disk:
    """In the place of an etcd of its own: the server's storage. Without it no request is answered: the server stops."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.alive = True

    def kill(self):
        self.alive = False
        self.cluster.apiserver.signal(signal.SIGSTOP)


class BuiltIn:
    """In the place of kube-controller-manager: its part is done by the server itself."""

    alive = False

    def kill(self):
        pass


class EmbeddedServer:
    """How a Cluster starts and reaches gulfstream apiserver; mixed in before the real one."""

    def start_etcd(self):
        if self.etcd is not None and not self.etcd.alive and self.apiserver.alive:
            self.apiserver.signal(signal.SIGCONT)
        self.etcd = Disk(self)

    def start_apiserver(self):
        flags = [flag for flag in self.apiserver_flags if flag not in ALWAYS]
        unknown = set(flags[::2]) - KNOWN_FLAGS
        assert not unknown, f"the embedded server has no {unknown}"
        self.apiserver = Process(
            [BINARY, "apiserver", "--data-dir", self._path("data"), "--secure-port", self.port, "--token-auth-file", self._path("tokens.csv"),
             "--authorization-mode", "RBAC",
             "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", self._path("sa.key"),
             "--service-account-signing-key-file", self._path("sa.key"), *flags], self._path("apiserver.log"))

    def start_controller_manager(self, controllers=""):
        self.controller_manager = BuiltIn()

    def ca(self):
        path = self._path(os.path.join("data", "pki", "ca.crt"))
        eventually(lambda: os.path.exists(path), timeout=10, what=f"{self.name}: ca.crt")
        with open(path, "rb") as f:
            return f.read()

