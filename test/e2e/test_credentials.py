"""Credentials that change, expire and fail; kubeconfigs and servers that are wrong. Meanwhile another cluster
goes on working: nobody else notices."""
import asyncio
import http.server
import json
import os
import socket
import ssl
import stat
import threading
import time

import pytest
import yaml

from harness.authority import Authority, write
from harness.cluster import ADMIN_TOKEN, Cluster
from harness.delegate import Delegate
from harness.process import eventually, free_port

CONTROLLER = {
    "apiVersion": "gulfstream.dev/v1alpha1", "kind": "Controller", "metadata": {"name": "echo"},
    "spec": {"primary": {"version": "v1", "resource": "configmaps",
                         "match": [{"fieldPath": "metadata.labels.echo", "value": "yes"}]},
             "secondary": [{"version": "v1", "resource": "secrets"}]},
}


class SecureCluster(Cluster):
    """With serving certificates of an authority of its own, and client certificates."""

    def __init__(self, name, directory):
        super().__init__(name, directory)
        self.first, self.second = Authority(self._path("pki"), "first"), Authority(self._path("pki"), "second")
        self.clients = Authority(self._path("pki"), "clients")
        self.serving = self._path("pki/serving.crt"), self._path("pki/serving.key")
        self.serve_with(self.first)
        self.apiserver_flags = ["--client-ca-file", self.clients.pem, "--tls-cert-file", self.serving[0],
                                "--tls-private-key-file", self.serving[1]]

    def serve_with(self, authority):
        authority.issue(*self.serving, "/CN=apiserver", san="IP:127.0.0.1,DNS:localhost")

    def ca(self):
        return (self.first.text() + self.second.text()).encode()

    def restart_apiserver(self):
        self.apiserver.kill()
        self.start_apiserver()
        self.wait_ready()


def kubeconfig(path, server, cluster, user):
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "c",
              "clusters": [{"name": "k", "cluster": {"server": server, **cluster}}],
              "users": [{"name": "u", "user": user}],
              "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}
    return write(path, yaml.safe_dump(config))


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    cluster = SecureCluster("secure", str(tmp_path_factory.mktemp("secure")))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def delegate():
    made = Delegate(lambda r: None)
    yield made
    made.stop()


@pytest.fixture
def at_work(plane, clusters, delegate):
    """A plane with one good cluster, which must go on working whatever happens to the others."""
    controller = json.loads(json.dumps(CONTROLLER))
    controller["spec"]["delegate"] = delegate.url
    plane.write("controller.yaml", controller)
    plane.add_cluster(clusters[0], name="good")
    plane.start()
    yield plane
    assert works(clusters[0], delegate, "good"), "the other cluster notices nothing"
    assert cluster_status(plane, "good")["Ready"][0] == "True"


def attach(plane, name, path):
    plane.write(f"cluster-{name}.yaml", {"apiVersion": "gulfstream.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": name},
                                         "spec": {"connection": {"kubeconfig": {"file": path}}}})


def cluster_status(plane, name):
    """{condition: (status, reason, message)} of a Cluster, from /statusz."""
    conditions, inside = {}, False
    for line in plane.http("/statusz").splitlines():
        if not line.startswith(" "):
            inside = line.split()[:2] == ["Cluster", name]
        elif inside:
            kind, rest = line.strip().split("=", 1)
            status, _, why = rest.partition(" ")
            reason, _, message = why.partition(": ")
            conditions[kind] = (status, reason, message)
    return conditions


def wait_for_words(plane, name, words, timeout=60):
    def said():
        status = cluster_status(plane, name).get("Ready", ("", "", ""))
        assert status[0] != "True" and words in status[2], status
        return status
    return eventually(said, timeout=timeout, what=f"Cluster {name} says {words!r}")


def wait_ready(plane, name, timeout=60):
    eventually(lambda: cluster_status(plane, name).get("Ready", ("",))[0] == "True", timeout=timeout, what=f"Cluster {name} is ready")


COUNT = [0]


def works(cluster, delegate, name, timeout=60):
    """A new object is reconciled."""
    COUNT[0] += 1
    key = f"probe-{COUNT[0]}"
    cluster.request("POST", "/api/v1/namespaces/default/configmaps",
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": key, "labels": {"echo": "yes"}}})
    eventually(lambda: delegate.count(cluster=name, name=key) > 0, timeout=timeout, what=f"{name}: {key} is reconciled")
    return True


def bound_token(cluster, secret):
    """A token that is good until this Secret is deleted."""
    made = cluster.request("POST", "/api/v1/namespaces/default/secrets",
                           {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}})
    answer = cluster.request("POST", "/api/v1/namespaces/default/serviceaccounts/plane/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 3600,
                 "boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": secret, "uid": made["metadata"]["uid"]}}})
    return answer["status"]["token"]


