"""The plane under test: build/release/gulfstream mcp."""
import os
import urllib.request

import yaml

from .process import Process, eventually, free_port

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BINARY = os.environ.get("GULFSTREAM_BINARY", os.path.join(ROOT, "build", "release", "gulfstream"))


class Plane:
    def __init__(self, directory, source=None):
        """`source`: flags that say where Controllers come from; default a directory that write() fills."""
        self.dir = directory
        self.source = source
        self.wrapper, self.env = [], None  # a command that runs the program in surroundings of its own
        self.config = os.path.join(directory, "config")
        os.makedirs(self.config, exist_ok=True)
        self.process = None
        self.starts = 0

    def write(self, name, *documents):
        """Puts a file into the configuration directory, as a whole."""
        path = os.path.join(self.config, name)
        with open(path + ".tmp", "w") as f:
            yaml.safe_dump_all(documents, f)
        os.rename(path + ".tmp", path)

    def remove(self, name):
        os.remove(os.path.join(self.config, name))

    def add_cluster(self, cluster, name=None, labels=None, paused=False, user=None):
        name = name or cluster.name
        self.write(f"cluster-{name}.yaml", {
            "apiVersion": "gulfstream.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": name, "labels": labels or {}},
            "spec": {"paused": paused, "connection": {"kubeconfig": {"file": cluster.kubeconfig(f"kubeconfig-{name}", user=user)}}}})

    def start(self, *flags):
        self.starts += 1
        self.metrics_port = free_port()
        self.process = Process(
            [*self.wrapper, BINARY, "mcp", *(self.source or ["--config", self.config]), "--metrics-address", f"127.0.0.1:{self.metrics_port}",
             "--log-level", "debug", *flags],
            os.path.join(self.dir, f"plane-{self.starts}.log"), env=self.env)
        eventually(lambda: self.http("/healthz") == "ok\n", timeout=20, what="the plane's /healthz")
        return self

    def http(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=5) as answer:
            return answer.read().decode()

    def wait_ready(self, timeout=30):
        eventually(lambda: self.http("/readyz") == "ok\n", timeout=timeout, what="the plane's /readyz")

    def metric(self, name):
        for line in self.http("/metrics").splitlines():
            if line.startswith(name + " ") or line.startswith(name + "{") and line.split("} ")[0] + "}" == name:
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def status(self, controller):
        """{condition: (status, reason, message)} of a Controller, from /statusz."""
        conditions, inside = {}, False
        for line in self.http("/statusz").splitlines():
            if not line.startswith(" "):
                inside = line.split()[:2] == ["Controller", controller]
                if inside:
                    conditions["counts"] = dict(p.split("=") for p in line.split()[2:])
            elif inside:
                kind, rest = line.strip().split("=", 1)
                status, _, why = rest.partition(" ")
                reason, _, message = why.partition(": ")
                conditions[kind] = (status, reason, message)
        return conditions

    def log(self):
        return self.process.output()

    def kill(self):
        self.process.kill()

    def stop(self):
        if self.process is not None and self.process.alive:
            return self.process.stop()
        return None