def test_a_token_file_is_followed_when_its_token_is_replaced_and_the_old_one_dies(secure, at_work, delegate, run_dir):
    secure.request("POST", "/api/v1/namespaces/default/serviceaccounts",
                   {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "plane"}})
    secure.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "plane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "plane", "namespace": "default"}]})
    token = write(os.path.join(run_dir, "token"), bound_token(secure, "first"))
    attach(at_work, "tokens", kubeconfig(os.path.join(run_dir, "kc"), secure.server,
                                         {"certificate-authority": secure.first.pem}, {"tokenFile": token}))
    wait_ready(at_work, "tokens")
    assert works(secure, delegate, "tokens")
    seen = delegate.count(cluster="tokens")
    write(token, bound_token(secure, "second"))
    secure.request("DELETE", "/api/v1/namespaces/default/secrets/first")
    secure.restart_apiserver()  # it remembers tokens for some seconds; and every watch begins again
    assert works(secure, delegate, "tokens")
    assert cluster_status(at_work, "tokens")["Ready"][0] == "True"
    # The caches were not torn down: what had not changed was not reconciled again.
    assert delegate.count(cluster="tokens") == seen + 1


def test_an_authority_is_rotated_with_overlap(secure, at_work, delegate, run_dir):
    ca = write(os.path.join(run_dir, "ca.pem"), secure.first.text())
    attach(at_work, "rotating", kubeconfig(os.path.join(run_dir, "kc"), secure.server,
                                           {"certificate-authority": ca}, {"token": ADMIN_TOKEN}))
    wait_ready(at_work, "rotating")
    assert works(secure, delegate, "rotating")
    seen = delegate.count(cluster="rotating")
    try:
        write(ca, secure.first.text() + secure.second.text())
        secure.serve_with(secure.second)
        secure.restart_apiserver()
        assert works(secure, delegate, "rotating")
        write(ca, secure.second.text())
        secure.restart_apiserver()
        assert works(secure, delegate, "rotating")
        assert delegate.count(cluster="rotating") == seen + 2, "the caches were not torn down"
    finally:
        secure.serve_with(secure.first)
        secure.restart_apiserver()
    # The old authority is not trusted any more.
    wait_for_words(at_work, "rotating", "unknown authority", timeout=130)


def test_a_client_certificate_that_expires_is_said_and_heals_when_it_is_renewed(secure, at_work, delegate, run_dir):
    certificate, key = os.path.join(run_dir, "tls.crt"), os.path.join(run_dir, "tls.key")
    secure.clients.issue(certificate, key, "/O=system:masters/CN=plane", seconds=12)
    attach(at_work, "expiring", kubeconfig(os.path.join(run_dir, "kc"), secure.server, {"certificate-authority": secure.first.pem},
                                           {"client-certificate": certificate, "client-key": key}))
    wait_ready(at_work, "expiring", timeout=10)
    time.sleep(12)
    secure.restart_apiserver()  # open watches outlive a credential
    status = wait_for_words(at_work, "expiring", "client certificate expired at 20", timeout=60)
    assert "refuses our credentials" in status[2], status
    secure.clients.issue(certificate, key, "/O=system:masters/CN=plane")
    wait_ready(at_work, "expiring", timeout=130)
    assert works(secure, delegate, "expiring")


PLUGIN = """#!/bin/sh
echo run >> {runs}
test -e {broken} && echo "no such profile: prod" >&2 && exit 1
end=$(date -u -d "+20 seconds" +%Y-%m-%dT%H:%M:%SZ)
printf '{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{{"token":"%s","expirationTimestamp":"%s"}}}}' {token} $end
"""


@pytest.mark.once
def test_a_credential_plugin_is_run_as_its_credentials_end_and_its_failures_are_said(clusters, at_work, delegate, run_dir):
    runs, broken = os.path.join(run_dir, "runs"), write(os.path.join(run_dir, "broken"), "")
    plugin = write(os.path.join(run_dir, "plugin.sh"), PLUGIN.format(runs=runs, broken=broken, token=ADMIN_TOKEN))
    os.chmod(plugin, os.stat(plugin).st_mode | stat.S_IXUSR)

    def count():
        return len(open(runs).readlines()) if os.path.exists(runs) else 0

    ca = write(os.path.join(run_dir, "ca.pem"), clusters[1].ca().decode())
    attach(at_work, "plugin", kubeconfig(os.path.join(run_dir, "kc"), clusters[1].server, {"certificate-authority": ca}, {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin.sh", "interactiveMode": "Never"}}))
    wait_for_words(at_work, "plugin", "failed with exit code 1: no such profile: prod")
    # Each reconcile asks the server itself: what is only watched needs no new credential.
    answers = []
    delegate.reconcile = lambda r: answers.append(r.call("GET", f"/api/v1/namespaces/default/configmaps/{r.name}").status)
    time.sleep(5)
    assert 1 <= count() <= 6, "it backs off"
    os.remove(broken)
    wait_ready(at_work, "plugin")
    assert works(clusters[1], delegate, "plugin")
    before = count()
    deadline = time.time() + 30
    while time.time() < deadline:
        assert works(clusters[1], delegate, "plugin")
        time.sleep(3)
    assert before < count() <= before + 3, "once for each credential, not for each request"
    assert len(answers) >= 8 and set(answers) == {200}
    assert cluster_status(at_work, "plugin")["Ready"][0] == "True"


def test_a_broken_kubeconfig_says_which_field_and_heals(clusters, at_work, delegate, run_dir):
    path = os.path.join(run_dir, "kc")
    good = yaml.safe_load(open(clusters[1].kubeconfig("kubeconfig-broken")))

    def broken(change):
        config = json.loads(json.dumps(good))
        change(config)
        write(path, yaml.safe_dump(config))

    write(path, "a: [")
    attach(at_work, "broken", path)
    wait_for_words(at_work, "broken", "line 1")
    broken(lambda c: c.update({"current-context": "none"}))
    wait_for_words(at_work, "broken", "none")
    broken(lambda c: c["clusters"][0]["cluster"].update({"server": "ftp://x"}))
    wait_for_words(at_work, "broken", "clusters[0].cluster.server")
    broken(lambda c: c["clusters"][0]["cluster"].update({"proxy-url": "socks5://p:1080"}))
    wait_for_words(at_work, "broken", "SOCKS proxies are not supported yet")
    broken(lambda c: c["users"][0].update({"user": {"tokenFile": os.path.join(run_dir, "missing")}}))
    wait_for_words(at_work, "broken", "missing: No such file or directory")
    broken(lambda c: c["users"][0].update({"user": {"token": "wrong"}}))
    wait_for_words(at_work, "broken", "refuses our credentials")
    broken(lambda c: None)
    wait_ready(at_work, "broken")
    assert works(clusters[1], delegate, "broken")


class Welcome(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<html>Welcome to nginx!</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.mark.once
def test_a_server_that_is_not_kubernetes_is_said_to_be_none(at_work, run_dir):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Welcome)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        # Plain text behind https://, a web server with a certificate of its own, a port where nobody speaks or is.
        attach(at_work, "plain", kubeconfig(os.path.join(run_dir, "kc1"), f"https://127.0.0.1:{server.server_port}", {}, {"token": "t"}))
        attach(at_work, "web", kubeconfig(os.path.join(run_dir, "kc2"), f"http://127.0.0.1:{server.server_port}", {}, {}))
        attach(at_work, "silent", kubeconfig(os.path.join(run_dir, "kc3"), f"https://127.0.0.1:{silent.getsockname()[1]}", {}, {"token": "t"}))
        attach(at_work, "closed", kubeconfig(os.path.join(run_dir, "kc4"), f"https://127.0.0.1:{free_port()}", {}, {"token": "t"}))
        wait_for_words(at_work, "plain", "does not speak TLS")
        wait_for_words(at_work, "web", "does not answer as a Kubernetes API server")
        wait_for_words(at_work, "closed", "connection refused")
        wait_for_words(at_work, "silent", "deadline exceeded", timeout=90)
    finally:
        server.shutdown()
        silent.close()


class Http1Proxy:
    """Ends TLS without h2 in its ALPN and passes the bytes on: an API server behind an old load balancer. On one loop,
    because Python's TLS sockets may not be read and written by two threads at once."""

    def __init__(self, cluster, authority, directory):
        certificate, key = os.path.join(directory, "proxy.crt"), os.path.join(directory, "proxy.key")
        authority.issue(certificate, key, "/CN=proxy", san="IP:127.0.0.1")
        self.accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.accepting.load_cert_chain(certificate, key)
        self.accepting.set_alpn_protocols(["http/1.1"])
        self.dialling = ssl.create_default_context(cadata=cluster.ca().decode())
        self.dialling.set_alpn_protocols(["http/1.1"])
        self.target = cluster.port
        self.connections = 0
        self.loop = asyncio.new_event_loop()
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.accepting))
        self.port = server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def stop(self):
        def cancel():
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_soon(self.loop.stop)

        self.loop.call_soon_threadsafe(cancel)
        self.thread.join()

    async def _serve(self, from_client, to_client):
        self.connections += 1
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target, ssl=self.dialling)
        await asyncio.gather(self._pump(from_client, to_server), self._pump(from_server, to_client))

    @staticmethod
    async def _pump(source, sink):
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        sink.close()


def test_a_server_that_speaks_http_1_1_only_is_served_like_any(clusters, at_work, delegate, run_dir):
    authority = Authority(os.path.join(run_dir, "pki"), "proxy-authority")
    proxy = Http1Proxy(clusters[1], authority, run_dir)
    attach(at_work, "old", kubeconfig(os.path.join(run_dir, "kc"), f"https://127.0.0.1:{proxy.port}",
                                      {"certificate-authority": authority.pem}, {"token": ADMIN_TOKEN}))
    wait_ready(at_work, "old")
    for _ in range(3):
        assert works(clusters[1], delegate, "old")
    assert 2 <= proxy.connections <= 8, "one for each watch and some for requests"
    proxy.stop()
